"""One process at a time in a folder."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from filelock import FileLock, Timeout

NAME = ".lock"


class FolderLock:
    """Held by this process until it is released, or the process ends.

    Args:
        folder: which must exist.

    Raises:
        ValueError: when another process holds it, which is named.
    """

    def __init__(self, folder: Path):
        self._owner = folder / ".owner"
        self._lock = FileLock(folder / NAME)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise ValueError(
                f"{folder} is in use by {self._named()}: wait until it has ended, end it, or give another folder."
            ) from error
        self._owner.write_text(f"process {os.getpid()} of {socket.gethostname()}")

    def _named(self) -> str:
        try:
            return self._owner.read_text() or "another process"
        except OSError:
            return "another process"

    def release(self) -> None:
        """Let others have it."""
        self._owner.unlink(missing_ok=True)
        self._lock.release()
