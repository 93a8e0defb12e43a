"""Rows of data: of a file, a folder, a data set of the Hugging Face Hub, or prompts of the shipped models."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from interpreto_mllm.core.optional import optional
from interpreto_mllm.studies.media_folder import is_media_folder, media_rows
from interpreto_mllm.studies.names import unknown
from interpreto_mllm.studies.planted import PLANTED, planted_rows
from interpreto_mllm.studies.spec import DataSpec

BUILDERS = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".arrow": "arrow",
}
"""What reads a file, by its ending."""

PREFERRED_SPLIT = "test"


@runtime_checkable
class Rows(Protocol):
    """A sequence of rows, as lists and data sets are."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Any: ...


@dataclass(frozen=True)
class Table:
    """Rows with the same columns.

    Args:
        columns: their names.
        rows: each a mapping, read when it is asked for.
        folder: from which paths in the rows start.
    """

    columns: tuple[str, ...]
    rows: Rows
    folder: Path | None = None

    def only(self, columns: Sequence[str]) -> Rows:
        """The rows with these columns alone; the others, such as images, are not read."""
        select = getattr(self.rows, "select_columns", None)
        return self.rows if select is None else select(list(columns))


def read_table(data: DataSpec) -> Table:
    """The rows of a split, none left out.

    Raises:
        ValueError: for data that there is not, that cannot be read, or without the split.
        ImportError: without `datasets`.
    """
    if data.name.startswith("shipped:"):
        kind = data.name.removeprefix("shipped:")
        if kind not in PLANTED:
            raise unknown("data", data.name, [f"shipped:{one}" for one in PLANTED])
        rows = planted_rows(kind, data)
        return Table(rows.columns, rows)
    path = Path(data.name).expanduser()
    if path.is_dir() and is_media_folder(path):
        splits = media_rows(path)
        rows = splits[_split(data, list(splits))]
        return Table(tuple(rows[0]) if rows else (), rows, path)
    with _quiet():
        found = _loaded(data, path)
    if isinstance(found, Mapping):
        found = found[_split(data, list(found))]
    here = (path if path.is_dir() else path.parent) if path.exists() else None
    return Table(tuple(found.column_names), _undecoded(found), here)


def _split(data: DataSpec, splits: Sequence[str]) -> str:
    if data.split is None:
        return PREFERRED_SPLIT if PREFERRED_SPLIT in splits else splits[0]
    if data.split not in splits:
        raise unknown(f"split: {data.name}", data.split, splits)
    return data.split


def _loaded(data: DataSpec, path: Path) -> Any:
    """The data set, or one for each split."""
    datasets = optional("datasets", f"data {data.name!r}", "study")
    arguments: dict[str, Any] = dict(data.arguments)
    try:
        if path.is_file():
            if path.suffix.lower() not in BUILDERS:
                raise unknown(f"data {data.name!r}: a file", path.suffix, BUILDERS)
            if path.suffix.lower() == ".tsv":
                arguments.setdefault("sep", "\t")
            files = {data.split or "train": str(path)}
            return datasets.load_dataset(BUILDERS[path.suffix.lower()], data_files=files, **arguments)
        if path.is_dir() and ((path / "state.json").exists() or (path / "dataset_dict.json").exists()):
            return datasets.load_from_disk(str(path))
        if not path.exists() and _looks_like_a_path(data.name):
            raise ValueError(f"data: there is no file or folder {data.name} (in {os.getcwd()}).")
        name = str(path) if path.exists() else data.name
        split = None if path.exists() else data.split
        return datasets.load_dataset(name, data.subset, split=split, **arguments)
    except (ValueError, ImportError) as error:
        if str(error).startswith("data"):
            raise
        raise ValueError(_why(data, error)) from error
    except Exception as error:
        raise ValueError(_why(data, error)) from error


def _why(data: DataSpec, error: Exception) -> str:
    """What went wrong, in one line: the cause of an error of `datasets` says more than the error itself."""
    cause = error.__cause__ or error
    said = " ".join(str(cause).split())[:300]
    if "corresponds to no data" in said:
        return f"data {data.name!r}: there are no rows."
    nowhere = type(error).__name__ in ("DatasetNotFoundError", "ConnectionError", "OfflineModeIsEnabled")
    hint = " It is no file or folder here, and the Hugging Face Hub gives no such data set: is there a network?"
    return f"data {data.name!r} cannot be read.{hint if nowhere else ''} {type(cause).__name__}: {said}"


def _looks_like_a_path(name: str) -> bool:
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or Path(name).suffix.lower() in BUILDERS


def _undecoded(found: Any) -> Any:
    """With images and clips as they are stored, which are read when they are explained; clips thus need no torchcodec."""
    datasets = optional("datasets", "data", "study")
    stored = {kind: kind(decode=False) for kind in (datasets.Audio, datasets.Image)}
    for name, feature in found.features.items():
        inner = getattr(feature, "feature", None)
        if type(feature) in stored:
            found = found.cast_column(name, stored[type(feature)])
        elif type(inner) in stored:
            found = found.cast_column(name, type(feature)(stored[type(inner)]))
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress bars of `datasets`."""
    datasets = optional("datasets", "data", "study")
    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()
