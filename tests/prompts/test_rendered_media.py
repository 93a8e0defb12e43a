"""Rendered chats with images and clips, as an encoding or as a text, have the words of their messages and no others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from support.families import CHATTING, conversation, family
from support.family_parts import chat, clip, picture
from support.multimodal import game, text, user

from interpreto_mllm import CutOut, Drop, Granularity, RemoteModel, WholeClip
from interpreto_mllm.adapters.remote.reader import RemoteProcessing, RemoteReader
from interpreto_mllm.media.cuts import Cuts
from interpreto_mllm.media.state import State
from interpreto_mllm.prompts.known_markup import RENDERED_FOR_SERVER, RENDERED_WITHIN_MESSAGE
from interpreto_mllm.prompts.markup import RENDERED
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.prompts.reader import PromptReader

QUESTION = "what is red ?"
QUICK = ("qwen2_audio", "voxtral", "idefics3", "pixtral", "qwen2_5_omni")
"""A caption, a mark before, rows and columns, breaks between rows, and both modalities."""

BREAKING = ("gemma3", "paligemma")
"""Those whose processors write line breaks around images, which are tokens of encodings as others are."""

FAMILIES = [name if name in QUICK else pytest.param(name, marks=pytest.mark.thorough) for name in CHATTING]


def words(prompt: Any) -> list[str]:
    return [feature.text for feature in prompt.features if feature.modality == "text"]


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("granularity", [Granularity.WORD, Granularity.TOKEN], ids=lambda g: g.name)
def test_the_words_are_those_of_the_messages(name: str, granularity: Granularity) -> None:
    subject = family(name)
    processing = Processing(subject.processor, subject.model)
    reader = PromptReader(processing, granularity, Drop(), ("user",), (), None, Cuts(rate=processing.rate))
    [messages] = reader.read(conversation(subject, QUESTION, (0,), (0,)))
    encoded = processing([messages.text], [[State.whole(medium) for medium in messages.media]], False)
    given = {"image": ("images", [picture(0)]), "audio": ("audio", [clip(0)])}
    mapping = {"text": messages.text, **dict(given[modality] for modality in subject.modalities)}
    for [prompt] in (reader.read(encoded), reader.read(mapping)):
        written = [word for word in words(prompt) if word.strip() or name not in BREAKING]
        assert written == [word for word in words(messages) if word.strip() or name not in BREAKING]
        if "INST" in messages.text or "<|im_start|>" in messages.text:
            assert prompt.notes == (RENDERED,)
    assert torch.equal(torch.from_numpy(reader.read(encoded)[0].whole.ids), encoded["input_ids"][0])


def test_a_caption_goes_with_its_clip() -> None:
    """As Qwen2-Audio's template numbers them: a text without the clip is the rendered chat without it."""
    subject = family("qwen2_audio")
    counted = "{% set clips.count = clips.count + 1 %}Audio {{ clips.count }}: <|audio_bos|><|AUDIO|><|audio_eos|>\n"
    template = chat(audio=counted, first="{% set clips = namespace(count=0) %}")
    processor = subject.processor
    before, processor.chat_template = processor.chat_template, template
    try:
        messages = conversation(subject, QUESTION, (), (0,))
        rendered = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        assert "Audio 1: " in rendered
        cuts = {"audio_granularity": WholeClip(), "audio_occlusion": CutOut(), "granularity": Granularity.WORD}
        played = game(subject, {"text": rendered, "audio": [clip(0)]}, **cuts)
        assert words(played.prompt) == ["what", "is", "red", "?"]
        alone = game(subject, [user(text(QUESTION))], **cuts)
        [[left]] = played.inputs(torch.tensor([[False, True, True, True, True]]))
        [[only]] = alone.inputs(torch.ones(1, 4, dtype=torch.bool))
        assert left.ids.tolist() == only.ids.tolist() and not left.media
    finally:
        processor.chat_template = before


RENDERINGS = {
    "ChatML": "<|im_start|>system\nbe brief .<|im_end|>\n<|im_start|>user\nthe sky ?<|im_end|>\n<|im_start|>assistant\n",
    "Llama 3": (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nbe brief .<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nthe sky ?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    ),
    "Gemma": "<bos><start_of_turn>user\nthe sky ?<end_of_turn>\n<start_of_turn>model\n",
    "Mistral": "<s>[INST] the sky ? [/INST]",
    "Llama 2": "<s>[INST] <<SYS>>\nbe brief .\n<</SYS>>\n\nthe sky ? [/INST]",
    "Zephyr": "<|system|>\nbe brief .</s>\n<|user|>\nthe sky ?</s>\n<|assistant|>\n",
    "Phi": "<|user|>\nthe sky ?<|end|>\n<|assistant|>\n",
}


@pytest.mark.parametrize("kind", RENDERINGS)
def test_a_server_is_sent_rendered_chats_whose_markup_stays(kind: str) -> None:
    options = RemoteProcessing.of(RemoteModel("http://localhost:1/v1", "m")), Granularity.WORD, Drop()
    [prompt] = RemoteReader(*options, ("user",), (), None, bare=True).read(RENDERINGS[kind])
    assert words(prompt) == ["the", "sky", "?"] and {feature.role for feature in prompt.features} == {"user"}
    assert prompt.notes == (RENDERED_FOR_SERVER,)
    [[left]] = prompt.inputs_for(torch.zeros(1, 3, dtype=torch.bool))
    assert "".join(map(chr, left.ids)).replace(" ", "") == RENDERINGS[kind].replace("the sky ?", "").replace(" ", "")
    if "be brief" in RENDERINGS[kind]:
        [both] = RemoteReader(*options, ("user", "system"), (), None, bare=True).read(RENDERINGS[kind])
        assert words(both) == ["be", "brief", ".", "the", "sky", "?"]
    [sent] = RemoteReader(*options, ("user",), (), None).read(RENDERINGS[kind])
    assert sent.notes == (RENDERED_WITHIN_MESSAGE,)


def test_plain_texts_are_sent_to_a_server_as_before() -> None:
    for bare in (True, False):
        [prompt] = RemoteReader(
            RemoteProcessing.of(RemoteModel("http://localhost:1/v1", "m")),
            Granularity.WORD,
            Drop(),
            ("user",),
            (),
            None,
            bare=bare,
        ).read("the <sky> [is] blue </s>")
        assert prompt.notes == () and "sky" in words(prompt)
        assert np.isfinite(prompt.whole.ids).all()
