"""The evaluations of a call, in a file from which another process can resume."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import TypeVar

from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.evaluation.blocks import current_blocks
from interpreto_mllm.evaluation.checkpoint_file import Contents, header
from interpreto_mllm.evaluation.evaluation_records import BLOCK, evaluation_records
from interpreto_mllm.evaluation.records import RecordFile
from interpreto_mllm.games.game import ModelGame

SECONDS_BETWEEN_ATTEMPTS = 10.0
"""After something could not be written."""

Kept = TypeVar("Kept", bound="Checkpoint")


class Checkpoint:
    """A file to which every evaluation of a call is appended as soon as it is made. Close it, or use it as a context.

    Args:
        path: of the file.

    Raises:
        TypeError: for what is no path.
        ValueError: when there is no such folder, nothing can be written there, or another process is writing it.
    """

    def __init__(self, path: str | PathLike[str]):
        if not isinstance(path, str | PathLike):
            raise TypeError(f"checkpoint must be the path of a file; got {path!r}.")
        self.path = Path(path)
        try:
            os.lstat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except (OSError, ValueError) as error:  # such as a name that no file can have
            raise ValueError(f"The checkpoint {str(path)!r} cannot be written ({error}): give a path that can.") from error
        if not self.path.absolute().parent.is_dir():
            raise ValueError(f"There is no folder {self.path.parent} for the checkpoint {self.path.name}: create it first.")
        if self.path.exists() and not self.path.is_file():
            raise ValueError(f"The checkpoint {self.path} is not a file: give the path of a file.")
        self._file = RecordFile(self.path)
        self._described: set[int] = set()
        self._failed: float | None = None
        self._warned = False

    def __enter__(self: Kept) -> Kept:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def load(self, games: Sequence[ModelGame], mode: str) -> list[Evaluations] | None:
        """The evaluations in the file, one item for each game; None when there are none yet.

        Args:
            games: of the call; a checkpoint of other games is refused.
            mode: the value function, as results name it.

        Raises:
            ValueError: when the file is not a checkpoint, or one of other inputs, targets or settings, or cannot be written.
        """
        found = Contents.read(self.path)
        differing = "" if found is None else found.difference(games, mode)
        if differing:
            raise ValueError(
                f"The checkpoint {self.path} is of another call ({differing}): give another path, or remove the file."
            )
        try:
            if found is None:
                self._file.resume(0, [header(games)])
            elif found.size is None:
                self._file.replace(found.written())
            else:
                self._file.resume(found.size)
        except OSError as error:
            raise ValueError(f"The checkpoint {self.path} cannot be written ({error}): give a path that can.") from error
        return None if found is None else found.evaluations

    def add(self, game: int, evaluations: Evaluations) -> None:
        """Append new evaluations of the game with this index. Where that fails the call goes on, and a warning says so once."""
        new = list(evaluation_records(game, evaluations))
        known = "originals" in new[0] and game in self._described
        self._described.add(game)
        self._file.add([{BLOCK: new[known:]}] if current_blocks() else new[known:])
        if self._failed is None or time.monotonic() - self._failed > SECONDS_BETWEEN_ATTEMPTS:
            self._attempt(self._file.write)

    def close(self) -> None:
        """Write what could not be written before, and let other processes write."""
        self._attempt(self._file.write)
        self._attempt(self._file.close)

    def _attempt(self, write: Callable[[], None]) -> None:
        try:
            write()
            self._failed = None
        except OSError as error:
            self._failed = time.monotonic()
            if not self._warned:
                self._warned = True
                warnings.warn(
                    f"The checkpoint {self.path} could not be written ({error}). The call goes on without it.",
                    RuntimeWarning,
                    stacklevel=4,
                )
