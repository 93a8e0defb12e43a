"""Metrics by name: those of this library, entry points and import paths."""

from __future__ import annotations

import inspect
from dataclasses import replace
from functools import partial
from typing import Any

from interpreto_mllm.metrics.catalogue import METRICS
from interpreto_mllm.metrics.metric import Metric
from interpreto_mllm.studies.names import (
    METRICS_GROUP,
    check_arguments,
    from_entry_points,
    imported,
    is_import_path,
    loaded,
    unknown,
)
from interpreto_mllm.studies.spec import MetricSpec
from interpreto_mllm.studies.sweeps import label


def metric_names() -> list[str]:
    """All names but import paths."""
    return [*METRICS, *from_entry_points(METRICS_GROUP)]


def find_metric(metric: str | MetricSpec) -> Metric:
    """The metric of a name, with its arguments set.

    One of your own is a `Metric`, or a function from a result to a number or to numbers by name.

    Raises:
        ValueError: for a name that is none, with the nearest one; an import path that leads to no metric; an unknown argument.

    Example:
        >>> find_metric("gini").name, find_metric("math:sqrt").direction
        ('gini', 'none')
    """
    spec = MetricSpec(name=metric) if isinstance(metric, str) else metric
    found = _found(spec.name)
    short = spec.name.rpartition(":")[2]
    whole = found if isinstance(found, Metric) else Metric(spec.name, partial(_numbers, short, found), "none", "stored", "", "")
    if not spec.arguments:
        return whole
    function = found.function if isinstance(found, Metric) else found
    check_arguments(spec.name, function, spec.arguments, [*inspect.signature(function).parameters][:1])
    return replace(whole, name=label(spec), function=partial(whole.function, **spec.arguments))


def _found(name: str) -> Any:
    """A metric, or a function of one's own."""
    if name in METRICS:
        return METRICS[name]
    points = from_entry_points(METRICS_GROUP)
    if name not in points and not is_import_path(name):
        raise unknown("metrics", name, metric_names(), 'a function of your own as "package.module:name"')
    own = loaded(points[name]) if name in points else imported(name)
    if not callable(own) and not isinstance(own, Metric):
        raise ValueError(f"{name} is no metric: a metric is a function from a result to a number, or a Metric.")
    return own


def _numbers(name: str, function: Any, explanation: Any, **arguments: Any) -> dict[str, float]:
    """What a function returns, by name."""
    value = function(explanation, **arguments)
    return dict(value) if isinstance(value, dict) else {name: float(value)}
