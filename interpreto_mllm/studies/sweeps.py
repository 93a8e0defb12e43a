"""From the lists of a config to concrete runs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from interpreto_mllm.studies.aliases import EMBEDDINGS, SIMILARITIES, resolved
from interpreto_mllm.studies.methods import OF_FIXED_COST, resolved_method
from interpreto_mllm.studies.options import AXES, OF_SIMILARITY, PLAIN, compares_answers, reads_texts
from interpreto_mllm.studies.spec import DataSpec, MethodSpec, ModelSpec, RunSpec, Selection

if TYPE_CHECKING:
    from interpreto_mllm.studies.config import Study

LONGEST_LABEL = 40

KEYS = ("model", "data", "selection", "method", *AXES, "seed")
"""What runs differ in, in the order of their names."""


@dataclass(frozen=True)
class Combination:
    """A run before it has a name.

    Args:
        run: it.
        labels: what it was made of, by key, as names of runs say it.
    """

    run: RunSpec
    labels: dict[str, str]


def expanded(study: Study) -> list[Combination]:
    """Every combination of the values of a study's lists, once."""
    found: dict[str, Combination] = {}
    parts = product(study.model, study.data, study.selection or (None,), study.method)
    for model, data, selection, method in parts:
        for call, seed in product(calls(study, method), study.seed):
            one = _combination(study, model, data, selection, method, call, seed)
            found.setdefault(one.run.identity(), one)
    return list(found.values())


def named(study: str, found: list[Combination]) -> list[RunSpec]:
    """The runs under names that say in what they differ; a single one has the name of the study."""
    varying = [key for key in KEYS if len({one.labels.get(key) for one in found}) > 1]
    names = [",".join(f"{key}={one.labels[key]}" for key in varying if key in one.labels) or study for one in found]
    counts, seen, runs = Counter(names), Counter[str](), list[RunSpec]()
    for name, one in zip(names, found, strict=True):
        seen[name] += 1
        numbered = f"{name}#{seen[name]}" if counts[name] > 1 else name
        runs.append(one.run.model_copy(update={"name": numbered}))
    return runs


def calls(study: Study, method: MethodSpec) -> Iterator[dict[str, Any]]:
    """The options of each combination for a method, whose own take the place of the study's."""
    own = method.call
    swept = {
        name: _values(own[name]) if name in own else list(getattr(study, name)) or [None]
        for name in AXES
        if name not in ("budget", "fraction")
    }
    plain = {name: own.get(name, getattr(study, name)) for name in PLAIN}
    for budget, *values in product(_budgets(study, method), *swept.values()):
        yield _telling({**budget, **dict(zip(swept, values, strict=True)), **plain})


def _budgets(study: Study, method: MethodSpec) -> list[dict[str, Any]]:
    """Budgets and fractions of a method: one after the other where both are given."""
    own = {name: _values(method.call[name]) for name in ("budget", "fraction") if name in method.call}
    if not own and resolved_method(method).name in OF_FIXED_COST:
        return [{}]
    given = own or {"budget": study.budget, "fraction": study.fraction}
    return [{name: value} for name, values in given.items() for value in values] or [{}]


def _telling(call: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are given and say something, under their names here."""
    kept = {name: value for name, value in call.items() if value is not None}
    for name, aliases in (("embedding", EMBEDDINGS), ("similarity", SIMILARITIES)):
        if name in kept:
            kept[name] = resolved(kept[name], aliases)
    dropped = () if compares_answers(kept) else OF_SIMILARITY
    if compares_answers(kept) and reads_texts(kept):
        dropped = ("embedding", "reducer")
    return {name: value for name, value in kept.items() if name not in dropped}


def _combination(
    study: Study,
    model: ModelSpec,
    data: DataSpec,
    selection: Selection | None,
    method: MethodSpec,
    call: dict[str, Any],
    seed: int,
) -> Combination:
    labels = {"model": label(model), "data": label(data), "selection": label(selection), "method": label(method, "call")}
    labels |= {name: label(value) for name, value in call.items() if name in AXES}
    if selection is not None:
        data = data.model_copy(update={"select": selection})
    run = RunSpec(
        name=study.name,
        model=model,
        data=data,
        method=resolved_method(method).model_copy(update={"call": call}),
        metrics=tuple(one if one.arguments else one.name for one in study.metrics),
        seed=seed,
    )
    return Combination(run, {**labels, "seed": str(seed)})


def label(value: Any, *left_out: str) -> str:
    """A value in a few characters.

    Example:
        >>> label(MethodSpec(name="Lime", arguments={"alpha": 0.1})), label({"Replace": "_"}), label(0.5)
        ('Lime(alpha=0.1)', 'Replace(_)', '0.5')
    """
    if hasattr(value, "model_dump"):
        given = value.model_dump(mode="json", exclude_defaults=True, exclude=set(left_out))
        name = given.pop("name", "")
        inside = {key: one for part in given.items() for key, one in _flat(*part)}
        return _short(f"{name}({label(inside)})" if name and inside else name or label(inside))
    if isinstance(value, Mapping):
        if len(value) == 1 and (name := next(iter(value)))[:1].isupper():
            return _short(f"{name}({'' if value[name] is None else label(value[name])})")
        return _short(",".join(f"{key}={label(one)}" for key, one in value.items()))
    if isinstance(value, (list, tuple)):
        return _short("+".join(map(label, value)))
    return _short(value if isinstance(value, str) else json.dumps(value))


def _flat(key: str, value: Any) -> list[tuple[str, Any]]:
    return list(value.items()) if isinstance(value, Mapping) else [(key, value)]


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"


def _values(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]
