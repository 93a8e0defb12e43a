"""Rescoring with the similarity that a result was made with leaves its scores as they are, bit for bit."""

from __future__ import annotations

import pytest
import torch

from interpreto_mllm import (
    Attribution,
    AttributionExplainer,
    GaussianProcessShapley,
    KernelShap,
    NeymanShapley,
    Patches,
    ResponseSimilarity,
    Rule,
)
from interpreto_mllm.aggregators import KernelAggregator
from interpreto_mllm.perturbators import PermutationPerturbator
from interpreto_mllm.similarity import TfIdf
from interpreto_mllm.testbed import load_sight, sample_scene_prompts

MODE = ResponseSimilarity(similarity=TfIdf(), generate={"max_new_tokens": 4})


def unchanged(result: Attribution) -> None:
    """Rescoring changes neither scores nor errors, although coalitions were evaluated that are no part of the sample."""
    assert len(result.evaluations.drawn.coalitions) < len(result.coalitions)
    again = result.rescore(ResponseSimilarity(similarity=TfIdf()))
    assert torch.equal(again.values, result.values)
    assert torch.equal(again.attributions, result.attributions)
    assert (again.standard_errors is None) == (result.standard_errors is None)
    if again.standard_errors is not None and result.standard_errors is not None:
        assert torch.equal(again.standard_errors, result.standard_errors)


@pytest.mark.parametrize("method", [GaussianProcessShapley, NeymanShapley, KernelShap])
def test_coalitions_of_one_modality_are_evaluated_beside_the_sample(method):
    explainer = method(*load_sight(), inference_mode=MODE, image_granularity=Patches(2, 2), budget=32, progress=False)
    [result] = explainer(sample_scene_prompts(1, asks="colour", seed=1)[0].messages)
    unchanged(result)


class AfterThreeRounds(Rule):
    """Met when it is asked for the third time."""

    asked = 0

    def settled(self, scores, errors):
        self.asked += 1
        return self.asked == 3


class AsIfSampled(KernelAggregator):
    """Gives standard errors whatever was drawn, so that a rule is asked."""

    def aggregate(self, evaluations):
        return self.regress(evaluations)


def test_an_early_stop_leaves_coalitions_of_earlier_samples(recall):
    parts = {"perturbator": PermutationPerturbator(), "aggregator": AsIfSampled()}
    options = {"inference_mode": MODE, "budget": 300, "seed": 1, "until": AfterThreeRounds(), "progress": False}
    explainer = AttributionExplainer(*recall, **parts, **options)
    [result] = explainer("the apple is red . what is the apple ?", "red")
    assert result.counts.saved and len(result.evaluations.drawn.coalitions) < len(result.coalitions)
    unchanged(result)
