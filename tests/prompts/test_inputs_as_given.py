"""What is shown is what is read: formats of templates, encodings with holes, parts of servers' protocols, NumPy's numbers."""

from __future__ import annotations

import base64
import io
import wave
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support import zoo
from support.families import family
from support.misbehaving import Told, choice, misbehaving

from interpreto_mllm import (
    Attend,
    Clip,
    Drop,
    Granularity,
    KernelShap,
    Patches,
    RemoteModel,
    ResponseSimilarity,
    Template,
)
from interpreto_mllm.similarity import TfIdf

SKY = "the sky is blue"


@pytest.fixture(scope="module")
def llama():
    return zoo.build("llama"), zoo.byte_bpe()


@pytest.mark.parametrize(
    ("text", "values", "baselines", "whole", "without"),
    [
        ("{n:03d} of {n}", {"n": 7}, {"n": 12}, "007 of 7", "012 of 12"),
        ("{{x}} costs {p:.2f}", {"p": np.float32(1.5)}, {"p": 0}, "{x} costs 1.50", "{x} costs 0.00"),
        ("{a!r:>5} and {b}", {"a": "x", "b": 3}, {"a": "y", "b": "z"}, "  'x' and 3", "  'y' and z"),
    ],
)
def test_templates_are_shown_as_they_are_read(llama, text, values, baselines, whole, without) -> None:
    template = Template(text, values, baselines)
    game = KernelShap(*llama, progress=False).game(template, " x")
    assert game.prompt.text == whole and template.filled([False] * len(template.slots)) == [without]
    for feature in game.features:
        assert all(whole[start:end] for start, end in feature.spans)
        assert feature.text == whole[slice(*feature.spans[0])]
    [[read]] = game.prompt.inputs_for(torch.ones(1, game.n, dtype=torch.bool))
    assert read.ids.tolist() == llama[1](whole)["input_ids"]


def test_numbers_may_be_baselines_of_several(llama) -> None:
    template = Template("{n} apples", {"n": 3}, {"n": [1, 2]})
    assert template.filled([False]) == ["1 apples", "2 apples"] and template.filled([True]) == ["3 apples"] * 2


def test_a_hole_in_the_mask_is_read_as_given() -> None:
    """The hidden token stays in its place, is no feature, and the value is that of one plain forward over the encoding."""
    model, tokenizer = zoo.build("bert"), zoo.wordpiece()
    encoded = tokenizer(SKY, return_tensors="pt")
    encoded["attention_mask"][0, 2] = 0
    padded = {name: torch.nn.functional.pad(tensor, (0, 3)) for name, tensor in encoded.items()}
    with torch.no_grad():
        plain = model(**encoded).logits.log_softmax(-1)[0, 1]
    for given in (encoded, padded):
        game = KernelShap(model, tokenizer, occlusion=Attend(), progress=False).game(dict(given), 1)
        assert all(2 not in feature.positions for feature in game.features)
        whole = game(torch.ones(1, game.n, dtype=torch.bool))
        assert torch.allclose(whole[0, 0].float(), plain, atol=1e-5)


def test_positions_that_the_model_has_anyway_are_taken(llama) -> None:
    ids = llama[1](SKY)["input_ids"]
    explainer = KernelShap(*llama, occlusion=Drop(), progress=False)
    given = {"input_ids": [ids], "position_ids": [list(range(len(ids)))], "attention_mask": [[1] * len(ids)]}
    assert explainer.game(given, " x").n == explainer.game({"input_ids": ids}, " x").n


def test_parts_of_servers_protocols_are_read_on_local_models() -> None:
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    file = io.BytesIO()
    photo.save(file, "PNG")
    url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    subject = family("qwen2_vl")
    explainer = KernelShap(subject.model, subject.processor, image_granularity=Patches(1, 2), progress=False)
    parts = [{"type": "image", "image": photo}, {"type": "text", "text": "what?"}]
    theirs = [{"type": "image_url", "image_url": {"url": url, "detail": "low"}}, {"type": "input_text", "text": "what?"}]
    games = [explainer.game([{"role": "user", "content": content}], " x") for content in (parts, theirs)]
    (one, other) = (game.prompt.inputs_for(torch.ones(1, game.n, dtype=torch.bool))[0][0] for game in games)
    assert one.key == other.key and games[0].features == games[1].features


def spoken() -> dict[str, Any]:
    """A second of noise, as servers' protocols send it."""
    file = io.BytesIO()
    with wave.open(file, "wb") as recording:
        recording.setparams((1, 2, 16_000, 0, "NONE", ""))
        recording.writeframes((np.random.default_rng(0).standard_normal(16_000) * 3000).astype("<i2").tobytes())
    return {"type": "input_audio", "input_audio": {"data": base64.b64encode(file.getvalue()).decode(), "format": "wav"}}


def test_input_audio_is_heard_by_a_local_model() -> None:
    subject = family("qwen2_audio")
    explainer = KernelShap(subject.model, subject.processor, granularity=Granularity.TURN, progress=False)
    game = explainer.game([{"role": "user", "content": [spoken(), {"type": "text", "text": "what?"}]}], " x")
    assert [feature.modality for feature in game.features] == ["audio", "audio", "text"]
    [clip] = game.prompt.media
    assert isinstance(clip, Clip) and abs(clip.seconds - 1) < 0.01


def test_parts_of_its_own_protocol_reach_a_server() -> None:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(file, "PNG")
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()}}
    content = [image, spoken(), {"type": "text", "text": "what?"}]
    with misbehaving(lambda *_: Told(choice("yes", True))) as server:
        remote, mode = RemoteModel(server.url, "m", max_pixels=256), ResponseSimilarity(similarity=TfIdf())
        explainer = KernelShap(remote, inference_mode=mode, budget=8, image_granularity=Patches(1, 2), progress=False)
        [result] = explainer([{"role": "user", "content": content}], "yes")
        sent = [[part["type"] for part in body["messages"][0]["content"]] for body in server.asked]
    assert all(types[:2] == ["image_url", "input_audio"] for types in sent)
    assert "image 1: 32 × 32 pixels, sent as 16 × 16 (max_pixels=256)" in result.notes


def test_a_rendered_chat_with_an_image_has_one_bos() -> None:
    subject = family("llava")
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    chat = [{"role": "user", "content": [{"type": "image", "image": photo}, {"type": "text", "text": "what?"}]}]
    text = subject.processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    explainer = KernelShap(subject.model, subject.processor, image_granularity=Patches(1, 2), progress=False)
    games = [explainer.game(given, " x") for given in (chat, {"text": text, "images": photo})]
    (one, other) = (game.prompt.inputs_for(torch.ones(1, game.n, dtype=torch.bool))[0][0] for game in games)
    assert one.key == other.key and one.ids.tolist().count(subject.processor.tokenizer.bos_token_id) == 1


def test_notes_on_media_reach_the_result() -> None:
    file = io.BytesIO()
    frames = [Image.fromarray(np.full((32, 32, 3), shade, dtype=np.uint8)) for shade in (0, 255)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    file.seek(0)
    subject = family("vit")
    explainer = KernelShap(subject.model, subject.processor, image_granularity=Patches(1, 2), progress=False)
    [result] = explainer({"images": file}, 1)
    assert any(note.startswith("image 1: frame 1 of 2 frames is explained") for note in result.notes)


@pytest.mark.usefixtures("unchecked")
def test_numbers_of_numpy_are_numbers(llama) -> None:
    options = {"budget": np.int64(8), "batch_size": np.int32(4), "seed": np.uint8(3), "share_prefixes": np.bool_(True)}
    [result] = KernelShap(*llama, **options, progress=False, pinned=[np.int64(0)])(SKY, np.array([5, 6]))
    [plain] = KernelShap(*llama, budget=8, batch_size=4, seed=3, progress=False, pinned=[0])(SKY, [5, 6])
    assert torch.equal(result.attributions, plain.attributions)
