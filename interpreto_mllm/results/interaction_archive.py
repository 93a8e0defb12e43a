"""Interactions as one JSON file, from which exactly the same numbers are read."""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path

from interpreto_mllm.core.files import replace_file
from interpreto_mllm.core.indices import INDICES
from interpreto_mllm.core.serialization import pack, tuples, unpack
from interpreto_mllm.core.set_sums import ORDERS
from interpreto_mllm.results.archive import packed_feature, read_json, unpacked_feature
from interpreto_mllm.results.interactions import Kept, SetValues

FORMAT, VERSION = "interpreto_mllm interactions", 1


def save(interactions: SetValues, path: str | PathLike[str]) -> None:
    """Write interactions to one JSON file."""
    content = {
        "format": FORMAT,
        "version": VERSION,
        "index": interactions.index,
        "targets": interactions.targets,
        "features": [packed_feature(feature) for feature in interactions.features],
        "blocks": interactions.blocks,
        "sets": pack(interactions.sets),
        "scores": pack(interactions.scores),
        "errors": pack(interactions.errors),
    }
    replace_file(path, json.dumps(content, allow_nan=False).encode())


def load(path: str | PathLike[str], kind: type[Kept]) -> Kept:
    """Read what `save` wrote.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when the file is something else, damaged, or was written by a newer version.
    """
    content = read_json(Path(path), FORMAT, VERSION, "an interactions file", "Interactions.save")
    try:
        found = kind(
            unpack(content["sets"]).long(),
            unpack(content["scores"]),
            None if content["errors"] is None else unpack(content["errors"]),
            [unpacked_feature(entry) for entry in content["features"]],
            list(content["targets"]),
            content["index"],
            tuples(content["blocks"]),
        )
        _check(found)
    except (KeyError, TypeError, AttributeError, RuntimeError, ValueError, IndexError, OverflowError) as error:
        raise ValueError(f"{path} is a damaged interactions file: {type(error).__name__}: {error}.") from error
    return found


def _check(found: SetValues) -> None:
    """Raise a ValueError for parts that do not belong together."""
    shape = (len(found.targets), len(found.sets))
    if any(part is not None and tuple(part.shape) != shape for part in (found.scores, found.errors)):
        raise ValueError(f"scores and errors are not those of {shape[0]} targets and {shape[1]} sets")
    if found.index not in INDICES or found.order not in ORDERS:
        raise ValueError(f"there is no index {found.index!r} of order {found.order}")
    if len(found.sets) and not 0 <= int(found.sets.min()) <= int(found.sets.max()) < found.n:
        raise ValueError(f"sets name features that are not among the {found.n}")
