"""The evaluations of a call, in a file from which another process can resume."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.fingerprint import differences
from interpreto_mllm.core.serialization import pack_evaluations, unpack_evaluations
from interpreto_mllm.games.game import ModelGame

FORMAT = "interpreto_mllm checkpoint"
SECONDS_BETWEEN_WRITES = 10.0
"""Long enough that writing takes a negligible part of the time."""


class Checkpoint:
    """A JSON file with the evaluations of a call. It is replaced as a whole, so that it is never half written.

    Args:
        path: of the file.

    Raises:
        ValueError: when there is no such folder, or nothing can be written there.
    """

    def __init__(self, path: str | PathLike[str]):
        self.path = Path(path)
        if not self.path.absolute().parent.is_dir():
            raise ValueError(f"There is no folder {self.path.parent} for the checkpoint {self.path.name}: create it first.")
        if self.path.exists() and not self.path.is_file():
            raise ValueError(f"The checkpoint {self.path} is not a file: give the path of a file.")
        self._temporary = self.path.with_name(self.path.name + ".part")
        try:
            self._temporary.write_bytes(b"")
            self._temporary.unlink()
        except OSError as error:
            raise ValueError(f"The checkpoint {self.path} cannot be written ({error}): give a path that can.") from error
        self._written = time.monotonic()
        self._failed = False

    def load(self, games: Sequence[ModelGame], mode: str) -> list[Evaluations] | None:
        """The evaluations in the file, one item for each game; None when there is no file yet.

        Args:
            games: of the call; a checkpoint of other games is refused.
            mode: the value function, as results name it.

        Raises:
            ValueError: when the file is not a checkpoint, or one of other inputs, targets or settings.
        """
        if not self.path.exists():
            return None
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise ValueError(content["format"])
            found = [unpack_evaluations(each) for each in content["evaluations"]]
            differing = _difference(found, content.get("games", ()), games, mode)
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise ValueError(f"{self.path} is not a checkpoint of this library: give another path.") from error
        if differing:
            raise ValueError(
                f"The checkpoint {self.path} is of another call ({differing}): give another path, or remove the file."
            )
        return found

    def save(self, evaluations: Sequence[Evaluations]) -> None:
        """Replace the file by these evaluations. Where that fails, the old file stays and a warning says so, once."""
        content = {"format": FORMAT, "evaluations": [pack_evaluations(each) for each in evaluations]}
        try:
            self._temporary.write_text(json.dumps(content, ensure_ascii=False, allow_nan=False), encoding="utf-8")
            os.replace(self._temporary, self.path)
        except OSError as error:
            if not self._failed:
                warnings.warn(
                    f"The checkpoint {self.path} could not be written ({error}). The call goes on without it.",
                    RuntimeWarning,
                    stacklevel=2,
                )
            self._failed = True
        self._written = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the last write was long enough ago for the next one."""
        return time.monotonic() - self._written >= SECONDS_BETWEEN_WRITES


def _difference(found: Sequence[Evaluations], older: Sequence[Any], games: Sequence[ModelGame], mode: str) -> str:
    """What differs between the call of a file and this one; nothing if they agree.

    Args:
        found: the evaluations in the file, each with a fingerprint.
        older: what files of earlier versions say of their games instead.
    """
    if len(found) != len(games):
        return f"{len(found)} inputs there, {len(games)} here"
    for index, (evaluations, game) in enumerate(zip(found, games, strict=True)):
        if evaluations.fingerprint is not None:
            differing = differences(evaluations.fingerprint, game.fingerprint)
        else:
            here = json.loads(json.dumps(_older(game, mode)))
            differing = [f"another {name}" for name in here if older and older[index].get(name) != here[name]]
        if differing:
            return f"input {index}: {'; '.join(differing[:3])}"
    return ""


def _older(game: ModelGame, mode: str) -> dict[str, Any]:
    """What files said of a game before there were fingerprints."""
    return {
        "text": game.prompt.text,
        "features": [[feature.text, *feature.spans] for feature in game.features],
        "targets": list(game.question.labels),
        "mode": mode,
    }
