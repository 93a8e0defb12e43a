"""Exact scores say so wherever they are shown, and errors that are not known are not shown."""

from __future__ import annotations

import io
import math
import re
from dataclasses import replace

import pytest
import torch
from support.games import dense_game

from interpreto_mllm.aggregators import KernelAggregator, LeaveOneOutAggregator, OwenAggregator, ShapleyAggregator
from interpreto_mllm.aggregators.aggregate import aggregate
from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.explainers.play import play
from interpreto_mllm.perturbators import (
    ExactPerturbator,
    HierarchicalPerturbator,
    KernelPerturbator,
    NeymanPerturbator,
    OcclusionPerturbator,
)
from interpreto_mllm.plots.terminal import coloured
from interpreto_mllm.results.shares import Shares

N, GROUPS = 6, [[0, 1], [2, 3], [4, 5]]


def shown(result):
    """Everything a reader sees."""
    from rich.console import Console

    terminal = io.StringIO()
    Console(width=200, file=terminal).print(coloured(result))
    page = re.sub(r"<style>.*?</style>|<script>.*?</script>", "", result._repr_html_(), flags=re.DOTALL)
    return [repr(result), page, terminal.getvalue()]


@pytest.mark.parametrize(
    "perturbator, aggregator",
    [
        (ExactPerturbator(), ShapleyAggregator()),
        (KernelPerturbator(), KernelAggregator()),
        (OcclusionPerturbator(), LeaveOneOutAggregator()),
        (HierarchicalPerturbator(GROUPS), OwenAggregator(GROUPS)),
    ],
    ids=lambda part: type(part).__name__,
)
def test_exact_scores(perturbator, aggregator):
    budget = None if isinstance(perturbator, OcclusionPerturbator) else 2**N
    result = play(dense_game(N), perturbator, aggregator, n_features=N, budget=budget, progress=False)
    assert result.exact
    assert all("exact" in text and "±" not in text for text in shown(result))
    assert result.to_frame()["standard_error"].tolist() == [0.0] * 2 * N
    assert all(torch.equal(end, result.attributions) for end in result.interval())
    assert result.normalized("share").exact and result.span().exact
    if result.evaluations.complete:
        assert "exact" in repr(result.interactions()) and "±" not in repr(result.interactions())


def test_sampled_scores_are_not_exact():
    result = play(dense_game(N), KernelPerturbator(), KernelAggregator(), n_features=N, budget=40, progress=False)
    assert not result.exact and all("±" in text and "exact" not in text for text in shown(result))


def test_unknown_errors_are_not_shown():
    result = play(dense_game(N), NeymanPerturbator(), KernelAggregator(), n_features=N, budget=40, progress=False)
    assert result.standard_errors is None and not result.exact
    assert not any("±" in text or "nan" in text or "exact" in text for text in shown(result))
    with pytest.raises(ValueError, match="perturbator says how they were drawn"):
        result.interval()


def test_a_target_that_never_changes_has_no_error_beside_others():
    game = dense_game(N, targets=1)
    both = lambda s: torch.cat([game(s), torch.ones(len(s), 1).double()], 1)  # noqa: E731
    result = play(both, KernelPerturbator(), KernelAggregator(), n_features=N, budget=40, progress=False)
    assert result.standard_errors[0].isfinite().all() and result.standard_errors[1].isnan().all()
    assert "±" in repr(result) and "nan" not in repr(result)
    assert math.isnan(result.to_frame()["standard_error"].iloc[-1])
    low, high = result.interval()
    assert low[0].isfinite().all() and high[1].isnan().all()


def test_a_constant_game_gives_no_errors_to_a_sample():
    result = play(
        lambda s: torch.ones(len(s)), KernelPerturbator(), KernelAggregator(), n_features=9, budget=60, progress=False
    )
    assert result.standard_errors is None


def test_repeats_that_agree_by_chance_do_not_make_a_sampled_answer_exact():
    class Plain(Aggregator):
        def aggregate(self, evaluations):
            gain = (evaluations.full - evaluations.empty)[:, None]
            return Estimate(gain, torch.zeros_like(gain), exact=True)

    known = play(lambda s: s[:, 0].double(), ExactPerturbator(), Plain(), n_features=1, progress=False).evaluations
    alike = replace(known, repeats=known.values.expand(3, -1, -1))
    assert aggregate(known, Plain()).standard_errors.tolist() == [[0.0]]
    assert aggregate(alike, Plain()).standard_errors is None


def test_shares_with_unknown_errors():
    assert repr(Shares({"text": 0.25, "image": 0.75}, {"text": math.nan, "image": math.nan})) == "{text: 0.25, image: 0.75}"
