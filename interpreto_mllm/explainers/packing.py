"""Arguments of explainers as JSON, and back. Only classes and functions of this library in the tables here are restored."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from enum import Enum
from types import FunctionType
from typing import Any

import numpy as np
import torch

from interpreto_mllm import aggregators, media, perturbators, similarity
from interpreto_mllm.core.serialization import pack, unpack
from interpreto_mllm.evaluation.stopping import Sign, Tolerance, TopK, TopPairs
from interpreto_mllm.games.modes import InferenceModes, TopMass
from interpreto_mllm.media.packing import pack_image, pack_masks, unpack_image, unpack_masks
from interpreto_mllm.prompts.filters import OtherModalities, StopPhrases, punctuation
from interpreto_mllm.prompts.granularity import Granularity
from interpreto_mllm.prompts.occlusion import Attend, Drop, Replace
from interpreto_mllm.prompts.sentences import Sentences
from interpreto_mllm.prompts.sources import Sources
from interpreto_mllm.similarity.response_similarity import ResponseSimilarity

MEMBERS = {str(member): member for kind in (Granularity, InferenceModes) for member in kind}
FUNCTIONS = {"punctuation": punctuation}
NEVER = ("Clip", "Estimate", "External", "Picture", "TfIdfCosine", "Video")
"""No arguments of explainers; or, as `External`, able to load a model whose name a file gives; or, as `TfIdfCosine`, large."""

CLASSES: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        *(Drop, Replace, Attend, Sentences, Sources, StopPhrases, OtherModalities),
        *(Tolerance, TopK, TopPairs, Sign, ResponseSimilarity, TopMass),
        *(getattr(part, name) for part in (media, similarity, perturbators, aggregators) for name in part.__all__),
    )
    if isinstance(kind, type) and not inspect.isabstract(kind) and kind.__name__ not in NEVER
}
"""What a file may name. Nothing else is looked up, and nothing is imported."""


class Lost(Exception):
    """A value that a file holds only in words."""


def packed(value: Any) -> Any:
    """A value as JSON; `{"repr": ...}` where it cannot be restored.

    Example:
        >>> packed(Granularity.WORD), packed(Replace("_"))["class"], packed(len)
        ({'member': 'Granularity.WORD'}, 'Replace', {'repr': '<built-in function len>'})
    """
    try:
        return _packed(value)
    except Lost:
        return {"repr": repr(value)}


def unpacked(value: Any) -> Any:
    """Inverse of `packed`.

    Raises:
        Lost: for a value of which a file holds only words, or which names nothing of this library.
    """
    if not isinstance(value, dict):
        return value
    if "class" in value:
        kind = _found(CLASSES, value["class"])
        arguments = {name: unpacked(one) for name, one in value["arguments"].items()}
        return kind(*map(unpacked, value.get("positional", ())), **arguments)
    [(kind, content)] = value.items()
    if kind == "mapping":
        return {unpacked(key): unpacked(one) for key, one in content}
    if kind in ("tuple", "list", "set"):
        return {"tuple": tuple, "list": list, "set": frozenset}[kind](map(unpacked, content))
    tables = {"member": MEMBERS, "function": FUNCTIONS}
    if kind in tables:
        return _found(tables[kind], content)
    readers = {"float": float, "tensor": unpack, "array": _array, "image": unpack_image, "masks": unpack_masks}
    if kind not in readers:
        raise Lost(str(content))
    return readers[kind](content)


def _packed(value: Any) -> Any:
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, Enum) and str(value) in MEMBERS:
        return {"member": str(value)}
    if isinstance(value, FunctionType) and FUNCTIONS.get(value.__name__) is value:
        return {"function": value.__name__}
    if isinstance(value, (set, frozenset)):
        return {"set": [_packed(one) for one in sorted(value, key=repr)]}
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return {type(value).__name__: [_packed(one) for one in value]}
    if isinstance(value, Mapping):
        return {"mapping": [[_packed(key), _packed(one)] for key, one in value.items()]}
    if type(value) is torch.Tensor and value.dtype != torch.bool:
        return {"tensor": pack(value)}
    if isinstance(value, np.ndarray):
        return _packed_array(value)
    return _packed_object(value)


def _packed_object(value: Any) -> dict[str, Any]:
    """An object of a class in the table, by the arguments of its constructor, which it keeps under their names; or an image."""
    if hasattr(value, "getbands"):
        return {"image": pack_image(value)}
    kind = type(value)
    if CLASSES.get(kind.__name__) is not kind:
        raise Lost(repr(value))
    arguments: dict[str, Any] = {}
    positional: list[Any] = []
    for parameter in inspect.signature(kind).parameters.values():
        if not hasattr(value, parameter.name):
            raise Lost(repr(value))
        held = getattr(value, parameter.name)
        if parameter.kind is parameter.VAR_POSITIONAL:
            positional = [_packed(one) for one in (sorted(held) if isinstance(held, frozenset) else held)]
        else:
            arguments[parameter.name] = _packed(held)
    return {"class": kind.__name__, "arguments": arguments, **({"positional": positional} if positional else {})}


def _packed_array(value: np.ndarray) -> dict[str, Any]:
    if value.dtype == bool and value.ndim == 3:
        return {"masks": pack_masks(value)}
    if value.dtype.kind not in "iuf":
        raise Lost(repr(value))
    return {"array": {"dtype": str(value.dtype), "values": pack(torch.from_numpy(value.astype(float)))}}


def _array(content: Mapping[str, Any]) -> np.ndarray:
    return unpack(content["values"]).numpy().astype(content["dtype"])


def _found(table: Mapping[str, Any], name: str) -> Any:
    if name not in table:
        raise Lost(f"{name}, which this library does not have")
    return table[name]
