"""Statistics of methods over a data set, against scipy and definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from interpreto_mllm.metrics import compare_methods
from interpreto_mllm.metrics.comparison import bootstrap_interval, holm, wilcoxon

stats = pytest.importorskip("scipy.stats")

GENERATOR = np.random.default_rng(0)
NOISE = GENERATOR.normal(size=(12, 4))
TABLE = {
    name: (NOISE[:, column] + shift).tolist() for column, (name, shift) in enumerate({"a": 4, "b": 3.5, "c": 0, "d": 0}.items())
}


def test_ranks_are_means_over_prompts_and_ties_share():
    found = compare_methods({"a": [3.0, 1.0], "b": [2.0, 1.0], "c": [1.0, 2.0]}, "higher").average_ranks
    assert found == {"a": (1 + 2.5) / 2, "b": (2 + 2.5) / 2, "c": (3 + 1) / 2}
    assert compare_methods({"a": [3.0], "b": [2.0]}, "lower").average_ranks == {"a": 2.0, "b": 1.0}


def test_pairs_are_compared_by_wilcoxon_with_holm():
    differences = compare_methods(TABLE, "higher").differences()
    raw = [stats.wilcoxon(np.subtract(TABLE[d.first], TABLE[d.second])).pvalue for d in differences]
    assert [d.p_value for d in differences] == pytest.approx(raw)
    order, expected, most = sorted(range(6), key=lambda i: raw[i]), {}, 0.0
    for place, index in enumerate(order):
        most = max(most, min(1.0, (6 - place) * raw[index]))
        expected[index] = most
    assert [d.adjusted for d in differences] == pytest.approx([expected[i] for i in range(6)])
    assert all(d.low < d.difference < d.high for d in differences)
    assert differences[0].difference == pytest.approx(np.mean(TABLE["a"]) - np.mean(TABLE["b"]))


def test_intervals_are_quantiles_of_resampled_means():
    values = np.array([0.1, 0.4, 0.2, 0.9, 0.5, 0.3])
    low, high = bootstrap_interval(values)
    generator = np.random.default_rng(5)
    means = [generator.choice(values, 6).mean() for _ in range(4000)]
    assert [low, high] == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.02)
    assert bootstrap_interval(values) == (low, high)
    assert all(map(math.isnan, bootstrap_interval(np.array([1.0]))))
    assert bootstrap_interval(np.ones(4)) == (1.0, 1.0)


def test_equal_methods_do_not_differ():
    assert wilcoxon(np.zeros(5)) == 1.0
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    same = compare_methods({"a": [1.0, 2.0, 3.0], "b": [1.0, 2.0, 3.0], "c": [1.0, 2.0, 3.0]}, "higher")
    assert same.friedman == 1.0 and same.cliques() == [("a", "b", "c")]


def test_friedman_and_the_critical_difference_are_demsars():
    comparison = compare_methods(TABLE, "higher")
    assert comparison.friedman == pytest.approx(stats.friedmanchisquare(*TABLE.values()).pvalue)
    assert comparison.critical_difference == pytest.approx(2.569 * math.sqrt(4 * 5 / (6 * 12)), rel=1e-3)  # his table 5
    assert math.isnan(compare_methods({"a": [1.0, 2.0], "b": [2.0, 1.0]}, "higher").friedman)


def test_cliques_are_the_largest_groups_that_do_not_differ():
    comparison = compare_methods(TABLE, "higher")
    assert [set(clique) for clique in comparison.cliques()] == [{"a", "b"}, {"c", "d"}]
    ranks = comparison.average_ranks
    for clique in comparison.cliques("nemenyi"):
        assert max(ranks[name] for name in clique) - min(ranks[name] for name in clique) <= comparison.critical_difference


def test_prompts_without_a_value_are_left_out():
    comparison = compare_methods({"a": [1.0, math.nan, 3.0], "b": [2.0, 2.0, 1.0]}, "higher")
    assert comparison.prompts == 2 and comparison.intervals["a"][0] == 2.0
    with pytest.raises(ValueError, match="no prompt of which every method"):
        compare_methods({"a": [math.nan], "b": [1.0]}, "higher")
    with pytest.raises(ValueError, match="Two methods or more"):
        compare_methods({"a": [1.0]}, "higher")
    with pytest.raises(ValueError, match="Two methods or more"):
        compare_methods({"a": [1.0], "b": [1.0, 2.0]}, "higher")
    with pytest.raises(ValueError, match="direction 'none'"):
        compare_methods({"a": [1.0], "b": [1.0]}, "none")


def test_the_picture_shows_methods_at_their_ranks(tmp_path):
    comparison = compare_methods(TABLE, "higher")
    figure = comparison.plot(tmp_path / "ranks.png", title="insertion")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert {"a  1.42", "insertion", "1", "4"} <= set(texts) or any(text.startswith("a  ") for text in texts)
    thick = [line for line in figure.axes[0].lines if line.get_linewidth() == 4]
    assert len(thick) == 2 and (tmp_path / "ranks.png").stat().st_size > 5000
    ranks = comparison.average_ranks
    assert min(thick[0].get_xdata()) == pytest.approx(min(ranks["a"], ranks["b"]) - 0.04)
    assert "critical difference" in comparison.plot(by="nemenyi").texts[0].get_text()


@pytest.mark.parametrize("differences", [[0.5, -0.25, 1.0, 2.0, 0.75], [0.0, 0.5, 0.5, -0.5, 1.0, 0.5], [1.0, 0.0, 0.0, 2.0]])
def test_wilcoxons_test_of_few_prompts_is_that_of_scipy_also_with_ties(differences: list[float]) -> None:
    expected = stats.wilcoxon(differences, zero_method="zsplit").pvalue
    assert wilcoxon(np.asarray(differences)) == pytest.approx(expected)
