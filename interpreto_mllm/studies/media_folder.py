"""Folders of images and clips: with a table of what belongs to each file, or with a folder for each class."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KINDS = {
    "image": (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
    "audio": (".wav", ".flac", ".mp3", ".ogg", ".aiff"),
    "video": (".mp4", ".mkv", ".webm", ".mov", ".avi"),
}
"""The endings of files, by modality."""

TABLES = ("metadata.jsonl", "metadata.csv")
"""Files with a row for each image or clip, whose column `file_name` names it."""

SPLITS = ("test", "validation", "train")


def is_media_folder(folder: Path) -> bool:
    """Whether a folder holds images or clips, and not tables of them."""
    return next(_files(folder), None) is not None and not any(folder.rglob("*.parquet"))


def media_rows(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of each split: its folders named test, validation and train, or all as "train".

    Raises:
        ValueError: for a table without the column `file_name`, or that names a file that is not there.
    """
    splits = [folder / name for name in SPLITS if (folder / name).is_dir()]
    return {split.name: _rows(split) for split in splits} if splits else {"train": _rows(folder)}


def _rows(folder: Path) -> list[dict[str, Any]]:
    tables = [folder / name for name in TABLES if (folder / name).is_file()]
    if tables:
        return [_described(row, number, tables[0]) for number, row in enumerate(_read(tables[0]), 1)]
    rows = []
    for file in _files(folder):
        row: dict[str, Any] = {_kind(file): str(file), "file_name": str(file.relative_to(folder))}
        if file.parent != folder:
            row["label"] = file.parent.name
        rows.append(row)
    return rows


def _described(row: dict[str, Any], number: int, table: Path) -> dict[str, Any]:
    if not row.get("file_name"):
        raise ValueError(f"data: row {number} of {table} has no file_name, which names its image or clip.")
    file = table.parent / str(row["file_name"])
    if not file.is_file():
        raise ValueError(f"data: row {number} of {table} names the file {row['file_name']}, which is not there.")
    return {_kind(file): str(file), **row}


def _read(table: Path) -> list[dict[str, Any]]:
    text = table.read_text(encoding="utf-8-sig")
    if table.suffix == ".csv":
        return [*csv.DictReader(text.splitlines())]
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _kind(file: Path) -> str:
    return next((kind for kind, endings in KINDS.items() if file.suffix.lower() in endings), "image")


def _files(folder: Path) -> Iterator[Path]:
    endings = {ending for several in KINDS.values() for ending in several}
    return (file for file in sorted(folder.rglob("*")) if file.suffix.lower() in endings)
