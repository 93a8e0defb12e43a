"""The evaluations of a call, in a file from which another process can resume."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.serialization import pack_evaluations, unpack_evaluations
from interpreto_mllm.games.game import ModelGame

FORMAT = "interpreto_mllm checkpoint"
SECONDS_BETWEEN_WRITES = 10.0
"""Long enough that writing takes a negligible part of the time."""


class Checkpoint:
    """A JSON file with the evaluations of a call. It is replaced as a whole, so that it is never half written.

    Args:
        path: of the file.
        games: of the call; a checkpoint of other games is refused.
        mode: the value function, as results name it.

    Raises:
        ValueError: when its folder does not exist.
    """

    def __init__(self, path: str | PathLike[str], games: Sequence[ModelGame], mode: str):
        self.path = Path(path)
        if not self.path.absolute().parent.is_dir():
            raise ValueError(f"There is no folder {self.path.parent} for the checkpoint {self.path.name}: create it first.")
        self._games = [
            {
                "text": game.prompt.text,
                "features": [[feature.text, *feature.spans] for feature in game.features],
                "targets": list(game.question.labels),
                "mode": mode,
            }
            for game in games
        ]
        self._written = time.monotonic()

    def load(self) -> list[Evaluations] | None:
        """The evaluations in the file, one item for each game; None when there is no file yet.

        Raises:
            ValueError: when the file is not a checkpoint, or one of other inputs, targets or settings.
        """
        if not self.path.exists():
            return None
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise ValueError(content["format"])
            earlier, games = content["games"], json.loads(json.dumps(self._games))
            found = [unpack_evaluations(each) for each in content["evaluations"]]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self.path} is not a checkpoint of this library: give another path.") from error
        if earlier != games:
            difference = _difference(earlier, games)
            raise ValueError(
                f"The checkpoint {self.path} is of another call ({difference}): give another path, or remove the file."
            )
        return found

    def save(self, evaluations: Sequence[Evaluations]) -> None:
        """Replace the file by these evaluations."""
        content = {"format": FORMAT, "games": self._games, "evaluations": [pack_evaluations(each) for each in evaluations]}
        temporary = self.path.with_name(self.path.name + ".part")
        temporary.write_text(json.dumps(content, ensure_ascii=False, allow_nan=False), encoding="utf-8")
        os.replace(temporary, self.path)
        self._written = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the last write was long enough ago for the next one."""
        return time.monotonic() - self._written >= SECONDS_BETWEEN_WRITES


def _difference(earlier: list[dict[str, Any]], games: list[dict[str, Any]]) -> str:
    if len(earlier) != len(games):
        return f"{len(earlier)} inputs there, {len(games)} here"
    for index, (there, here) in enumerate(zip(earlier, games, strict=True)):
        for name in here:
            if there.get(name) != here[name]:
                return f"input {index} has another {name}"
    return "its games differ"
