"""The result: what it says of itself, its spans, its other scales, and its file."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass

import pytest
import torch

from interpreto_mllm.aggregators import (
    Aggregator,
    BanzhafAggregator,
    Estimate,
    LeaveOneOutAggregator,
    LimeAggregator,
    OwenAggregator,
    ShapleyAggregator,
    SobolAggregator,
)
from interpreto_mllm.attribution import Attribution, Counts
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.results.normalisation import NORMALISATIONS, PowerShift, power_shift


@dataclass(frozen=True)
class Scaled(Aggregator):
    """Leave-one-out times a factor per feature, with made-up errors."""

    factors: tuple[float, ...]
    estimand = "scaled leave-one-out"

    def aggregate(self, evaluations: Evaluations) -> Estimate:
        lookup = {tuple(row.tolist()): value for row, value in zip(evaluations.coalitions, evaluations.values, strict=True)}
        n = evaluations.n
        drops = [evaluations.full - lookup[tuple(j != i for j in range(n))] for i in range(n)]
        scores = torch.stack(drops, 1) * torch.tensor(self.factors, dtype=torch.float64)
        return Estimate(scores, scores.abs() / 10)


def all_evaluations(values: torch.Tensor, n: int) -> Evaluations:
    """Every coalition of n players, the empty and full one first."""
    every = torch.tensor(list(itertools.product([False, True], repeat=n)))
    order = [0, 2**n - 1, *range(1, 2**n - 1)]
    draws = torch.arange(2**n)
    return Evaluations(every[order], values[order], draws, torch.ones(2**n).double(), torch.full((2**n,), -1))


def result(t: int = 3, mode: str = "log_softmax", unit: str = "token", aggregator: Aggregator | None = None) -> Attribution:
    generator = torch.Generator().manual_seed(1)
    values = -torch.rand(8, t, generator=generator, dtype=torch.float64)
    if mode == "softmax":
        values = values.exp()
    text = "La « vie » 東京"
    features = [
        Feature("La", ((0, 2),), (1,), role="user", turn=0),
        Feature("vie », 東", ((5, 8), (11, 12)), (3, 4), role="user", turn=0),
        Feature("京", ((12, 13),)),
    ]
    return Attribution.from_evaluations(
        all_evaluations(values, 3),
        aggregator or ShapleyAggregator(),
        counts=Counts(8, 6, 4, 99, 0.125),
        method="ExactPerturbator",
        features=features,
        targets=[f" t{i}" for i in range(t)],
        text=text,
        mode=mode,
        unit=unit,  # type: ignore[arg-type]
        notes=("a note",),
    )


def slow_shapley(evaluations: Evaluations, target: int) -> list[float]:
    """The definition: marginal contributions over all orders."""
    coalitions, values = evaluations.coalitions.tolist(), evaluations.values[:, target].tolist()
    worth = dict(zip(map(tuple, coalitions), values, strict=True))
    n, totals = evaluations.n, [0.0] * evaluations.n
    for order in itertools.permutations(range(n)):
        present = [False] * n
        for player in order:
            before = worth[tuple(present)]
            present[player] = True
            totals[player] += (worth[tuple(present)] - before) / math.factorial(n)
    return totals


def test_scores_are_those_of_the_definition_and_sum_up():
    explained = result()
    for target in range(3):
        assert explained.attributions[target].tolist() == pytest.approx(slow_shapley(explained.evaluations, target))
    assert explained.efficiency_gap.abs().max() < 1e-12
    assert (explained.full - explained.empty).tolist() == pytest.approx((explained.values[1] - explained.values[0]).tolist())
    assert (explained.t, explained.n, explained.estimand) == (3, 3, ShapleyAggregator().estimand)


def test_features_and_targets_have_default_names():
    plain = Attribution.from_evaluations(result().evaluations, ShapleyAggregator())
    assert [feature.text for feature in plain.features] == ["0", "1", "2"]
    assert plain.targets == ["0", "1", "2"]


def test_wrong_number_of_names_is_told():
    with pytest.raises(ValueError, match="2 targets and 3 features"):
        Attribution.from_evaluations(result().evaluations, ShapleyAggregator(), targets=["a", "b"])


@pytest.mark.parametrize("mode", ["log_softmax", "logits", "softmax"])
@pytest.mark.parametrize("bounds", [(None, None), (0, 2), (1, 3), (-2, None), (1, 2)])
def test_a_span_is_the_game_of_its_joint_value(mode, bounds):
    explained = result(mode=mode)
    span = explained.span(*bounds)
    chosen = explained.values[:, slice(*bounds)].tolist()
    joint = [[math.prod(row) if mode == "softmax" else math.fsum(row)] for row in chosen]
    expected = slow_shapley(explained.evaluations.with_values(torch.tensor(joint, dtype=torch.float64)), 0)
    assert span.attributions[0].tolist() == pytest.approx(expected)
    assert span.targets == ["".join(explained.targets[slice(*bounds)])]
    assert span.efficiency_gap.abs().max() < 1e-12


def test_a_span_of_log_probabilities_is_the_sum_of_its_rows_and_of_probabilities_is_not():
    logs, probabilities = result(), result(mode="softmax")
    assert torch.allclose(logs.span().attributions[0], logs.attributions.sum(0))
    assert not torch.allclose(probabilities.span().attributions[0], probabilities.attributions.sum(0))


@pytest.mark.parametrize("bounds", [(2, 2), (2, 1), (3, None), (0, 4), (-4, None)])
def test_an_empty_or_outside_span_is_refused(bounds):
    with pytest.raises(ValueError, match="it has 3 targets, 0 to 2"):
        result().span(*bounds)


def test_classes_have_no_span():
    with pytest.raises(ValueError, match="each target here is a class"):
        result(unit="class").span()


def test_reaggregation_needs_the_evaluations_only():
    explained = result()
    again = explained.reaggregate(LeaveOneOutAggregator())
    lookup = {tuple(row.tolist()): value for row, value in zip(explained.coalitions, explained.values, strict=True)}
    for i in range(3):
        without = lookup[tuple(j != i for j in range(3))]
        assert again.attributions[:, i].tolist() == pytest.approx((explained.full - without).tolist())
    assert again.estimand == LeaveOneOutAggregator().estimand
    assert again.features == explained.features


def scores_as(kind: str, row: list[float]) -> list[float]:
    """The formulas, once more and plainly."""
    low, high, total = min(row), max(row), sum(row)
    return {
        "identity": row,
        "abs_sum": [x / sum(map(abs, row)) for x in row],
        "max_abs": [x / max(map(abs, row)) for x in row],
        "share": [x / total for x in row],
        "min_max": [(x - low) / (high - low) for x in row],
        "power_shift": [(x - low) / sum(y - low for y in row) for x in row],
    }[kind]


@pytest.mark.parametrize("kind", list(NORMALISATIONS))
def test_normalisation_follows_its_formula_and_scales_the_errors(kind):
    explained = result(aggregator=Scaled((1.0, -2.0, 0.5)))
    view = explained.normalized(kind)
    for before, after in zip(explained.attributions.tolist(), view.attributions.tolist(), strict=True):
        assert after == pytest.approx(scores_as(kind, before))
    gaps = (explained.attributions[:, 0] - explained.attributions[:, 1]).abs()
    stretch = (view.attributions[:, 0] - view.attributions[:, 1]).abs() / gaps
    assert torch.allclose(view.standard_errors, explained.standard_errors * stretch[:, None])
    assert view.estimand == explained.estimand + ("" if kind == "identity" else f", {kind} normalised")
    assert torch.equal(view.span().attributions, explained.span().attributions)
    assert view.span().estimand == explained.estimand


@pytest.mark.parametrize(("kind", "zero", "same"), [
    ("identity", 0, 2), ("abs_sum", 0, 0.5), ("max_abs", 0, 1), ("share", 0, 0.5), ("min_max", 0, 0), ("power_shift", 0.5, 0.5),
])  # fmt: skip
def test_constant_rows_stay_numbers(kind, zero, same):
    scores, slope = NORMALISATIONS[kind](torch.tensor([[0.0, 0.0], [2.0, 2.0]]))
    assert scores.tolist() == [[zero, zero], [same, same]]
    assert slope.isfinite().all()


def test_cancelling_shares_are_zero():
    assert NORMALISATIONS["share"](torch.tensor([[0.1 + 0.2, -0.3]], dtype=torch.float64))[0].tolist() == [[0, 0]]


def test_power_shift_raises_to_its_power():
    scores = torch.tensor([[1.0, 2.0, 4.0]], dtype=torch.float64)
    found, slope = power_shift(scores, power=2.0)
    assert found[0].tolist() == pytest.approx([0, 1 / 10, 9 / 10])
    assert slope[0].tolist() == pytest.approx([0, 2 / 10, 6 / 10])
    with pytest.raises(ValueError, match="positive"):
        power_shift(scores, power=0.0)


def test_normalisers_of_ones_own_are_applied(tmp_path):
    explained = result(aggregator=Scaled((1.0, -2.0, 0.5)))
    squared = explained.normalized(PowerShift(2.0))
    expected, slope = power_shift(explained.attributions, 2.0)
    assert torch.equal(squared.attributions, expected) and squared.standard_errors.equal(explained.standard_errors * slope)
    assert squared.normalisation == "PowerShift(power=2.0)" and "PowerShift(power=2.0) normalised" in squared.estimand
    squared.save(tmp_path / "squared.json")
    assert (
        Attribution.load(tmp_path / "squared.json", aggregator=Scaled((1.0, -2.0, 0.5))).normalisation == squared.normalisation
    )

    def halved(scores):
        return scores / 2

    view = explained.normalized(halved)
    assert torch.equal(view.attributions, explained.attributions / 2) and view.standard_errors is None
    assert view.normalisation == "halved"
    both = explained.normalized(lambda scores: (scores / 2, torch.full_like(scores, 0.5)))
    assert both.standard_errors.equal(explained.standard_errors / 2)
    with pytest.raises(ValueError, match="power must be positive; got 0"):
        PowerShift(0)
    with pytest.raises(ValueError, match="this one gave shape"):
        explained.normalized(lambda scores: scores.sum(1))
    with pytest.raises(ValueError, match="gave list"):
        explained.normalized(lambda scores: scores.tolist())


def test_unknown_normalisation_lists_the_known():
    with pytest.raises(ValueError, match="'zscore'; choose one of identity, abs_sum, max_abs, share, min_max, power_shift"):
        result().normalized("zscore")


def assert_same(one: Attribution, other: Attribution) -> None:
    for name in ("features", "targets", "estimand", "method", "mode", "counts", "text", "unit", "notes", "normalisation"):
        assert getattr(one, name) == getattr(other, name), name
    pairs = [(one.attributions, other.attributions), (one.standard_errors, other.standard_errors)]
    pairs += [(getattr(one.evaluations, name), getattr(other.evaluations, name)) for name in vars(one.evaluations)]
    for before, after in pairs:
        if not isinstance(before, torch.Tensor):
            assert after == before
        else:
            assert before.dtype == after.dtype
            assert torch.equal(before, after)


@pytest.mark.parametrize("aggregator", [
    ShapleyAggregator(), BanzhafAggregator(), LeaveOneOutAggregator(), LimeAggregator(), Scaled((0.1, 1 / 3, -2.0)),
])  # fmt: skip
def test_a_file_gives_back_every_digit_and_a_working_aggregator(tmp_path, aggregator):
    explained = result(aggregator=aggregator)
    explained.save(tmp_path / "result.json")
    loaded = Attribution.load(tmp_path / "result.json")
    assert_same(explained, loaded)
    assert type(loaded.aggregator) is type(aggregator)
    assert torch.equal(loaded.span(0, 2).attributions, explained.span(0, 2).attributions)
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "result.json").read_bytes()


def test_a_view_is_kept_as_such(tmp_path):
    view = result().normalized("abs_sum")
    view.save(tmp_path / "view.json")
    loaded = Attribution.load(tmp_path / "view.json")
    assert_same(view, loaded)
    assert loaded.span().estimand == result().estimand


def test_other_dtypes_and_infinite_errors_survive(tmp_path):
    class Odd(Aggregator):
        def aggregate(self, evaluations: Evaluations) -> Estimate:
            errors = torch.tensor([[math.inf, -0.0, 1e-45]])
            return Estimate(torch.tensor([[0.1, 1e-300, 3.4e38]], dtype=torch.float32), errors)

    explained = result(t=1, aggregator=Odd())
    explained.save(tmp_path / "odd.json")
    assert_same(explained, Attribution.load(tmp_path / "odd.json"))


@pytest.mark.parametrize(
    ("made", "setting"),
    [(OwenAggregator([[0, 2], [1]]), "groups"), (SobolAggregator("first"), "order"), (LimeAggregator(0.3), "kernel_width")],
)
def test_settings_of_aggregators_come_back(tmp_path, made, setting):
    evaluations = result().evaluations
    explained = Attribution.from_evaluations(evaluations, ShapleyAggregator())
    kept = Attribution(**{**vars(explained), "aggregator": made})
    kept.save(tmp_path / "kept.json")
    loaded = Attribution.load(tmp_path / "kept.json").aggregator
    assert type(loaded) is type(made)
    assert getattr(loaded, setting) == getattr(made, setting)


def test_the_file_describes_itself(tmp_path):
    result().save(tmp_path / "result.json")
    content = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert content["format"] == "interpreto_mllm attribution"
    assert content["evaluations"]["coalitions"]["data"][:2] == ["000", "111"]
    assert content["features"][2]["text"] == "京"


def test_a_foreign_aggregator_is_missed_only_when_needed(tmp_path):
    explained = result(aggregator=Scaled((1.0, 1.0, 1.0)))
    explained.save(tmp_path / "result.json")
    text = (tmp_path / "result.json").read_text(encoding="utf-8")
    (tmp_path / "result.json").write_text(text.replace('"name": "Scaled"', '"name": "Unheard"'), encoding="utf-8")
    loaded = Attribution.load(tmp_path / "result.json")
    assert_same(explained, loaded)
    with pytest.raises(ValueError, match=r"Unheard.*is not available"):
        loaded.span()
    assert "Unheard" not in repr(loaded)
    loaded.save(tmp_path / "again.json")
    helped = Attribution.load(tmp_path / "again.json", aggregator=Scaled((1.0, 1.0, 1.0)))
    assert torch.equal(helped.span().attributions, explained.span().attributions)


def test_an_aggregator_named_in_a_file_is_never_imported_from_elsewhere(tmp_path):
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')")
    result().save(tmp_path / "result.json")
    content = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    for module in ("trap", "os", "interpreto_mllm.aggregators.nothing", "interpreto_mllm.aggregators.shapley.os"):
        content["aggregator"]["module"] = module
        (tmp_path / "changed.json").write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(ValueError, match="is not available"):
            Attribution.load(tmp_path / "changed.json").span()


@pytest.mark.parametrize(("content", "message"), [
    ("hello", "not JSON"),
    ("[1]", r"not an attribution file; give a file written by Attribution\.save"),
    ('{"format": "interpreto_mllm attribution", "version": 99}', "upgrade interpreto_mllm"),
    ('{"format": "interpreto_mllm attribution", "version": 1}', "damaged attribution file"),
])  # fmt: skip
def test_other_files_are_refused(tmp_path, content, message):
    (tmp_path / "file.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        Attribution.load(tmp_path / "file.json")


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no attribution file at"):
        Attribution.load(tmp_path / "none.json")


def test_frame_has_one_line_per_target_and_feature():
    pytest.importorskip("pandas")
    explained = result(aggregator=Scaled((1.0, 2.0, 3.0)))
    frame = explained.to_frame()
    assert len(frame) == 9
    line = frame[(frame.target_index == 2) & (frame.feature_index == 1)].iloc[0]
    assert (line.target, line.feature, line.role, line.start, line.end) == (" t2", "vie », 東", "user", 5, 12)
    assert (line.attribution, line.standard_error) == (
        explained.attributions[2, 1].item(),
        explained.standard_errors[2, 1].item(),
    )
    assert Attribution.from_evaluations(explained.evaluations, ShapleyAggregator()).to_frame().start.isna().all()


def test_frame_without_pandas_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install interpreto_mllm\[frame\]"):
        result().to_frame()


def test_repr_names_estimand_and_strongest_features():
    shown = repr(result(t=8))
    assert "Shapley" in shown.splitlines()[0]
    assert "3 features, 8 targets, 8 evaluations" in shown
    assert "… and 2 targets more" in shown
    strongest = max(result(t=8).attributions[0].tolist(), key=abs)
    assert f"{strongest:+.3g}" in shown.splitlines()[1]
