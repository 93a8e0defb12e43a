"""A trace adds up: what thoughts did is passed on, path by path, and nothing of it is lost."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from interpreto_mllm import Attribution, Feature, play
from interpreto_mllm.aggregators import ShapleyAggregator
from interpreto_mllm.perturbators import ExactPerturbator
from interpreto_mllm.results.trace import ThoughtFlow

N, K = 3, 3
NAMES = [
    *(Feature(f"part {index}") for index in range(N)),
    *(Feature(f"thought {index}", part="thoughts") for index in range(K)),
]


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


def test_features_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="Thought 2 has other features"):
        ThoughtFlow(record(N + 2, 7), (record(N, 0), record(N, 1)))
    with pytest.raises(ValueError, match="parts of the prompt besides the thoughts"):
        ThoughtFlow(record(1, 0), (record(1, 0),))
