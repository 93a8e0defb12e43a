"""Kinds of figures: their bars are the scores, and no label lies on another, also with many features and on narrow paper."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from support.pages import explained, worded

from interpreto_mllm.aggregators import KernelAggregator, MarginalAggregator, ShapleyAggregator
from interpreto_mllm.attribution import Attribution
from interpreto_mllm.explainers.play import play
from interpreto_mllm.perturbators import ExactPerturbator, KernelPerturbator, PermutationPerturbator
from interpreto_mllm.plots.figure import KINDS
from interpreto_mllm.results.convergence import convergence

RANDOM = np.random.default_rng(0)
LONG = " ".join(f"{'extraordinarily' if i % 7 == 0 else 'word'}{i}" for i in range(300))
MANY = explained(RANDOM.standard_normal((40, 300)).tolist(), worded(LONG), LONG, targets=[f" token{i}" for i in range(40)])
FEW = explained([[1.0, -2.0, 0.25], [0.5, 0.5, -3.0]], worded("a b c"), "a b c", targets=[" x", " y"])


def game(coalitions: torch.Tensor) -> torch.Tensor:
    weights = torch.arange(1.0, 9.0, dtype=torch.float64)
    return (coalitions.double() @ weights + coalitions[:, :3].all(1) * 3 - coalitions[:, 2:7].any(1) * 4.0)[:, None]


def drawn_game(perturbator: Any, aggregator: Any, budget: int = 120) -> Attribution:
    return play(game, perturbator, aggregator, n_features=8, budget=budget, seed=3, progress=False)


@pytest.mark.parametrize("width", [None, 3.4])
@pytest.mark.parametrize("kind", ["bars", "heat map", "waterfall", "force", "budget"])
def test_no_label_lies_on_another(kind: str, width: float | None) -> None:
    figure = (drawn_game(KernelPerturbator(), KernelAggregator()) if kind == "budget" else MANY).plot(kind=kind, width=width)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = canvas.get_renderer()
    texts = [*figure.texts, *(text for axes in figure.axes for text in _texts(axes))]
    boxes = [(text.get_text(), text.get_window_extent(drawn)) for text in texts if text.get_text().strip()]
    assert len(boxes) > 6
    for (one, first), (two, second) in itertools.combinations(boxes, 2):
        crossing = min(first.x1, second.x1) - max(first.x0, second.x0), min(first.y1, second.y1) - max(first.y0, second.y0)
        assert min(crossing) < 1, f"{one!r} lies on {two!r}"
    whole = figure.bbox
    for text, box in boxes:
        assert box.x0 > whole.x0 - 1 and box.x1 < whole.x1 + 1 and box.y0 > whole.y0 - 1 and box.y1 < whole.y1 + 1, text
    assert width is None or figure.get_size_inches()[0] == pytest.approx(width)


def _texts(axes: Any) -> list[Any]:
    return [*axes.texts, axes.xaxis.label, axes.yaxis.label, *_ticks(axes)]


def _ticks(axes: Any) -> list[Any]:
    """Labels of ticks within the axes."""
    (left, right), (bottom, top) = sorted(axes.get_xlim()), sorted(axes.get_ylim())
    along = [tick for tick in axes.xaxis.get_major_ticks() if left <= tick.get_loc() <= right]
    up = [tick for tick in axes.yaxis.get_major_ticks() if bottom <= tick.get_loc() <= top]
    return [tick.label1 for tick in (*along, *up) if tick.label1.get_visible()]


def test_a_waterfall_goes_from_nothing_to_the_whole() -> None:
    [axes] = FEW.plot(kind="waterfall", target=0).axes
    bars = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in axes.patches]
    named = [label.get_text() for label in axes.get_yticklabels()]
    assert named == ["b", "a", "c", "not attributed"]
    assert bars[0][0] == pytest.approx(-3.0) and bars[-1][1] == pytest.approx(-0.5)
    assert all(end == pytest.approx(start) for (_, end), (start, _) in itertools.pairwise(bars))
    assert [end - start for start, end in bars] == pytest.approx([-2.0, 1.0, 0.25, 2.5 + 0.75])
    assert [text.get_text() for text in axes.texts][:2] == ["−2.00", "+1.00"]


def test_a_waterfall_of_many_features_adds_the_others_up() -> None:
    [axes] = MANY.plot(kind="waterfall", target=2).axes
    widths, scores = [patch.get_width() for patch in axes.patches], MANY.attributions[2]
    strongest = scores[scores.abs().argsort(descending=True)[:12]]
    assert widths[:12] == pytest.approx(strongest.tolist()) and widths[12] == pytest.approx(
        float(scores.sum() - strongest.sum())
    )


def test_forces_are_all_scores_towards_and_then_all_against() -> None:
    [axes] = FEW.plot(kind="force", target=1).axes
    lines = {line: [p for p in axes.patches if round(p.get_y() + p.get_height() / 2) == line] for line in (0, 1)}
    assert [patch.get_width() for patch in lines[0]] == pytest.approx([0.5, 0.5])
    assert [patch.get_width() for patch in lines[1]] == pytest.approx([-3.0])
    assert lines[0][0].get_x() == pytest.approx(-3.0) and lines[1][0].get_x() == pytest.approx(-2.0)
    [axes] = MANY.plot(kind="force", target=0).axes
    assert sum(p.get_width() for p in axes.patches) == pytest.approx(float(MANY.attributions[0].sum()))


def test_stages_are_the_estimates_of_the_first_permutations() -> None:
    """Each by hand: the mean of what every feature adds when it joins, over the first so many permutations."""
    whole = drawn_game(PermutationPerturbator(), MarginalAggregator())
    rows, seen, gains, by_hand = whole.evaluations.draws.reshape(-1, 9), set(), torch.zeros(1, 8), {}
    for count, order in enumerate(rows.tolist(), start=1):
        for before, after in itertools.pairwise(order):
            joined = int((whole.coalitions[after] ^ whole.coalitions[before]).byte().argmax())
            gains[0, joined] += float(whole.values[after, 0] - whole.values[before, 0])
        seen.update(order)
        by_hand.setdefault(len(seen | {0, 1}), []).append((gains / count - whole.attributions).square().mean().sqrt().item())
    stages = convergence(whole)
    assert len(stages) > 4 and stages[-1].distance == 0 and stages[-1].evaluations == len(whole.coalitions)
    for stage in stages[:-1]:
        assert any(abs(stage.distance - distance) < 1e-6 for distance in by_hand[stage.evaluations])


def test_parts_of_a_sample_are_samples() -> None:
    """The part of 60 of a sample of 120 is as much further from the truth as samples of 60 are, on average over seeds."""
    budgets, far = {60: 0.0, 120: 0.0}, []
    for seed in range(20):
        exact = play(game, ExactPerturbator(), ShapleyAggregator(), n_features=8, progress=False).attributions
        results = {
            budget: play(game, KernelPerturbator(), KernelAggregator(), n_features=8, budget=budget, seed=seed, progress=False)
            for budget in budgets
        }
        for budget, result in results.items():
            budgets[budget] += float((result.attributions - exact).square().mean()) / 20
        stages = convergence(results[120])
        far.append(min(stages, key=lambda stage: abs(stage.evaluations - 60)))
    assert all(52 < stage.evaluations < 68 for stage in far)
    assert 0.4 < sum(stage.distance**2 for stage in far) / 20 / (budgets[60] - budgets[120]) < 2.5


def test_the_settling_of_scores_is_drawn(tmp_path: Path) -> None:
    result = drawn_game(KernelPerturbator(), KernelAggregator())
    [axes] = result.plot(tmp_path / "budget.svg", kind="budget", width=3.4).axes
    stages = convergence(result)
    drawn = {line.get_label(): line.get_xydata() for line in axes.lines}
    expected = np.array([(stage.evaluations, stage.distance) for stage in stages[:-1]])
    np.testing.assert_allclose(drawn["distance from the final scores"], expected)
    assert "evaluations</text>" in (tmp_path / "budget.svg").read_text(encoding="utf-8")


def test_what_was_not_drawn_did_not_settle() -> None:
    with pytest.raises(ValueError, match="Scores settle where coalitions are drawn"):
        drawn_game(ExactPerturbator(), ShapleyAggregator(), 256).plot(kind="budget")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_suits_one_feature(kind: str) -> None:
    one = explained([[0.25]], worded("hello"), "hello")
    if kind == "budget":
        with pytest.raises(ValueError, match="Scores settle"):
            one.plot(kind=kind)
        return
    one.plot(kind=kind)


def test_unknown_kinds_and_widths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"kind is 'bars', 'heat map', .* got 'pie'"):
        FEW.plot(kind="pie")
    with pytest.raises(ValueError, match="width is a number of inches from 2 to 40; got 0"):
        FEW.plot(width=0)
