"""The catalogue, and the page that is made of it."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

import interpreto_mllm
from interpreto_mllm import metrics
from interpreto_mllm.metrics import METRICS, find_metric

ROOT = Path(__file__).parent.parent.parent


def test_the_page_has_the_table_that_make_tables_would_write():
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert runpy.run_path(str(ROOT / "benchmarks" / "metrics_page.py"))["filled"](page) == page
    assert all(f"| `{name}` |" in page for name in METRICS)


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_says_what_it_is(name):
    metric = METRICS[name]
    assert metric.name == name and metric.formula and metric.paper and metric.function.__doc__
    assert metric.direction in ("higher", "lower", "none")
    assert find_metric(name) is metric


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"no metric 'inserton_auc'\. Did you mean 'insertion_auc'\?"):
        find_metric("inserton_auc")
    with pytest.raises(ValueError, match=r"no metric 'zzzz'\. The metrics are: efficiency_gap"):
        find_metric("zzzz")


def test_public_names_are_found_from_the_root():
    assert interpreto_mllm.metrics is metrics
    assert all(hasattr(metrics, name) for name in metrics.__all__)


def test_metrics_take_arguments_of_their_own():
    from support.scored import additive, scored

    result = scored([3.0, 2.0, 1.0])
    drop = METRICS["top_k_drop"].function(result, 0, tops=(2,))
    next(drop)
    with pytest.raises(StopIteration) as end:
        drop.send(additive([3.0, 2.0, 1.0])(result.coalitions[[-1, 1]]))
    assert list(end.value.value) == ["top_k_drop@2"]
    assert METRICS["lds"].asking(scored([1.0] * 9))[0].questions.send(None).shape == (64, 9)
    assert next(METRICS["lds"].function(scored([1.0] * 9), 0, coalitions=20)).shape == (20, 9)
