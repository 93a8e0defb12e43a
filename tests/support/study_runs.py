"""Runs of studies over the shipped models' prompts, and what stands in for their explanations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support.study_tasks import Explains

from interpreto_mllm.studies.spec import DataSpec, MethodSpec, ModelSpec, RunSpec, Selection


def shipped_runs(
    samples: int, *methods: str, metrics: Sequence[str] = (), budget: int = 40, model: str = "shipped:text"
) -> list[RunSpec]:
    """A run of each method."""
    return [
        RunSpec(
            name=method,
            model=ModelSpec(name=model),
            data=DataSpec(name="shipped:text", select=Selection(max=samples)),
            method=MethodSpec(name=method, call={"budget": budget}),
            metrics=tuple(metrics),
        )
        for method in methods
    ]


def light(run: Any, sample: Any, checkpoint: Path, seconds: float = 0.0, kills: Path | None = None) -> Explains:
    """The task of a sample, without a model."""
    return Explains(sample.identity, seconds, kills)
