"""Chats that come as text or as an encoding have the same players as the messages themselves."""

from __future__ import annotations

import copy
from functools import cache

import pytest
import torch
import transformers as hf
from support import zoo
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from interpreto_mllm import Drop, ExactShapley, Granularity
from interpreto_mllm.prompts.markup import RENDERED
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.prompts.reader import PromptReader

CHATML = (
    "{% for m in messages %}"
    "{% if loop.first and m.role != 'system' %}<|im_start|>system\nYou are helpful.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA3 = (
    "<s>{% if messages[0].role != 'system' %}"
    "<|start|>system<|stop|>\n\nToday: {{ date or '26 Jul 2024' }}\n\n<|eot|>{% endif %}"
    "{% for m in messages %}<|start|>{{ m.role }}<|stop|>\n\n"
    "{% if m.role == 'system' %}Today: {{ date or '26 Jul 2024' }}\n\n{% endif %}{{ m.content | trim }}<|eot|>{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant<|stop|>\n\n{% endif %}"
)
GEMMA = (
    "<s>{% for m in messages %}{% if m.role not in ('user', 'assistant') %}{{ raise_exception('no such role') }}{% endif %}"
    "<start>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}<start>model\n{% endif %}"
)
ZEPHYR = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
KINDS = {
    "ChatML": (CHATML, ["<|im_start|>", "<|im_end|>"], False),
    "Llama 3": (LLAMA3, ["<|start|>", "<|stop|>", "<|eot|>"], True),
    "Gemma": (GEMMA, ["<start>", "<end>"], True),
    "Zephyr": (ZEPHYR, [], False),
    "one token a role": (zoo.CHAT, ["<|user|>", "<|system|>", "<|assistant|>", "<|end|>"], False),
}
USER = [{"role": "user", "content": "the sky\n is system"}]
LONG = [*USER, {"role": "assistant", "content": "user"}, {"role": "user", "content": "is <it> blue ?"}]
SYSTEM = [{"role": "system", "content": "answer ."}, *LONG]


@cache
def chat_tokenizer(kind: str) -> hf.PreTrainedTokenizerFast:
    template, marks, bos = KINDS[kind]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special, alphabet = [*zoo.SPECIAL[:5], *marks], pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        zoo.CORPUS, trainers.BpeTrainer(vocab_size=380, special_tokens=special, initial_alphabet=alphabet)
    )
    if bos:
        begin = [("<s>", tokenizer.token_to_id("<s>"))]
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=begin)
    names = {**zoo.NAMES, "bos_token": "<s>"} if bos else zoo.NAMES
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, additional_special_tokens=marks, chat_template=template, **names
    )


def reader(tokenizer, granularity=Granularity.WORD, roles=("user",)) -> PromptReader:
    return PromptReader(Processing(tokenizer, None), granularity, Drop().prepared(tokenizer), roles, (), None)


CASES = [
    (kind, chat, roles, answered)
    for kind in KINDS
    for chat, roles in [(USER, ("user",)), (LONG, ("user", "assistant")), (SYSTEM, ("user", "system"))]
    for answered in (True, False)
    if not (kind == "Gemma" and chat is SYSTEM)
]


@pytest.mark.parametrize(("kind", "chat", "roles", "answered"), CASES)
@pytest.mark.parametrize("granularity", [Granularity.WORD, Granularity.TOKEN, Granularity.TURN], ids=lambda g: g.name)
def test_a_rendered_chat_has_the_players_of_its_messages(kind, chat, roles, answered, granularity):
    tokenizer = chat_tokenizer(kind)
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=answered)
    [messages] = reader(tokenizer, granularity, roles).read(chat)
    for given in (text, tokenizer(text, add_special_tokens=False), text.removeprefix("<s>")):
        [prompt] = reader(tokenizer, granularity, roles).read(given)
        shift = len(text) - len(prompt.text)
        assert prompt.notes == (RENDERED,)
        assert [feature.text.strip() for feature in prompt.features] == [feature.text.strip() for feature in messages.features]
        assert [feature.role for feature in prompt.features] == [feature.role for feature in messages.features]
        assert [feature.positions for feature in prompt.features] == [feature.positions for feature in messages.features]
        if answered:
            assert prompt.whole.ids.tolist() == messages.whole.ids.tolist()
        assert all(text[a + shift : b + shift] == feature.text for feature in prompt.features for a, b in feature.spans)


def test_the_default_system_text_of_another_day_is_no_player():
    tokenizer = chat_tokenizer("Llama 3")
    text = tokenizer.apply_chat_template(USER, tokenize=False, date="3 October 2031", add_generation_prompt=True)
    [prompt] = reader(tokenizer, roles=("user", "system")).read(text)
    assert [feature.text for feature in prompt.features] == ["the", "sky", "is", "system"]


def test_texts_without_markers_are_untouched():
    tokenizer = chat_tokenizer("ChatML")
    for text in ("user\nthe sky\n", "the sky </s> is blue", "<im_start>user\nthe sky"):
        [prompt] = reader(tokenizer, Granularity.TURN).read(text)
        assert [feature.text for feature in prompt.features] == [text.strip()]
        assert prompt.notes == ()


def test_without_a_template_space_between_markers_is_no_player():
    tokenizer = copy.copy(chat_tokenizer("ChatML"))
    text = tokenizer.apply_chat_template(USER, tokenize=False, add_generation_prompt=True)
    tokenizer.chat_template = None
    [prompt] = reader(tokenizer).read(text)
    assert [feature.text for feature in prompt.features if not feature.text.isalpha()] == ["."]


def test_a_rendered_chat_without_a_role_to_explain():
    tokenizer = chat_tokenizer("ChatML")
    with pytest.raises(ValueError, match=r"rendered chat, and no message in it has a role to explain: roles=\['tool'\]"):
        reader(tokenizer, roles=("tool",)).read("<|im_start|>user\nthe sky<|im_end|>\n")


@pytest.mark.parametrize("text", ["<s>the sky", "the sky"])
def test_no_second_bos(text):
    tokenizer = chat_tokenizer("Gemma")
    [prompt] = reader(tokenizer).read(text)
    assert prompt.whole.ids.tolist().count(tokenizer.bos_token_id) == 1
    assert [feature.text for feature in prompt.features] == ["the", "sky"]


def test_a_result_says_that_its_prompt_was_a_rendered_chat():
    tokenizer = chat_tokenizer("ChatML")
    model = zoo.build("llama")
    text = tokenizer.apply_chat_template(USER, tokenize=False, add_generation_prompt=True)
    options = {"progress": False, "granularity": Granularity.SENTENCE}
    [mine] = ExactShapley(model, tokenizer, **options)(text, "b")
    [same] = ExactShapley(model, tokenizer, **options)(USER, "b")
    assert mine.notes == (RENDERED,)
    assert torch.equal(mine.attributions, same.attributions)
