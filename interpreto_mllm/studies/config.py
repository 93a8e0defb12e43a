"""The config of a study: what a file may say, its checks, and the concrete runs that it stands for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, JsonValue, Strict, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from interpreto_mllm.similarity.tf_idf import TfIdfCosine
from interpreto_mllm.studies.methods import resolved_method
from interpreto_mllm.studies.metrics import find_metric
from interpreto_mllm.studies.options import AXES, PLAIN, check_option, explainer_options
from interpreto_mllm.studies.problems import ConfigError, Location, Problem, as_written, problems_of
from interpreto_mllm.studies.reading import read_config
from interpreto_mllm.studies.schema import described
from interpreto_mllm.studies.spec import DataSpec, MethodSpec, MetricSpec, ModelSpec, RunSpec, Selection
from interpreto_mllm.studies.sweeps import expanded, named

Part = TypeVar("Part")


class _OneOrMany:
    """In a JSON schema, a list may be its only element."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        several = handler(schema)
        return {"anyOf": [several["items"], several]}


def _listed(given: Any) -> Any:
    return list(given) if isinstance(given, (list, tuple)) else [given]


Many = Annotated[tuple[Part, ...], BeforeValidator(_listed), _OneOrMany()]
"""One value, or several to sweep over."""

Swept = Annotated[Many[JsonValue], Field(default=())]


class Study(BaseModel):
    """All runs of a study: each combination of the values that are lists.

    Args:
        name: of the study.
        model, data, method: one or several; see `ModelSpec`, `DataSpec` and `MethodSpec`.
        selection: in place of `data.select`; one or several.
        metrics: what is measured of each explanation.
        seed: one or several.

    The other keys are options of an explainer: those of `AXES` take a list as values to sweep over, those of `PLAIN` do not.

    Example:
        >>> study = Study.from_values(
        ...     dict(name="demo", model="shipped:text", data="shipped:text", method=["exact", "limited_cc"], budget=[32, 64])
        ... )
        >>> [run.name for run in study.runs()]
        ['method=exact', 'method=limited_cc,budget=32', 'method=limited_cc,budget=64']
    """

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=described)

    name: str = Field(min_length=1)
    model: Many[ModelSpec]
    data: Many[DataSpec]
    selection: Many[Selection] = ()
    method: Many[MethodSpec]
    metrics: Many[MetricSpec] = ()
    seed: Many[Annotated[int, Strict()]] = (0,)

    budget: Swept
    fraction: Swept
    granularity: Swept
    image_granularity: Swept
    audio_granularity: Swept
    video_granularity: Swept
    occlusion: Swept
    image_occlusion: Swept
    audio_occlusion: Swept
    video_occlusion: Swept
    mode: Swept
    embedding: Swept
    similarity: Swept
    reducer: Swept
    normaliser: Swept
    modality: Swept

    until: JsonValue = None
    num_trials: JsonValue = None
    batch_size: JsonValue = None
    rows: JsonValue = None
    roles: JsonValue = None
    pinned: JsonValue = None
    groups: JsonValue = None
    generate: JsonValue = None
    share_prefixes: JsonValue = None
    baseline: JsonValue = None
    layer: JsonValue = None
    whole_answer: JsonValue = None
    batched_rows: JsonValue = None
    gradient_checkpointing: JsonValue = None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Study:
        """The study of a YAML or JSON file, checked.

        Raises:
            ConfigError: with all that is wrong, each with its file, line and key, and what is accepted.
        """
        written = read_config(path)
        given = {"name": Path(path).stem, **written.values}
        study, problems = _read(given)
        if study is None or problems:
            raise ConfigError(problems, str(path), written.lines)
        return study

    @classmethod
    def from_values(cls, given: Mapping[str, Any]) -> Study:
        """The study of these keys and values, checked.

        Raises:
            ConfigError: with all that is wrong.
        """
        study, problems = _read(given)
        if study is None or problems:
            raise ConfigError(problems)
        return study

    def runs(self) -> list[RunSpec]:
        """The concrete runs, those of one model and data one after the other, each with a name of its own.

        Keys that say nothing to a run are left out of it, and runs that are then equal are one: the budget of a method whose
        cost follows from the prompt, and embeddings where no answers are compared.
        """
        return named(self.name, expanded(self))


def _read(given: Mapping[str, Any]) -> tuple[Study | None, list[Problem]]:
    """The study, and what is wrong with it."""
    try:
        study = Study.model_validate(dict(given))
    except ValidationError as error:
        return None, problems_of(error, Study, given)
    found = [*_option_problems(study), *_part_problems(study)] or _run_problems(study)
    return study, [Problem(as_written(location, given), message) for location, message in found]


def _option_problems(study: Study) -> Iterator[tuple[Location, str]]:
    """Values that an option does not accept, and those that a list holds twice."""
    for name in AXES:
        values = getattr(study, name)
        for index, value in enumerate(values):
            if value in values[:index]:
                yield (name, index), f"{value!r} is there twice."
            yield from _refused((name, index), lambda name=name, value=value: check_option(name, value))
    for name in PLAIN:
        yield from _refused((name,), lambda name=name: check_option(name, getattr(study, name)))


def _part_problems(study: Study) -> Iterator[tuple[Location, str]]:
    """Methods, their arguments and options, and metrics that there are not."""
    for index, method in enumerate(study.method):
        yield from _refused(("method", index), lambda method=method: resolved_method(method))
        for name, value in method.call.items():
            for one in value if isinstance(value, list) and name in AXES else [value]:
                yield from _refused(("method", index, "call", name), lambda name=name, one=one: check_option(name, one))
    for index, metric in enumerate(study.metrics):
        yield from _refused(("metrics", index), lambda metric=metric: find_metric(metric))
    for name in ("model", "data", "selection", "method", "seed"):
        values = getattr(study, name)
        if name != "selection" and not values:
            yield (name,), "the list is empty: give at least one."
        for index, value in enumerate(values):
            if value in values[:index]:
                yield (name, index), "the same is there twice."


def _silent_metrics(study: Study) -> Iterator[tuple[Location, str]]:
    """Metrics that lack in every run what they need."""
    known = any(one.name.startswith("shipped:") or one.columns.causes is not None for one in study.data)
    for index, metric in enumerate(study.metrics):
        cost = find_metric(metric).cost
        if cost == "truth" and not known:
            yield (
                ("metrics", index),
                f"{metric.name} needs the causes of the answers, which shipped data has: name the column that holds them, as "
                "in data: {columns: {causes: NAME}}.",
            )
        if cost == "repeats":
            yield (
                ("metrics", index),
                f"{metric.name} compares several results of a prompt, and a run has one: compute it from the results of "
                "runs with other seeds.",
            )


def _run_problems(study: Study) -> Iterator[tuple[Location, str]]:
    """Options that do not go together, or say nothing to any run."""
    runs = study.runs()
    yield from _silent_metrics(study)
    for name in AXES:
        if any(value is not None for value in getattr(study, name)) and all(name not in run.method.call for run in runs):
            yield (name,), f"it says nothing to any run here: {_why_silent(name)}"
    for run in runs:
        found = list(_refused((), lambda run=run: explainer_options(_unloaded(run.method.call), run.seed, TfIdfCosine(1, {}))))
        if found:
            yield (), f"run {run.name}: {found[0][1]}"
            return


def _unloaded(call: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options without an encoder of another library, which would be loaded."""
    return {**call, "embedding": "Static"} if isinstance(call.get("embedding"), Mapping) else call


def _why_silent(name: str) -> str:
    if name in ("budget", "fraction"):
        return "the cost of these methods follows from the prompt. Leave it out."
    return "no run compares answers by it. Give mode: similarity and a similarity that needs it, or leave it out."


def _refused(location: Location, check: Any) -> Iterator[tuple[Location, str]]:
    try:
        check()
    except (TypeError, ValueError, ImportError) as error:
        yield location, str(error)
