"""Traces as one JSON file, from which exactly the same numbers are read."""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path
from typing import TypeVar

from interpreto_mllm.core.files import replace_file
from interpreto_mllm.results.archive import read_json, restored, written
from interpreto_mllm.results.record import Record
from interpreto_mllm.results.trace import ThoughtFlow

FORMAT, VERSION = "interpreto_mllm trace", 1

Kind = TypeVar("Kind", bound=Record)
"""The class of the results that a trace is made of."""


def save(flow: ThoughtFlow, path: str | PathLike[str]) -> None:
    """Write a trace to one JSON file."""
    answer, *sentences = (json.loads(written(record)) for record in (flow.answer, *flow.sentences))
    content = {"format": FORMAT, "version": VERSION, "answer": answer, "sentences": sentences}
    replace_file(path, json.dumps(content, allow_nan=False).encode())


def load(path: str | PathLike[str], kind: type[Kind]) -> tuple[Kind, tuple[Kind, ...]]:
    """The effects on the answer and on each sentence, as `save` wrote them.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when the file is something else, damaged, or written by a newer version.
    """
    content = read_json(Path(path), FORMAT, VERSION, "a file of a trace", "Trace.save")
    try:
        answer, *sentences = (restored(one, path, None, kind) for one in (content["answer"], *content["sentences"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is a damaged file of a trace: {type(error).__name__}: {error}.") from error
    return answer, tuple(sentences)
