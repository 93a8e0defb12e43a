"""Perturbation algorithms of captum on our games: their own numbers, with every coalition evaluated once."""

from __future__ import annotations

from typing import Any

import captum.attr
import pytest
import torch
from support.games import dense_game
from support.zoo import build, byte_bpe

from interpreto_mllm import AttributionExplainer, ExactShapley, InputXGradient, Occlusion, from_captum, play
from interpreto_mllm.aggregators import BanzhafAggregator
from interpreto_mllm.perturbators import ExactPerturbator

N = 5
ALGORITHMS: dict[str, tuple[Any, dict[str, Any]]] = {
    "FeatureAblation": (captum.attr.FeatureAblation, {}),
    "ShapleyValues": (captum.attr.ShapleyValues, {"perturbations_per_eval": 4}),
    "ShapleyValueSampling": (captum.attr.ShapleyValueSampling, {"n_samples": 4}),
    "KernelShap": (captum.attr.KernelShap, {"n_samples": 20}),
    "Lime": (captum.attr.Lime, {"n_samples": 20}),
}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_scores_are_those_that_captum_gives_of_the_game(name: str) -> None:
    algorithm, arguments = ALGORITHMS[name]
    game, asked = dense_game(N), []

    def watched(coalitions: torch.Tensor) -> torch.Tensor:
        asked.extend(map(tuple, coalitions.tolist()))
        return game(coalitions)

    before = torch.get_rng_state()
    result = play(watched, *from_captum(algorithm, seed=3, **arguments), n_features=N, progress=False)
    assert torch.equal(torch.get_rng_state(), before)
    assert len(asked) == len(set(asked)) == result.counts.evaluations
    for target in range(result.t):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            theirs = algorithm(lambda inputs: game(inputs.bool()).double()).attribute(
                torch.ones(1, N).double(), baselines=torch.zeros(1, N).double(), target=target, **arguments
            )[0]
        torch.testing.assert_close(result.attributions[target].double(), theirs.double(), rtol=1e-6, atol=1e-9)


def test_on_a_model_exact_ones_are_ours(recall: Any) -> None:
    prompt, target, options = "the apple is red .", " red .", {"pinned": ["the"], "progress": False}
    for algorithm, ours, estimand in (
        (captum.attr.ShapleyValues, ExactShapley, "Shapley value"),
        (captum.attr.FeatureAblation, Occlusion, "leave-one-out"),
    ):
        perturbator, aggregator = from_captum(algorithm)
        explainer = AttributionExplainer(*recall, perturbator=perturbator, aggregator=aggregator, **options)
        [found], [expected] = explainer(prompt, target), ours(*recall, **options)(prompt, target)
        torch.testing.assert_close(found.attributions.double(), expected.attributions.double(), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(found.span().attributions, expected.span().attributions, rtol=1e-5, atol=1e-5)
        assert found.exact and found.estimand == estimand


@pytest.mark.parametrize("layer", [None, "model.layers.0"])
def test_gradients_at_a_layer_are_those_of_captum(layer: str | None) -> None:
    """Of its `LayerGradientXActivation`, whose baseline is zero."""
    model, tokenizer = build("llama"), byte_bpe()
    ids, answer = tokenizer.encode("The sky is blue, apples"), tokenizer.encode(" red one")
    [found] = InputXGradient(model, tokenizer, layer=layer, baseline="zero", progress=False)("The sky is blue, apples", answer)
    read = torch.tensor([[*ids, *answer[:-1]]])
    for place, token in enumerate(answer):
        at = len(ids) + place - 1
        theirs = captum.attr.LayerGradientXActivation(
            lambda read, at=at, token=token: model(input_ids=read).logits[:, at].log_softmax(-1)[:, token],
            model.get_submodule(layer or "model.embed_tokens"),
        ).attribute(read)
        of_tokens = (theirs[0] if isinstance(theirs, tuple) else theirs)[0].sum(-1)
        expected = torch.stack([of_tokens[list(feature.positions)].sum() for feature in found.features]).detach()
        torch.testing.assert_close(found.attributions[place].float(), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_played_is_refused() -> None:
    for wrong in (captum.attr.IntegratedGradients, captum.attr.FeatureAblation(lambda x: x), "Lime"):
        with pytest.raises(TypeError, match="from_captum takes a class of captum that perturbs its inputs"):
            from_captum(wrong)  # type: ignore[arg-type]
    perturbator, aggregator = from_captum(captum.attr.ShapleyValueSampling, n_samples=10)
    with pytest.raises(ValueError, match="at least"):
        play(dense_game(N), perturbator, aggregator, n_features=N, budget=5)
    some = play(dense_game(N), ExactPerturbator(), BanzhafAggregator(), n_features=N)
    torch.testing.assert_close(some.reaggregate(aggregator).attributions.sum(1), some.full - some.empty)
    few = play(dense_game(N), *from_captum(captum.attr.FeatureAblation), n_features=N)
    with pytest.raises(ValueError, match=r"asks for coalitions that were not evaluated.*from_captum"):
        few.reaggregate(aggregator)
    with pytest.raises(ValueError, match="neither absent nor present"):
        play(dense_game(N), *from_captum(lambda forward: _Halves(forward)), n_features=N)


class _Halves:
    def __init__(self, forward: Any):
        self.forward = forward

    def attribute(self, inputs: torch.Tensor, **_: Any) -> torch.Tensor:
        return self.forward(inputs / 2)
