"""Results as one JSON file, from which exactly the same numbers are read."""

from __future__ import annotations

import importlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from inspect import signature
from os import PathLike
from pathlib import Path
from typing import Any

from torch import Tensor

from interpreto_mllm.aggregators.aggregate import aggregate
from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.core.counts import Counts
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.core.files import replace_file
from interpreto_mllm.core.serialization import pack, pack_evaluations, tuples, unpack, unpack_evaluations
from interpreto_mllm.media import Clip, Picture, Video
from interpreto_mllm.prompts.conversation import Conversation
from interpreto_mllm.results.record import Kept, Record
from interpreto_mllm.results.settings import Settings

FORMAT, VERSION = "interpreto_mllm attribution", 1
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
LATER = ("label", "source", "trusted", "part")
"""Fields of features that earlier files do not have."""
PLAIN = ("targets", "estimand", "method", "mode", "text", "unit", "normalisation")


@dataclass(frozen=True)
class MissingAggregator(Aggregator):
    """Stands for the aggregator of a loaded result that was not found; it raises once it is needed."""

    description: dict[str, Any]

    def aggregate(self, evaluations: Evaluations) -> Estimate:
        raise ValueError(
            f"This result was loaded from a file and its aggregator, {self.description['name']} of "
            f"{self.description['module']}, is not available. Import that module before loading, or pass "
            "Attribution.load(path, aggregator=...), or call reaggregate(...) with one."
        )


def save(record: Record, path: str | PathLike[str]) -> None:
    """Write a result to one JSON file."""
    replace_file(path, written(record))


def written(record: Record) -> bytes:
    """A result as JSON: booleans as strings of 0 and 1, numbers with every digit, the aggregator by name."""
    content = {
        "format": FORMAT,
        "version": VERSION,
        **{name: getattr(record, name) for name in PLAIN},
        "notes": list(record.notes),
        "counts": asdict(record.counts),
        "features": [packed_feature(feature) for feature in record.features],
        "media": [medium.to_data() for medium in record.media],
        "conversation": record.conversation and record.conversation.to_data(),
        "aggregator": _describe(record.aggregator),
        "settings": record.settings and record.settings.to_data(),
        **({"effect": record.effect} if record.effect else {}),
        "attributions": pack(record.attributions),
        "standard_errors": pack(record.standard_errors),
        **pack_evaluations(record.evaluations),
    }
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    if not text.isascii() and _LONE_SURROGATE.search(text):
        text = json.dumps(content, allow_nan=False)
    return text.encode()


def load(path: str | PathLike[str], aggregator: Aggregator | None, kind: type[Kept]) -> Kept:
    """Read what `save` wrote. Nothing in the file is run: aggregators are looked up in this library and among those imported.

    Standard errors of files from before these said how coalitions were drawn are computed again.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when the file is something else, damaged, or written by a newer version.
    """
    return restored(read_json(Path(path), FORMAT, VERSION, "an attribution file", "Attribution.save"), path, aggregator, kind)


def restored(content: dict[str, Any], path: str | PathLike[str], aggregator: Aggregator | None, kind: type[Kept]) -> Kept:
    """The result in what `written` wrote, which was read from this file."""
    try:
        media = tuple(_medium(data) for data in content.get("media", ()))
        record = kind(
            **{name: content[name] for name in PLAIN},
            notes=tuple(content["notes"]),
            counts=Counts.from_data(content["counts"]),
            features=[unpacked_feature(entry) for entry in content["features"]],
            media=media,
            conversation=Conversation.from_data(content.get("conversation"), media),
            aggregator=_restore(content["aggregator"]) if aggregator is None else aggregator,
            settings=Settings.from_data(content.get("settings")),
            effect=content.get("effect", ""),
            attributions=unpack(content["attributions"]),
            standard_errors=None if content["standard_errors"] is None else unpack(content["standard_errors"]),
            evaluations=unpack_evaluations(content),
        )
        _check(record)
        return record if "design" in content or aggregator is not None else _with_errors_of_today(record)
    except (KeyError, TypeError, AttributeError, RuntimeError, ValueError, IndexError, OverflowError) as error:
        raise ValueError(f"{path} is a damaged attribution file: {type(error).__name__}: {error}.") from error


def _check(record: Record) -> None:
    """Raise a ValueError for a result whose parts do not belong together."""
    evaluations, (t, n) = record.evaluations, (len(record.targets), len(record.features))
    words = (*record.targets, *record.notes, *(feature.text for feature in record.features))
    if not all(
        isinstance(word, str) for word in (*words, record.method, record.mode, record.estimand, record.text, record.effect)
    ):
        raise ValueError("what should be a text is none")
    for name, tensor in (("attributions", record.attributions), ("standard_errors", record.standard_errors)):
        if tensor is not None and tuple(tensor.shape) != (t, n):
            raise ValueError(f"{name} has the shape {tuple(tensor.shape)}, not that of {t} targets and {n} features")
    if evaluations.n != n or evaluations.values.shape[1] != t:
        found = f"{evaluations.n} features and {evaluations.values.shape[1]} targets"
        raise ValueError(f"the evaluations are of {found}, not of {n} and {t}")
    if len(evaluations.coalitions) < 2 or bool(evaluations.coalitions[0].any()) or not bool(evaluations.coalitions[1].all()):
        raise ValueError("the evaluations do not begin with the empty and the full coalition")


def _with_errors_of_today(record: Kept) -> Kept:
    """A result from before files said how coalitions were drawn; its standard errors may have been too small."""
    if isinstance(record.aggregator, MissingAggregator) or record.standard_errors is None or record.normalisation:
        return record
    try:
        return replace(record, standard_errors=aggregate(record.evaluations, record.aggregator).standard_errors)
    except ValueError as error:
        return replace(record, standard_errors=None, notes=(*record.notes, f"These scores may be wrong: {error}"))


def read_json(path: Path, kind: str, version: int, what: str, writer: str) -> dict[str, Any]:
    """The content of a file of this kind.

    Args:
        path: of the file.
        kind: what its "format" says.
        version: the newest that is known.
        what: what messages call such a file.
        writer: what writes it.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is something else, or written by a newer version.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no {what.partition(' ')[2]} at {path}.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON; give a file written by {writer}.") from error
    if not isinstance(content, dict) or content.get("format") != kind:
        raise ValueError(f"{path} is not {what}; give a file written by {writer}.")
    if not isinstance(content.get("version"), int) or content["version"] > version:
        raise ValueError(
            f"{path} has version {content.get('version')!r} of the file format, and this library reads up to {version}: "
            "upgrade interpreto_mllm."
        )
    return content


def packed_feature(feature: Feature) -> dict[str, Any]:
    """A feature, what was added to features later only where it has some."""
    entry = asdict(feature)
    return {name: value for name, value in entry.items() if name not in LATER or value is not None}


def unpacked_feature(entry: dict[str, Any]) -> Feature:
    """What `packed_feature` wrote."""
    return Feature(**{name: tuples(value) for name, value in entry.items()})


def _medium(data: dict[str, Any]) -> Picture | Clip | Video:
    return {kind.modality: kind for kind in (Picture, Clip, Video)}[data["modality"]].from_data(data)


def _describe(aggregator: Aggregator) -> dict[str, Any]:
    """Its class and its settings: the attributes named as the arguments of its constructor; None if they cannot be written."""
    if isinstance(aggregator, MissingAggregator):
        return aggregator.description
    kind = type(aggregator)
    try:
        settings: dict[str, Any] | None = {name: _plain(getattr(aggregator, name)) for name in signature(kind).parameters}
    except (AttributeError, TypeError):
        settings = None
    return {"name": kind.__qualname__, "module": kind.__module__, "settings": settings}


def _plain(value: Any) -> Any:
    """A setting as JSON; tuples and tensors are marked, so that they come back as such."""
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, Tensor):
        return {"tensor": pack(value)}
    if type(value) in (tuple, list):
        return {type(value).__name__: [_plain(item) for item in value]}
    raise TypeError(f"{value!r} cannot be written to a file")


def _revived(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    [(kind, content)] = value.items()
    if kind == "float":
        return float(content)
    if kind == "tensor":
        return unpack(content)
    items = [_revived(item) for item in content]
    return tuple(items) if kind == "tuple" else items


def _restore(description: dict[str, Any]) -> Aggregator:
    """The aggregator described, if its class is this library's or imported already; nothing else is ever imported."""
    name, module, settings = description["name"], description["module"], description["settings"]
    if re.fullmatch(r"interpreto_mllm\.aggregators(\.\w+)?", module):
        try:
            importlib.import_module(module)
        except ModuleNotFoundError:
            return MissingAggregator(description)
    kind = next((kind for kind in _kinds(Aggregator) if (kind.__qualname__, kind.__module__) == (name, module)), None)
    if kind is None or settings is None:
        return MissingAggregator(description)
    return kind(**{key: _revived(value) for key, value in settings.items()})


def _kinds(base: type[Aggregator]) -> Iterator[type[Aggregator]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _kinds(kind)
