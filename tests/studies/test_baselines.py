"""What runs keep of trivial rankings."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from interpreto_mllm import KernelShap, Saliency, punctuation
from interpreto_mllm.metrics import EvaluatedGame, find_metric
from interpreto_mllm.metrics.judging import judge
from interpreto_mllm.studies.baselines import baseline_numbers

TEXT = "the apple is red . the sky is blue . what is the apple ?"
CAUSES = ("apple", "red")


@pytest.fixture(scope="module")
def explained(recall: Any) -> Any:
    explainer = KernelShap(*recall, pinned=punctuation, budget=40)
    return explainer, explainer(TEXT, " red")[0]


def numbers(explained: Any, truth: Any, *metrics: str) -> dict[str, Any]:
    explainer, explanation = explained
    game = EvaluatedGame.of(judge([explainer]).game(TEXT, " red"), [explanation])
    return baseline_numbers(explanation, [find_metric(name) for name in metrics], truth, game)


def test_numbers_are_those_of_rankings_by_hand(explained: Any) -> None:
    truth = [feature.text in CAUSES for feature in explained[1].features]
    found = numbers(explained, truth, "pointing", "gini", "top_k_drop")
    assert set(found) == {"random", "length", "position", "leave-one-out"}
    game, n = explained[0].game(TEXT, " red"), explained[1].n
    everything = torch.ones(1, n, dtype=torch.bool)
    falls = (game(everything) - game(everything & ~torch.eye(n, dtype=torch.bool))).squeeze(1)
    assert found["leave-one-out"]["top_k_drop@1"] == pytest.approx(float(falls.max()), abs=1e-5)
    assert found["leave-one-out"]["pointing"] == float(truth[int(falls.argmax())])
    assert found["position"]["pointing"] == float(truth[-1])
    assert 0 < found["random"]["pointing"] < 1
    assert "gini" not in found["random"]


def test_they_are_the_same_for_every_method_and_need_something_to_measure(explained: Any, recall: Any) -> None:
    gradients = Saliency(*recall, pinned=punctuation, whole_answer=True)
    other = numbers((gradients, gradients(TEXT, " red")[0]), None, "top_k_drop")
    for name, found in numbers(explained, None, "top_k_drop").items():
        assert found == pytest.approx(other[name], abs=1e-5)
    assert numbers(explained, None, "gini", "pointing") == {}
