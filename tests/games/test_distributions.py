"""Entropy, perplexity, divergence and top mass as values, against plain forwards."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.zoo import build, byte_bpe, plain_ids, plain_logits, wordpiece

from interpreto_mllm import (
    Contrast,
    Drop,
    ExactShapley,
    InferenceModes,
    IntegratedGradients,
    KernelShap,
    RemoteModel,
    Saliency,
    TopMass,
)
from interpreto_mllm.games.modes import mode_name

PROMPT = "the sky is blue"
CLOSE = {"atol": 2e-5, "rtol": 1e-4}
ENTROPY, PERPLEXITY, KL = InferenceModes.ENTROPY, InferenceModes.PERPLEXITY, InferenceModes.KL
MODES = [ENTROPY, PERPLEXITY, KL, TopMass(3)]


def by_hand(mode: Any, logits: torch.Tensor, whole: torch.Tensor, targets: list[int]) -> torch.Tensor:
    """The definitions, probability by probability."""
    p, q = whole.double().softmax(-1), logits.double().softmax(-1)
    if mode is ENTROPY:
        return torch.stack([-sum(x * x.log() for x in row) for row in q])
    if mode is PERPLEXITY:
        return torch.stack([1 / row[target] for row, target in zip(q, targets, strict=True)])
    if mode is KL:
        return torch.stack([sum(a * (a / b).log() for a, b in zip(*rows, strict=True)) for rows in zip(p, q, strict=True)])
    return torch.stack([sum(sorted(row.tolist())[-3:]) * torch.ones(()).double() for row in q])


@pytest.mark.parametrize("mode", MODES, ids=mode_name)
@pytest.mark.parametrize("family", ["llama", "t5", "bert"])
def test_values_are_those_of_the_definitions(family: str, mode: Any) -> None:
    model, tokenizer = build(family), wordpiece() if family == "bert" else byte_bpe()
    target = [2, 0] if family == "bert" else tokenizer.encode(" is Paris")
    replacement = [tokenizer.mask_token_id] if family == "bert" else None
    [result] = ExactShapley(model, tokenizer, inference_mode=mode, progress=False)(PROMPT, target)
    given = tokenizer.encode(PROMPT)

    def logits(coalition: list[bool]) -> torch.Tensor:
        left = plain_ids(given, result.features, coalition, replacement) or [tokenizer.bos_token_id]
        return plain_logits(model, left, target).expand(len(target), -1)

    whole = logits([True] * result.n)
    for coalition, value in zip(result.coalitions.tolist(), result.values, strict=True):
        torch.testing.assert_close(value, by_hand(mode, logits(coalition), whole, target), **CLOSE)
    assert result.mode == mode_name(mode)


def test_each_prompt_is_compared_with_itself_whole() -> None:
    model, tokenizer = build("llama"), byte_bpe()
    explainer = ExactShapley(model, tokenizer, inference_mode=KL, progress=False)
    prompts, targets = ["the sky is blue", "the apples is red"], [" Paris", [" is Paris", " Paris is"]]
    together = explainer(prompts, targets)
    for prompt, target, result in zip(prompts, targets, together, strict=True):
        [alone] = explainer(prompt, target)
        torch.testing.assert_close(result.values, alone.values, **CLOSE)
        assert float(result.full.abs().max()) < 1e-5 < float(result.empty.min())
    rows = [explainer(prompts[1], one)[0].values for one in targets[1]]
    torch.testing.assert_close(together[1].values, torch.cat(rows, 1), **CLOSE)


def test_earlier_evaluations_of_a_divergence_are_taken_over() -> None:
    model, tokenizer = build("llama"), byte_bpe()
    [first] = KernelShap(model, tokenizer, inference_mode=KL, budget=10, progress=False)(PROMPT, " Paris")
    [again] = KernelShap(model, tokenizer, inference_mode=KL, budget=16, progress=False)(PROMPT, " Paris", evaluations=[first])
    [whole] = KernelShap(model, tokenizer, inference_mode=KL, budget=16, progress=False)(PROMPT, " Paris")
    assert again.counts.paid == 16 - first.counts.paid
    torch.testing.assert_close(again.attributions, whole.attributions, **CLOSE)


def test_tokens_of_an_answer_are_worth_together_what_their_mode_says() -> None:
    model, tokenizer = build("llama"), byte_bpe()
    spans = {}
    for mode in (*MODES, InferenceModes.LOG_SOFTMAX):
        [result] = ExactShapley(model, tokenizer, inference_mode=mode, progress=False)(PROMPT, " is Paris")
        spans[mode] = result, result.span().values[:, 0]
    torch.testing.assert_close(spans[ENTROPY][1], spans[ENTROPY][0].values.sum(1))
    torch.testing.assert_close(spans[KL][1], spans[KL][0].values.sum(1))
    torch.testing.assert_close(spans[TopMass(3)][1], spans[TopMass(3)][0].values.mean(1))
    log_probabilities = spans[InferenceModes.LOG_SOFTMAX][0].values
    torch.testing.assert_close(spans[PERPLEXITY][1], (-log_probabilities.mean(1)).exp(), **CLOSE)


@pytest.mark.parametrize("mode", [ENTROPY, PERPLEXITY, TopMass(3)], ids=mode_name)
def test_gradient_methods_take_them_too(mode: Any) -> None:
    model, tokenizer = build("llama"), byte_bpe()
    [result] = IntegratedGradients(model, tokenizer, inference_mode=mode, steps=150, progress=False)(PROMPT, " Paris")
    assert result.completeness_gap is not None
    assert float(result.completeness_gap.abs().max()) < 0.02 * float((result.full - result.empty).abs().max())


def test_what_has_no_distribution_is_refused() -> None:
    model, tokenizer = build("llama"), byte_bpe()
    for mode in (PERPLEXITY, TopMass(3)):
        explainer = ExactShapley(model, tokenizer, inference_mode=mode, progress=False)
        with pytest.raises(ValueError, match=f"Contrast has no meaning under {mode_name(mode)}: use LOG_SOFTMAX"):
            explainer(PROMPT, Contrast(" red", " blue"))
    labels = build("bert")
    labels.config.problem_type = "multi_label_classification"
    for mode in MODES:
        with pytest.raises(ValueError, match=rf"do not exclude one another.*{mode_name(mode)}"):
            ExactShapley(labels, wordpiece(), inference_mode=mode, occlusion=Drop())
    for mode in (ENTROPY, KL, TopMass(3)):
        with pytest.raises(ValueError, match=f"A server gives no logits for {mode_name(mode)}"):
            ExactShapley(RemoteModel("http://localhost:9", "some"), inference_mode=mode)

    class Unhashable:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            return logits.gather(-1, targets[..., None])[..., 0]

    with pytest.raises(ValueError, match="A server gives no logits for Unhashable"):
        ExactShapley(RemoteModel("http://localhost:9", "some"), inference_mode=Unhashable())
    with pytest.raises(ValueError, match="KL compares with the prediction after the whole prompt, where its gradient is zero"):
        Saliency(model, tokenizer, inference_mode=KL)
    for k in (0, 1.5, True):
        with pytest.raises(ValueError, match="k must be a positive int"):
            TopMass(k)  # type: ignore[arg-type]
    for mode in (KL, InferenceModes.SIMILARITY):
        with pytest.raises(TypeError, match=r"nothing of logits|do not show"):
            mode(torch.zeros(1, 2), torch.tensor([0]))
