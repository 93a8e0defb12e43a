"""Results as data: one JSON file that gives back exactly the same numbers, or one pandas frame."""

from __future__ import annotations

import importlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from inspect import signature
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Shaped
from torch import Tensor

from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.attribution import Attribution
from interpreto_mllm.counts import Counts
from interpreto_mllm.evaluations import Evaluations
from interpreto_mllm.feature import Feature
from interpreto_mllm.media import Clip, Picture
from interpreto_mllm.prompts.conversation import Conversation
from interpreto_mllm.responses import Response, Responses

if TYPE_CHECKING:
    import pandas

FORMAT, VERSION = "interpreto_mllm attribution", 1
DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (torch.bool, torch.int32, torch.int64, torch.float64, torch.float32, torch.float16, torch.bfloat16)
}
TENSORS = [name for name in Evaluations.__dataclass_fields__ if name != "responses"]
PLAIN = ("targets", "estimand", "method", "mode", "text", "unit", "normalisation")


@dataclass(frozen=True)
class MissingAggregator(Aggregator):
    """Stands for the aggregator of a loaded result that could not be found again; it says so once it is needed."""

    description: dict[str, Any]

    def aggregate(self, evaluations: Evaluations) -> Estimate:
        raise ValueError(
            f"This result was loaded from a file and its aggregator, {self.description['name']} of "
            f"{self.description['module']}, is not at hand. Import that module before loading, or pass "
            "Attribution.load(path, aggregator=...), or call reaggregate(...) with one."
        )


def save(attribution: Attribution, path: str | PathLike[str]) -> None:
    """Write a result to one JSON file: booleans as strings of 0 and 1, numbers with every digit, the aggregator by name."""
    content = {
        "format": FORMAT,
        "version": VERSION,
        **{name: getattr(attribution, name) for name in PLAIN},
        "notes": list(attribution.notes),
        "counts": asdict(attribution.counts),
        "features": [asdict(feature) for feature in attribution.features],
        "media": [medium.to_data() for medium in attribution.media],
        "conversation": attribution.conversation and attribution.conversation.to_data(attribution.media),
        "aggregator": _describe(attribution.aggregator),
        "attributions": _pack(attribution.attributions),
        "standard_errors": _pack(attribution.standard_errors),
        **pack_evaluations(attribution.evaluations),
    }
    Path(path).write_text(json.dumps(content, ensure_ascii=False, allow_nan=False), encoding="utf-8", newline="\n")


def load(path: str | PathLike[str], aggregator: Aggregator | None = None) -> Attribution:
    """Read what `save` wrote. Nothing in the file is run: aggregators are looked up in this library and among those imported.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when the file is something else, damaged, or written by a newer version.
    """
    content = _read(Path(path))
    try:
        media = tuple(_medium(data) for data in content.get("media", ()))
        return Attribution(
            **{name: content[name] for name in PLAIN},
            notes=tuple(content["notes"]),
            counts=Counts(**content["counts"]),
            features=[_feature(entry) for entry in content["features"]],
            media=media,
            conversation=Conversation.from_data(content.get("conversation"), media),
            aggregator=_restore(content["aggregator"]) if aggregator is None else aggregator,
            attributions=_unpack(content["attributions"]),
            standard_errors=None if content["standard_errors"] is None else _unpack(content["standard_errors"]),
            evaluations=unpack_evaluations(content),
        )
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ValueError(f"{path} is a damaged attribution file: {type(error).__name__}: {error}.") from error


def pack_evaluations(evaluations: Evaluations) -> dict[str, Any]:
    """Evaluations, and the answers behind them, as JSON."""
    return {
        "evaluations": {name: _pack(getattr(evaluations, name)) for name in TENSORS},
        "responses": _written(evaluations.responses),
    }


def unpack_evaluations(content: dict[str, Any]) -> Evaluations:
    """What `pack_evaluations` wrote."""
    tensors = {name: _unpack(packed) for name, packed in content["evaluations"].items() if packed is not None}
    return Evaluations(**tensors, responses=_read_out(content.get("responses")))


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"There is no attribution file at {path}.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON; give a file written by Attribution.save.") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path} is not an attribution file; give a file written by Attribution.save.")
    if not isinstance(content.get("version"), int) or content["version"] > VERSION:
        raise ValueError(
            f"{path} has version {content.get('version')!r} of the file format, and this library reads up to {VERSION}: "
            "upgrade interpreto_mllm."
        )
    return content


def _feature(entry: dict[str, Any]) -> Feature:
    return Feature(**{name: _tuples(value) for name, value in entry.items()})


def _medium(data: dict[str, Any]) -> Picture | Clip:
    return {kind.modality: kind for kind in (Picture, Clip)}[data["modality"]].from_data(data)


def _tuples(value: Any) -> Any:
    """Lists, which is what JSON makes of tuples, as tuples again."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _written(responses: Responses | None) -> dict[str, Any] | None:
    """Every distinct answer once, and which of them each coalition got."""
    if responses is None:
        return None
    numbers: dict[Response, int] = {}
    said, history = (
        [[numbers.setdefault(answer, len(numbers)) for answer in answers] for answers in each]
        for each in (responses.said, responses.history)
    )
    return {
        "distinct": [[answer.text, list(answer.ids), answer.log_probability] for answer in numbers],
        "said": said,
        "history": history,
        "originals": [[answer.text, list(answer.ids), answer.log_probability] for answer in responses.originals],
        "columns": list(responses.columns),
        "repeats": responses.repeats,
        "generation": dict(responses.generation),
        "original_log_probabilities": _pack(responses.original_log_probabilities),
    }


def _read_out(written: dict[str, Any] | None) -> Responses | None:
    if written is None:
        return None
    distinct, originals = (
        [Response(text, tuple(ids), *rest) for text, ids, *rest in written[name]] for name in ("distinct", "originals")
    )
    said, history = (
        tuple(tuple(distinct[number] for number in numbers) for numbers in each)
        for each in (written["said"], written.get("history", ()))
    )
    return Responses(
        tuple(originals),
        _tuples(written["columns"]),
        said,
        written["repeats"],
        written["generation"],
        _unpack(told) if (told := written.get("original_log_probabilities")) is not None else None,
        history,
    )


def _pack(tensor: Shaped[Tensor, "..."] | None) -> dict[str, Any] | None:
    if tensor is None:
        return None
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bool:
        data: list[Any] = ["".join("01"[bit] for bit in row) for row in tensor.tolist()]
    else:
        data = [_spelled(number) for number in (tensor.double() if tensor.is_floating_point() else tensor).flatten().tolist()]
    return {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape), "data": data}


def _spelled(number: int | float) -> int | float | str:
    return number if math.isfinite(number) else str(number)


def _unpack(packed: dict[str, Any]) -> Tensor:
    dtype = DTYPES[packed["dtype"]]
    if dtype == torch.bool:
        data: list[Any] = [bit == "1" for row in packed["data"] for bit in row]
    else:
        data = [float(number) if isinstance(number, str) else number for number in packed["data"]]
    return torch.tensor(data, dtype=torch.float64 if dtype.is_floating_point else dtype).to(dtype).reshape(packed["shape"])


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
        return {"tensor": _pack(value)}
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
        return _unpack(content)
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


def frame(attribution: Attribution) -> pandas.DataFrame:
    """One line per target and feature: what it is, where it lies, its score and standard error.

    Raises:
        ImportError: without pandas.
    """
    try:
        import pandas
    except ImportError as error:
        raise ImportError("to_frame() needs pandas: pip install interpreto_mllm[frame]") from error
    t, n = attribution.t, attribution.n
    errors = attribution.standard_errors
    spans = [(feature.spans[0][0], feature.spans[-1][1]) if feature.spans else (None, None) for feature in attribution.features]
    return pandas.DataFrame(
        {
            "target_index": [row for row in range(t) for _ in range(n)],
            "target": [target for target in attribution.targets for _ in range(n)],
            "feature_index": list(range(n)) * t,
            "feature": [feature.text for feature in attribution.features] * t,
            "modality": [feature.modality for feature in attribution.features] * t,
            "role": [feature.role for feature in attribution.features] * t,
            "start": pandas.array([start for start, _ in spans] * t, dtype="Int64"),
            "end": pandas.array([end for _, end in spans] * t, dtype="Int64"),
            "attribution": attribution.attributions.flatten().tolist(),
            "standard_error": [math.nan] * (t * n) if errors is None else errors.flatten().tolist(),
        }
    )
