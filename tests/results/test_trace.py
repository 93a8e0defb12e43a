"""A trace adds up: what thoughts did is passed on, path by path, and nothing of it is lost."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from interpreto_mllm import Attribution, Feature, play
from interpreto_mllm.aggregators import KernelAggregator, ShapleyAggregator
from interpreto_mllm.perturbators import ExactPerturbator, KernelPerturbator
from interpreto_mllm.plots.number_scale import NumberScale
from interpreto_mllm.plots.trace import _told, page
from interpreto_mllm.results.flow import NAMES as PARTS
from interpreto_mllm.results.flow import Flow, score_covariance
from interpreto_mllm.results.trace import ThoughtFlow

N, K = 3, 3
NAMES = [
    *(Feature(f"part {index}") for index in range(N)),
    *(Feature(f"thought {index}", part="thoughts") for index in range(K)),
]

MANY = [Feature(str(index), part="thoughts" if index > 5 else None) for index in range(8)]


def record(n: int, seed: int, mode: str = "log_softmax", gain: float | None = None) -> Attribution:
    """Of a game whose values are drawn; with a gain, of one that only all features together make likelier."""
    torch.manual_seed(seed)

    def game(coalitions: torch.Tensor) -> torch.Tensor:
        if gain is not None:
            return coalitions.all(1).double() * gain
        values = -torch.rand(len(coalitions)).double() - 2 * (~coalitions).sum(1)
        return values.exp() if mode == "softmax" else values

    played = play(game, ExactPerturbator(), ShapleyAggregator(), n_features=n, progress=False)
    return replace(played, features=NAMES[:n], targets=["x"], mode=mode, unit="token")


def flow(mode: str = "log_softmax") -> ThoughtFlow:
    return ThoughtFlow(record(N + K, 7, mode), tuple(record(N + thought, thought, mode) for thought in range(K)))


def paths(end: int, found: ThoughtFlow) -> Iterator[list[int]]:
    """All ways from something to a thought, as the numbers of thoughts from the last one back to where they begin."""
    yield [end]
    for earlier in range(end - N):
        for rest in paths(N + earlier, found):
            yield [end, *rest]


@pytest.mark.parametrize("mode", ["log_softmax", "softmax"])
def test_every_path_from_the_prompt_to_the_answer_counts_once(mode: str) -> None:
    """The slow way: the product of shares along each path, times what its last thought did to the answer."""
    found = flow(mode)
    scores = found.answer.attributions[0].double()
    through, kept = torch.zeros(N).double(), 0.0
    for last in range(N, N + K):
        for path in paths(last, found):
            carried = float(scores[last]) * math.prod(float(found.passed[end - N, start]) for end, start in pairwise(path))
            first = path[-1] - N
            through += carried * found.passed[first, :N]
            kept += carried * float(1 - found.passed[first].sum())
    assert found.through.tolist() == pytest.approx(through.tolist())
    assert float(found.kept.sum()) == pytest.approx(kept)


def test_shares_add_up_to_what_the_whole_prompt_is_worth() -> None:
    found = flow()
    whole = float(found.answer.full - found.answer.empty)
    assert float(found.total.sum() + found.kept.sum()) == pytest.approx(whole)
    assert float(found.shares.sum()) == pytest.approx(1)
    assert found.total.tolist() == pytest.approx((found.direct + found.through).tolist())
    into = sum(link.value for link in found.links() if link.end == N + K)
    assert into == pytest.approx(whole)
    for thought in range(K):
        comes, goes = (
            sum(link.value for link in found.links() if getattr(link, side) == N + thought) for side in ("end", "start")
        )
        assert comes + float(found.kept[thought]) == pytest.approx(goes)


def test_a_thought_keeps_what_it_owes_to_nothing_before_it() -> None:
    """A sentence that is as likely without the prompt passes nothing on; one that the prompt made e times likelier, 1 − 1/e."""
    for gain in (0.0, 1.0):
        found = ThoughtFlow(record(N + 1, 7), (record(N, 0, gain=gain),))
        assert float(found.passed.sum()) == pytest.approx(1 - math.exp(-gain))
        assert float(found.kept[0]) == pytest.approx(float(found.carried[0]) * math.exp(-gain))


def sampled(n: int, seed: int, draw: int) -> Attribution:
    """Of a game whose triples of features interact, from a sample of its coalitions."""
    torch.manual_seed(seed)
    alone, chosen = torch.rand(n).double() + 0.7, torch.randint(n, (5, 3))
    triples = 0.4 * torch.randn(5).double()

    def game(coalitions: torch.Tensor) -> torch.Tensor:
        return coalitions.double() @ alone + coalitions[:, chosen].all(2).double() @ triples

    options = {"n_features": n, "budget": 42, "seed": draw, "progress": False}
    played = play(game, KernelPerturbator(), KernelAggregator(), **options)
    return replace(played, features=MANY[:n], targets=["x"], mode="log_softmax", unit="token")


def sampled_flow(draw: int) -> ThoughtFlow:
    """Of six parts of a prompt and two thoughts."""
    return ThoughtFlow(sampled(8, 7, draw), tuple(sampled(6 + thought, thought, draw) for thought in range(2)))


def test_errors_are_those_of_the_scores_passed_on() -> None:
    """The slow way: the slope of each part of the flow at each score, times the covariance of the scores."""
    found = sampled_flow(0)
    records = (found.answer, *found.sentences)
    scores = [record.attributions[0].double() for record in records]
    owed = [float(-torch.expm1(sentence.empty - sentence.full)) for sentence in found.sentences]
    assert found.standard_errors is not None
    for name in PARTS:
        variance = torch.zeros(len(getattr(found, name)), dtype=torch.float64)
        for number, record in enumerate(records):
            steps = 1e-5 * torch.eye(record.n, dtype=torch.float64)
            up, down = (
                Flow.of(moved[0], moved[1:], owed)
                for moved in (
                    [one + (way * steps if place == number else 0 * steps[:, :1]) for place, one in enumerate(scores)]
                    for way in (1, -1)
                )
            )
            slopes = ((getattr(up, name) - getattr(down, name)) / 2e-5).T
            variance += ((slopes @ score_covariance(record)) * slopes).sum(1)
        torch.testing.assert_close(getattr(found.standard_errors, name), variance.sqrt(), rtol=0.1, atol=1e-3)
    assert found.standard_errors.shares.max() < found.standard_errors.total.max()
    assert " ± " in "".join(_told(found, NumberScale(9.0), "total", part) for part in range(6))


def test_errors_foresee_how_far_other_samples_are_apart() -> None:
    flows = [sampled_flow(draw) for draw in range(12)]
    apart = torch.stack([found.total for found in flows]).std(0)
    errors = [found.standard_errors for found in flows]
    foreseen = torch.stack([each.total for each in errors if each is not None]).square().mean(0).sqrt()
    assert None not in errors
    assert bool(((apart / foreseen > 0.5) & (apart / foreseen < 1.5)).all())


def test_exact_scores_have_no_errors_and_unknown_errors_stay_unknown() -> None:
    found = flow()
    assert found.standard_errors is not None and not any(getattr(found.standard_errors, name).any() for name in PARTS)
    unknown = ThoughtFlow(replace(found.answer, standard_errors=None), found.sentences)
    assert unknown.standard_errors is None and "have no standard errors" in page(unknown)


def test_features_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="Thought 2 has other features"):
        ThoughtFlow(record(N + 2, 7), (record(N, 0), record(N, 1)))
    with pytest.raises(ValueError, match="parts of the prompt besides the thoughts"):
        ThoughtFlow(record(1, 0), (record(1, 0),))
