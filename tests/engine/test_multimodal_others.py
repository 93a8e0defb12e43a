"""Models that only look or listen, classifiers and Whisper; and all families are given back as they were lent."""

from __future__ import annotations

import copy
import functools
import logging
from typing import Any

import numpy as np
import pytest
import torch
from support.by_hand import painted, parts, processed, rendered, silenced
from support.families import CHATTING, CLASSIFIERS, REPRESENTATIVE, conversation, family
from support.family_parts import RATE, Family, clip, picture
from support.multimodal import ANSWER, BOXES, CLOSE, CUTS, QUESTION, TIMES, drawn, game
from support.quick import each

from interpreto_mllm import Contrast, CutOut, ExactShapley, KernelShap


def heard_or_seen(subject: Family, coalition: list[bool]) -> Any:
    """What is left of the picture, or of the clip."""
    if subject.modalities == ("image",):
        return painted(picture(0), [box for box, there in zip(BOXES, coalition, strict=True) if not there])
    return silenced(clip(0), [time for time, there in zip(TIMES, coalition, strict=True) if not there])


def classified(subject: Family, given: Any) -> torch.Tensor:
    """Log-probabilities of the classes."""
    options = {} if subject.modalities == ("image",) else {"sampling_rate": RATE}
    with torch.no_grad():
        return subject.model(**subject.processor(given, return_tensors="pt", **options)).logits[0].log_softmax(-1).double()


def prompt_of(subject: Family, seed: int = 0) -> dict[str, Any]:
    return {"images": picture(seed)} if subject.modalities == ("image",) else {"audio": clip(seed)}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers(name: str) -> None:
    subject = family(name)
    played = game(subject, prompt_of(subject), [2, 0])
    coalitions = drawn(played.n, 10)
    expected = torch.stack([classified(subject, heard_or_seen(subject, row))[[2, 0]] for row in coalitions.tolist()])
    torch.testing.assert_close(played(coalitions).double(), expected, **CLOSE)
    assert expected.std(0).max() > 1e-3
    order = torch.randperm(len(coalitions), generator=torch.Generator().manual_seed(0))
    for size in (1, 3):
        again = game(subject, prompt_of(subject), [2, 0], batch_size=size)
        torch.testing.assert_close(again(coalitions[order]).double(), expected[order], **CLOSE)
    assert [feature.box for feature in played.features if feature.box] == BOXES * (subject.modalities == ("image",))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_targets_of_classifiers(name: str) -> None:
    subject = family(name)
    scores = classified(subject, heard_or_seen(subject, [True] * len(BOXES if subject.modalities == ("image",) else TIMES)))
    explainer = ExactShapley(subject.model, subject.processor, **CUTS)
    for target, expected, label in (
        (1, scores[1], "LABEL_1"),
        ("LABEL_2", scores[2], "LABEL_2"),
        (None, scores.max(), f"LABEL_{int(scores.argmax())}"),
    ):
        [result] = explainer(prompt_of(subject), target)
        torch.testing.assert_close(result.full, expected[None], **CLOSE)
        assert result.targets == [label]
        assert result.efficiency_gap.abs().max() < 1e-9
    [contrast] = explainer(prompt_of(subject), Contrast("LABEL_0", "LABEL_2"))
    torch.testing.assert_close(contrast.full, (scores[0] - scores[2])[None], **CLOSE)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_several_prompts_of_classifiers(name: str) -> None:
    """As bare pictures, or as mappings; of different lengths and sizes."""
    subject = family(name)
    if subject.modalities == ("image",):
        prompts: list[Any] = [picture(0), picture(1, width=48), {"images": [picture(2)]}]
    else:
        prompts = [{"audio": clip(0)}, {"audio": [clip(1, 0.4)]}, {"audio": {"array": clip(2, 0.5), "sampling_rate": RATE}}]
    explainer = KernelShap(subject.model, subject.processor, **CUTS, budget=6)
    for prompt, result in zip(prompts, explainer(prompts, 1), strict=True):
        [alone] = explainer(prompt, 1)
        torch.testing.assert_close(result.values, alone.values, **CLOSE)


@pytest.mark.parametrize("name", ["wav2vec2", "ast"])
def test_cut_out_segments_of_clips_to_classify(name: str) -> None:
    subject = family(name)
    played = game(subject, {"audio": clip(0)}, 1, audio_occlusion=CutOut(), pinned=[0])
    coalitions = torch.tensor([[True, False], [False, True], [False, False], [True, True]])
    left = [clip(0)[:6400], np.concatenate([clip(0)[:3200], clip(0)[6400:]]), clip(0)[:3200], clip(0)]
    expected = torch.stack([classified(subject, samples)[[1]] for samples in left])
    torch.testing.assert_close(played(coalitions).double(), expected, **CLOSE)


def test_whisper() -> None:
    """The clip goes to the encoder, the answer to the decoder, after the tokens that it was trained to begin with."""
    subject = family("whisper")
    processor, model = subject.processor, subject.model
    written = processor.tokenizer(text_target="the high tone")["input_ids"]
    special = processor.tokenizer.all_special_ids
    scored = [index for index, token in enumerate(written) if token not in special]

    def spoken(coalition: list[bool]) -> torch.Tensor:
        features = processor(audio=heard_or_seen(subject, coalition), sampling_rate=RATE, return_tensors="pt")
        with torch.no_grad():
            logits = model(**features, decoder_input_ids=torch.tensor([written[:-1]])).logits[0].log_softmax(-1)
        return torch.stack([logits[index - 1, written[index]] for index in scored]).double()

    played = game(subject, {"audio": clip(0)}, "the high tone", batch_size=3)
    coalitions = drawn(played.n)
    expected = torch.stack([spoken(row) for row in coalitions.tolist()])
    torch.testing.assert_close(played(coalitions).double(), expected, **CLOSE)
    assert expected.std(0).max() > 1e-3
    assert [feature.time for feature in played.features] == [pytest.approx(time) for time in TIMES]


def test_what_whisper_says_of_its_own() -> None:
    """It is scored after the tokens that the model began with."""
    subject = family("whisper")
    processor, model = subject.processor, subject.model
    special = processor.tokenizer.all_special_ids
    features = processor(audio=clip(0), sampling_rate=RATE, return_tensors="pt")
    said = [token for token in model.generate(**features, max_new_tokens=5)[0].tolist() if token not in special]
    [own] = ExactShapley(model, processor, **CUTS, generate={"max_new_tokens": 5})({"audio": clip(0)})
    assert "".join(own.targets) == processor.tokenizer.decode(said)
    begin = [model.config.decoder_start_token_id]
    options = {"max_new_tokens": 5, "return_dict_in_generate": True, "force_unique_generate_call": True}
    whole = model.generate(**features, **options).sequences[0].tolist()
    assert whole[: len(begin)] == begin
    with torch.no_grad():
        logits = model(**features, decoder_input_ids=torch.tensor([whole[:-1]])).logits[0].log_softmax(-1)
    scored = [index for index, token in enumerate(whole) if token not in special]
    expected = torch.stack([logits[index - 1, whole[index]] for index in scored]).double()
    torch.testing.assert_close(own.full, expected, **CLOSE)


def state(subject: Family) -> dict[str, Any]:
    """Everything of a family that a user could find changed."""
    model, processor = subject.model, subject.processor
    names = ("image_processor", "feature_extractor", "audio_processor", "tokenizer")
    pieces = {name: getattr(processor, name, None) for name in names}
    backend = getattr(pieces["tokenizer"], "backend_tokenizer", None)
    return copy.deepcopy(
        {
            "training": [module.training for module in model.modules()],
            "hooks": [
                (list(module._forward_hooks), list(module._forward_pre_hooks), list(module._backward_hooks))
                for module in model.modules()
            ],
            "attributes": [sorted(vars(module)) for module in model.modules()],
            "deltas": [getattr(module, "rope_deltas", None) for module in model.modules()],
            "weights": [weight.detach().sum().item() for weight in model.parameters()],
            "gradients": [(weight.requires_grad, weight.grad is None) for weight in model.parameters()],
            "configs": (model.config.to_dict(), str(getattr(model, "generation_config", None))),
            "grad": torch.is_grad_enabled(),
            "processor": {name: repr(value) for name, value in vars(processor).items() if name not in names},
            "parts": {name: {key: repr(value) for key, value in vars(part).items()} for name, part in pieces.items() if part},
            "backend": None if backend is None else (backend.to_str(), str(backend.truncation), str(backend.padding)),
        }
    )


@pytest.mark.parametrize("name", [*each(CHATTING, REPRESENTATIVE), "whisper", *each(CLASSIFIERS, ("vit", "wav2vec2"))])
def test_all_is_given_back_as_it_was_lent(name: str) -> None:
    """Also when a forward breaks in the middle, before and after the language model's own check of continued caches."""
    subject = family(name)
    chats = name in CHATTING
    prompt: Any = conversation(subject, QUESTION) if chats else prompt_of(subject)
    target = ANSWER if chats else "the tone" if name == "whisper" else 1
    model = subject.model
    # some models put hooks of their own into their encoders when first called
    if chats:
        model(**processed(subject, rendered(subject, prompt), parts(prompt, "image"), parts(prompt, "audio")))
    elif name in CLASSIFIERS:
        heard = {} if subject.modalities == ("image",) else {"sampling_rate": RATE}
        model(**subject.processor(*prompt.values(), return_tensors="pt", **heard))
    deltas = [module for module in model.modules() if hasattr(module, "rope_deltas")]
    for module in deltas:
        module.rope_deltas = torch.tensor([[7]])
    model.train()
    inner = next(module for module in reversed(list(model.modules())) if list(module.parameters(recurse=False)))
    inner.eval()
    calls, breaks_at = 0, 10**9

    def broken(*_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > breaks_at:
            raise RuntimeError("broken")

    explainer = KernelShap(model, subject.processor, **CUTS, budget=14 if chats else 6, batch_size=2)
    hook = inner.register_forward_hook(broken)
    try:
        before = state(subject)
        explainer(prompt, target)
        assert state(subject) == before
        calls = 0
        KernelShap(model, subject.processor, **CUTS, budget=14 if chats else 6, batch_size=2)(prompt, target)
        every = calls  # without those of trials, which are not repeated
        for last in (0, every // 2):
            calls, breaks_at = 0, last
            fresh = KernelShap(model, subject.processor, **CUTS, budget=14 if chats else 6, batch_size=2)
            with pytest.raises(RuntimeError, match="broken"):
                fresh(prompt, target)
            assert state(subject) == before
    finally:
        hook.remove()
        model.eval()
        for module in deltas:
            module.rope_deltas = None


@pytest.mark.parametrize("name", each(("qwen3_vl", "voxtral", "whisper", "vit"), ("voxtral", "vit")))
def test_batches_are_halved_when_memory_runs_out(name: str, caplog: pytest.LogCaptureFixture) -> None:
    subject = family(name)
    chats = name in CHATTING
    prompt = conversation(subject, QUESTION) if chats else prompt_of(subject)
    target = ANSWER if chats else [5, 6] if name == "whisper" else 1
    asked = game(subject, prompt, target)
    coalitions = drawn(asked.n)
    expected = asked(coalitions)
    forward = subject.model.forward

    @functools.wraps(forward)
    def small(*positional: Any, **named: Any) -> Any:
        first = next(value for value in named.values() if isinstance(value, torch.Tensor))
        if len(named.get("input_ids", first)) > 2:
            raise torch.OutOfMemoryError("the device is full")
        return forward(*positional, **named)

    subject.model.forward = small
    try:
        with caplog.at_level(logging.WARNING, logger="interpreto_mllm"):
            torch.testing.assert_close(game(subject, prompt, target)(coalitions), expected, **CLOSE)
    finally:
        del subject.model.forward
    assert "Out of memory with" in caplog.text
