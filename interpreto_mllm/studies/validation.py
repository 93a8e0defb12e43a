"""Whether a study can be carried out: its data and its models, looked at before anything is spent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from interpreto_mllm.studies.config import Study
from interpreto_mllm.studies.data import Samples
from interpreto_mllm.studies.plan import Trials, seconds_of_an_evaluation
from interpreto_mllm.studies.problems import Location, Problem
from interpreto_mllm.studies.spec import RunSpec

SHOWN = 3
"""How many rows that cannot be explained are named."""


def check_study(study: Study, *, data: bool = False, model: bool = False) -> list[Problem]:
    """What is wrong with a study whose config is valid.

    Args:
        study: it.
        data: whether all its data is read.
        model: whether each of its models is loaded, and the first sample of each run tried on it with a few evaluations.

    Example:
        >>> given = dict(name="demo", model="shipped:text", data="shipped:txt", method="exact")
        >>> print(*check_study(Study.from_values(given), data=True))
        data: data has no 'shipped:txt'; did you mean 'shipped:text'? Accepted: shipped:text, shipped:vision, shipped:audio, ...
    """
    found, trials = list[Problem](), Trials()
    for run in _first_of(study.runs(), "data") if data else []:
        at = _location(study.data, "data", run.data.name)
        try:
            found += [Problem(at, message) for message in _unreadable(trials.samples(run))]
        except (ValueError, ImportError, OSError) as error:
            found.append(Problem(at, str(error)))
    return found if found or not model else [*found, *_of_models(study, trials)]


def _of_models(study: Study, trials: Trials) -> Iterator[Problem]:
    """Models that do not load, and runs that cannot be begun."""
    broken: list[Any] = []
    for run in _first_of([run.model_copy(update={"seed": 0, "name": "any"}) for run in study.runs()]):
        if run.model in broken:
            continue
        try:
            trials.model(run.model)
        except (ValueError, ImportError) as error:
            broken.append(run.model)
            yield Problem(_location(study.model, "model", run.model.name), str(error))
            continue
        try:
            samples = trials.samples(run)
            sample = next((one for one in samples if one.problem is None), samples[0])
            explainer = trials.explainer(run)
            explainer.plan(sample.inputs)
            seconds_of_an_evaluation(explainer, run, sample)
        except Exception as error:
            what = ", ".join([run.method.name, *(f"{name} {value}" for name, value in run.method.call.items())])
            yield Problem((), f"{what}, on {run.model.name} with {run.data.name}: {error}")


def _unreadable(samples: Samples) -> list[str]:
    """The rows that cannot be explained, a few of them by name."""
    problems = [sample.problem for sample in samples if sample.problem is not None]
    further = [f"and {len(problems) - SHOWN} more of {len(samples)} rows."] if len(problems) > SHOWN else []
    return [*problems[:SHOWN], *further]


def _first_of(runs: Sequence[RunSpec], part: str | None = None) -> list[RunSpec]:
    """The first of the runs that are alike, or have this part in common."""
    found: dict[str, RunSpec] = {}
    for run in runs:
        key = run if part is None else getattr(run, part)
        found.setdefault(key.model_dump_json(), run)
    return list(found.values())


def _location(parts: Sequence[Any], key: str, name: str) -> Location:
    """Where the part of this name is in a config."""
    names = [part.name for part in parts]
    return (key,) if len(names) == 1 else (key, names.index(name))
