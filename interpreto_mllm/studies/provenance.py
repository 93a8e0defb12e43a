"""With what a run is made: the versions of libraries, the commit of the code around it, and the content of its data."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from interpreto_mllm.core.content import digest

LIBRARIES = ("interpreto_mllm", "torch", "transformers", "numpy", "datasets")
"""Those whose versions may change a number."""


def versions() -> dict[str, str]:
    """Of Python and of the libraries that are installed."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def changed(there: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """What differs between two sets of versions.

    Example:
        >>> changed({"torch": "2.12.0"}, {"torch": "2.13.0"})
        ['torch: 2.12.0 there, 2.13.0 here']
    """
    names = dict.fromkeys((*there, *here))
    pairs = [(name, there.get(name, "none"), here.get(name, "none")) for name in names]
    return [f"{name}: {one} there, {other} here" for name, one, other in pairs if one != other]


def commit(folder: Path | None = None) -> str | None:
    """The git commit of a folder, the current one by default, with "+changes" where files differ from it; None without git."""
    head = _git(folder, "rev-parse", "HEAD")
    if head is None:
        return None
    return f"{head}+changes" if _git(folder, "status", "--porcelain", "--untracked-files=no") else head


def data_content(data: str) -> str | None:
    """A hash of the bytes of a data file, or of all files of a folder; None for data that are elsewhere."""
    path = Path(data)
    if not path.exists():
        return None
    parts: list[str | bytes] = []
    for file in [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file()):
        with file.open("rb") as opened:
            parts += [file.relative_to(path.parent).as_posix(), hashlib.file_digest(opened, "sha256").digest()]
    return digest(*parts).hex()


def _git(folder: Path | None, *arguments: str) -> str | None:
    command = ["git", *([] if folder is None else ["-C", str(folder)]), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
