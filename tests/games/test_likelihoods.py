"""How likely each coalition makes the original answer, told while it is answered: the numbers of the other game."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from support.by_hand import answered, left, without_words
from support.families import conversation, family
from support.quick import each
from support.zoo import build, byte_bpe, plain_ids

from interpreto_mllm import (
    Attribution,
    Contrast,
    ExactShapley,
    InferenceModes,
    KernelShap,
    Patches,
    RemoteModel,
    ResponseSimilarity,
    Template,
    Windows,
)
from interpreto_mllm.similarity import TfIdf

PROMPT = "the sky is blue"
CLOSE = {"atol": 1e-5, "rtol": 1e-5}
TARGETS: list[Any] = [[" red lorry", " a"], None, " red lorry"]
OTHERS = ("lfm2", "mistral_sliding", "bloom", "t5")
CUTS: dict[str, Any] = {"image_granularity": Patches(2, 2), "audio_granularity": Windows(200), "budget": 24}


def telling(**options: Any) -> ResponseSimilarity:
    return ResponseSimilarity(generate={"max_new_tokens": 4}, log_probability=True, **options)


def explained(
    model: Any, tokenizer: Any, prompt: Any, target: Any, mode: Any, method: Any = ExactShapley, **options: Any
) -> Attribution:
    [result] = method(model, tokenizer, inference_mode=mode, progress=False, **options)(prompt, target)
    return result


def forwards(model: Any) -> list[tuple[int, ...]]:
    """Every later forward of the model leaves the shape of what it read here."""
    read: list[tuple[int, ...]] = []
    forward = model.forward

    @functools.wraps(forward)
    def watched(*positional: Any, **named: Any) -> Any:
        read.append(tuple(named["input_ids"].shape))
        return forward(*positional, **named)

    model.forward = watched
    return read


@pytest.mark.parametrize(
    ("name", "target"),
    each(
        [(name, target) for name in ("llama", *OTHERS) for target in TARGETS],
        [*(("llama", target) for target in TARGETS), *((name, TARGETS[0]) for name in OTHERS)],
    ),
)
def test_values_are_those_of_the_log_probability_game(name: str, target: Any) -> None:
    model, tokenizer = build(name), byte_bpe()
    targets = target if isinstance(target, list) else [target]
    result = explained(model, tokenizer, PROMPT, target, telling(), batch_size=5)
    told = result.rescore(InferenceModes.LOG_SOFTMAX)
    assert (told.mode, told.unit, told.targets) == ("log_softmax", "response", result.targets)
    assert result.responses is not None
    for column, one in enumerate(targets):
        settings = {"generate": {"max_new_tokens": 4}} if one is None else {}
        scored = explained(model, tokenizer, PROMPT, one, InferenceModes.LOG_SOFTMAX, **settings).span()
        torch.testing.assert_close(told.values[:, [column]], scored.values, **CLOSE)
        torch.testing.assert_close(told.attributions[[column]], scored.attributions, **CLOSE)
        likely = explained(model, tokenizer, PROMPT, one, InferenceModes.SOFTMAX, **settings).span()
        torch.testing.assert_close(result.rescore(InferenceModes.SOFTMAX).values[:, [column]], likely.values, **CLOSE)


def test_values_by_hand() -> None:
    model, tokenizer = build("gpt2"), byte_bpe()
    result = explained(model, tokenizer, PROMPT, " red lorry", telling(), batch_size=3).rescore(InferenceModes.LOG_SOFTMAX)
    answer, ids = tokenizer.encode(" red lorry", add_special_tokens=False), tokenizer.encode(PROMPT)
    for coalition, value in zip(result.coalitions.tolist(), result.values[:, 0].tolist(), strict=True):
        left_over = plain_ids(ids, result.features, coalition) or [tokenizer.bos_token_id]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([left_over + answer])).logits[0, len(left_over) - 1 : -1]
        expected = logits.double().log_softmax(-1)[range(len(answer)), answer].sum().item()
        assert value == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", each(("llava", "qwen2_5_vl", "gemma3", "qwen2_audio"), ("llava", "qwen2_audio")))
def test_values_after_images_and_clips(name: str) -> None:
    subject = family(name)
    messages = conversation(subject, "What colour is the circle ?")
    options = {"method": KernelShap, "batch_size": 7, **CUTS}
    result = explained(subject.model, subject.processor, messages, " red square", telling(), **options)
    told = result.rescore(InferenceModes.LOG_SOFTMAX)
    scored = explained(subject.model, subject.processor, messages, " red square", InferenceModes.LOG_SOFTMAX, **options).span()
    torch.testing.assert_close(told.values, scored.values, **CLOSE)
    answer = subject.processor.tokenizer(" red square", add_special_tokens=False)["input_ids"]
    for coalition, value in zip(told.coalitions.tolist()[:6], told.values[:, 0].tolist(), strict=False):
        encoding = without_words(subject, *left(messages, told.features, coalition, ("user",)))
        assert value == pytest.approx(answered(subject, encoding, answer).sum().item(), abs=1e-5)


@pytest.mark.parametrize("name", ["llama", "mistral_sliding"])
def test_the_answer_is_all_that_is_read_besides(name: str) -> None:
    """No prompt is read again, but for the whole one, whose own answer comes before there is one to tell about."""
    tokens = []
    for mode in (ResponseSimilarity(generate={"max_new_tokens": 4}), telling()):
        explainer = ExactShapley(build(name), byte_bpe(), inference_mode=mode, batch_size=32, progress=False)
        explainer("the sea is green")  # how this model answers is found out
        [result] = explainer(PROMPT)
        tokens.append(result.counts.tokens)
    assert result.responses is not None
    answer, whole = len(result.responses.originals[0].ids) - 1, len(byte_bpe().encode(PROMPT))
    assert answer > 0
    assert tokens[1] - tokens[0] == (len(result.coalitions) - 1) * answer + whole + answer


def test_drawn_answers_a_contrast_and_several_readings() -> None:
    model, tokenizer = build("llama"), byte_bpe()
    drawn = ResponseSimilarity(
        generate={"max_new_tokens": 3, "do_sample": True, "temperature": 2.0}, repeats=3, log_probability=True
    )
    template = Template("the {a} is {b}", {"a": "sky", "b": "blue"}, [{"a": "sea", "b": "red"}, {"a": "cat", "b": "old"}])
    for prompt in (PROMPT, template):
        target = [Contrast(" red", " a lorry"), " blue"]
        result = explained(model, tokenizer, prompt, target, drawn)
        for mode in (InferenceModes.LOG_SOFTMAX, InferenceModes.SOFTMAX):
            told = result.rescore(mode)
            contrast = explained(model, tokenizer, prompt, target[0], mode)
            torch.testing.assert_close(told.values[:, [0]], contrast.values, **CLOSE)
            scored = explained(model, tokenizer, prompt, " blue", mode).span()
            torch.testing.assert_close(told.values[:, [1]], scored.values, **CLOSE)
            assert told.standard_errors is None or not told.standard_errors.any()


def test_what_is_told_is_kept_in_archives_and_known_again(tmp_path: Path) -> None:
    model, tokenizer = build("gpt2"), byte_bpe()
    explainer = KernelShap(model, tokenizer, inference_mode=telling(similarity=TfIdf()), budget=20, progress=False)
    [first] = explainer("the sky is blue and", " red lorry")
    first.save(tmp_path / "told.json")
    again = Attribution.load(tmp_path / "told.json")
    expected = first.rescore(InferenceModes.LOG_SOFTMAX)
    torch.testing.assert_close(again.rescore(InferenceModes.LOG_SOFTMAX).values, expected.values, rtol=0, atol=0)
    more = ExactShapley(model, tokenizer, inference_mode=telling(similarity=TfIdf()), batch_size=32, progress=False)
    read = forwards(model)
    [resumed] = more("the sky is blue and", " red lorry", evaluations=[again])
    assert resumed.counts.paid == 32 - 20
    assert max(rows for rows, _ in read) <= 12
    told = resumed.rescore(InferenceModes.LOG_SOFTMAX)
    values = dict(zip(map(tuple, told.coalitions.tolist()), told.values, strict=True))
    here = torch.stack([values[tuple(row)] for row in expected.coalitions.tolist()])
    torch.testing.assert_close(here, expected.values, **CLOSE)
    plain = KernelShap(model, tokenizer, inference_mode=ResponseSimilarity(generate={"max_new_tokens": 4}), budget=20)
    [silent] = plain("the sky is blue and", " red lorry")
    [now] = explainer("the sky is blue and", " red lorry", evaluations=[silent])
    torch.testing.assert_close(now.rescore(InferenceModes.LOG_SOFTMAX).values, expected.values, **CLOSE)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda result: result.rescore(InferenceModes.LOG_SOFTMAX), r"ResponseSimilarity\(log_probability=True\)"),
        (lambda result: result.rescore(InferenceModes.LOGITS), "only the probability can be known afterwards"),
        (lambda result: result.rescore(telling()), "lets no model answer"),
        (
            lambda result: ExactShapley(RemoteModel("http://x", "m"), inference_mode=telling(similarity=TfIdf())),
            "A server does not score a given answer while it responds",
        ),
        (
            lambda result: explained(build("gpt2"), byte_bpe(), PROMPT, " a" * 255, telling()),
            "shorten the prompt",
        ),
    ],
)
def test_what_cannot_be_told_is_refused(make: Any, words: str) -> None:
    result = explained(build("llama"), byte_bpe(), PROMPT, " red", ResponseSimilarity(generate={"max_new_tokens": 2}))
    with pytest.raises(ValueError, match=words):
        make(result)
