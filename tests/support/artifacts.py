"""The files of a study that have to be equal, wherever and however often interrupted it was carried out."""

from __future__ import annotations

from pathlib import Path

OF_ONE_EXECUTION = ("costs.jsonl", ".lock", ".owner")


def files(folder: Path) -> dict[str, bytes]:
    """Everything but times and locks."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in OF_ONE_EXECUTION
    }
