"""Gradient methods on real models, against plain autograd loops, completeness, and what coalitions say."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support import zoo
from support.gradients_by_hand import by_hand, causal_value

from interpreto_mllm import (
    ExactShapley,
    GradientShap,
    InferenceModes,
    InputXGradient,
    IntegratedGradients,
    Replace,
    Saliency,
    SmoothGrad,
    SquareGrad,
    VarGrad,
)

MODEL, TOKENIZER = zoo.build("llama"), zoo.byte_bpe()
PROMPT, TARGET = "The sky is blue, apples", " red one"
IDS = TOKENIZER(PROMPT)["input_ids"]
ANSWER = TOKENIZER.encode(TARGET, add_special_tokens=False)
EMBEDDING = MODEL.get_input_embeddings()
WHOLE = EMBEDDING(torch.tensor(IDS)).detach()
KINDS = {
    Saliency: "mean",
    InputXGradient: "difference",
    IntegratedGradients: "difference",
    GradientShap: "difference",
    SmoothGrad: "mean",
    SquareGrad: "square",
    VarGrad: "variance",
}
COUNTS: dict[Any, dict[str, Any]] = {
    IntegratedGradients: {"steps": 4},
    GradientShap: {"samples": 4, "noise": 0.05},
    SmoothGrad: {"samples": 4},
    SquareGrad: {"samples": 4},
    VarGrad: {"samples": 4},
}


def owner_of(explanation: Any) -> list[int]:
    owner = [-1] * len(IDS)
    for number, feature in enumerate(explanation.features):
        for position in feature.positions:
            owner[position] = number
    return owner


def check(method: type, hidden: str, tokens: str, mode: InferenceModes = InferenceModes.LOG_SOFTMAX, **options: Any) -> None:
    explainer = method(
        MODEL,
        TOKENIZER,
        baseline="mean",
        hidden=hidden,
        tokens=tokens,
        inference_mode=mode,
        **COUNTS.get(method, {}),
        **options,
    )
    [found] = explainer(PROMPT, TARGET)
    start = EMBEDDING.weight.mean(0).detach().expand(WHOLE.shape)
    for place in range(len(ANSWER)):
        value = causal_value(MODEL, IDS, ANSWER, place, mode.value)
        wanted = by_hand(value, found.gradients.points, WHOLE, start, owner_of(found), KINDS[method], hidden, tokens)
        torch.testing.assert_close(found.attributions[place].float(), torch.tensor(wanted), rtol=2e-3, atol=2e-5)
    assert found.counts.points == len(found.gradients.points) == COUNTS.get(method, {}).get("steps", found.counts.points)


@pytest.mark.parametrize("method", KINDS)
def test_every_method_is_the_plain_loop(method: type) -> None:
    check(method, "sum", "sum")


@pytest.mark.parametrize("hidden, tokens", [("l1", "mean"), ("l2", "max"), ("sum", "signed_max")])
def test_reductions_are_those_of_the_plain_loop(hidden: str, tokens: str) -> None:
    check(VarGrad, hidden, tokens)
    check(IntegratedGradients, hidden, tokens, InferenceModes.SOFTMAX, batch_size=3)


@pytest.mark.thorough
@pytest.mark.parametrize("method", KINDS)
@pytest.mark.parametrize("hidden", ["sum", "l1", "l2"])
@pytest.mark.parametrize("tokens", ["sum", "mean", "max", "signed_max"])
def test_every_reduction_of_every_method_is_that_of_the_plain_loop(method: type, hidden: str, tokens: str) -> None:
    check(method, hidden, tokens, InferenceModes.LOGITS, batch_size=3)


def test_integrated_gradients_are_complete_and_the_gap_shrinks() -> None:
    gaps = []
    for steps in (4, 16, 64):
        [found] = IntegratedGradients(MODEL, TOKENIZER, steps=steps)(PROMPT, TARGET)
        assert found.completeness_gap is not None
        gaps.append(float(found.completeness_gap.abs().max()))
    assert gaps[0] > 10 * gaps[1] > 100 * gaps[2]
    assert gaps[2] < 1e-5
    assert (
        found.empty.allclose(ExactShapley(MODEL, TOKENIZER).game(PROMPT, TARGET)(torch.ones(1, 6).bool())[0].double()) is False
    )


@pytest.mark.parametrize("rule", ["gauss-legendre", "riemann-left", "riemann-middle", "riemann-right", "riemann-trapezoid"])
def test_every_rule_of_integration_comes_to_the_same(rule: Any) -> None:
    [found] = IntegratedGradients(MODEL, TOKENIZER, steps=100, rule=rule)(PROMPT, " red")
    [exact] = IntegratedGradients(MODEL, TOKENIZER, steps=32)(PROMPT, " red")
    torch.testing.assert_close(found.attributions, exact.attributions, rtol=0, atol=0.06)


def test_the_prompt_and_a_baseline_of_tokens_are_worth_what_coalitions_are() -> None:
    options: dict[str, Any] = {"inference_mode": InferenceModes.LOGITS}
    game = InputXGradient(MODEL, TOKENIZER, occlusion=Replace("<unk>"), **options).game(PROMPT, TARGET)
    plain = ExactShapley(MODEL, TOKENIZER, occlusion=Replace("<unk>"), **options).game(PROMPT, TARGET)
    coalitions = torch.tensor([[True] * 6, [False] * 6, [True, False] * 3, [False, True, True] * 2])
    torch.testing.assert_close(game(coalitions).float(), plain(coalitions), rtol=1e-4, atol=1e-4)
    assert game.fingerprint != plain.fingerprint
