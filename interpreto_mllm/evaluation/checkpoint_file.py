"""What is in a checkpoint, today's or of an earlier version, and of which call it is."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.fingerprint import differences
from interpreto_mllm.core.serialization import unpack_evaluations
from interpreto_mllm.evaluation.evaluation_records import BLOCK, Gathered, evaluation_records
from interpreto_mllm.evaluation.records import records
from interpreto_mllm.games.game import ModelGame

FORMAT, VERSION = "interpreto_mllm checkpoint", 3
BEGINNING = f'{{"format":"{FORMAT}"'.encode()
DAMAGE = (ValueError, KeyError, TypeError, AttributeError, RuntimeError, IndexError, RecursionError)
"""What is raised where a file is not what it should be."""


@dataclass(frozen=True)
class Contents:
    """What a checkpoint holds.

    Args:
        evaluations: of each game.
        older: what files from before there were fingerprints say of their games instead.
        size: bytes up to the end of the last sound record; None for a file that an earlier version wrote.
    """

    evaluations: list[Evaluations]
    older: list[dict[str, Any] | None]
    size: int | None

    @classmethod
    def read(cls, path: Path) -> Contents | None:
        """The contents of a file; None for one that is empty, or whose first record was cut off.

        Raises:
            ValueError: for a file that is no checkpoint, or was changed by hand.
        """
        data = path.read_bytes()
        if _not_begun(data):
            return None
        try:
            return _old(json.loads(data)) if data.startswith(b"{") else _today(data, path)
        except DAMAGE as error:
            raise ValueError(
                f"{path} is not a checkpoint of this library, or was damaged ({error}): give another path."
            ) from error

    def difference(self, games: Sequence[ModelGame], mode: str) -> str:
        """What differs between the call of this file and that of these games; nothing if they agree."""
        if len(self.evaluations) != len(games):
            return f"{len(self.evaluations)} inputs there, {len(games)} here"
        for index, (evaluations, older, game) in enumerate(zip(self.evaluations, self.older, games, strict=True)):
            if evaluations.fingerprint is not None:
                differing = differences(evaluations.fingerprint, game.fingerprint)
            else:
                here = json.loads(json.dumps(_older(game, mode)))
                differing = [f"another {name}" for name in here if older and older.get(name) != here[name]]
            if differing:
                return f"input {index}: {'; '.join(differing[:3])}"
        return ""

    def written(self) -> Iterator[dict[str, Any]]:
        """As records of today."""
        games = [
            {
                "fingerprint": each.fingerprint and dict(each.fingerprint),
                "older": older,
                **_sizes(each.values.shape[-1], each.n),
            }
            for each, older in zip(self.evaluations, self.older, strict=True)
        ]
        yield _header(games)
        for place, each in enumerate(self.evaluations):
            yield from evaluation_records(place, each)


def header(games: Sequence[ModelGame]) -> dict[str, Any]:
    """The first record of a file about these games."""
    return _header([{"fingerprint": dict(game.fingerprint), **_sizes(len(game.question.labels), game.n)} for game in games])


def _header(games: list[dict[str, Any]]) -> dict[str, Any]:
    return {"format": FORMAT, "version": VERSION, "games": games}


def _sizes(t: int, n: int) -> dict[str, int]:
    return {"features": n, "targets": t}


def _not_begun(data: bytes) -> bool:
    """Whether there is not even the whole first record."""
    checksum, _, text = data.partition(b" ")
    beginning = re.fullmatch(rb"[0-9a-f]{0,8}", checksum) and (text.startswith(BEGINNING) or BEGINNING.startswith(text))
    return bool(beginning) and b"\n" not in data


def _today(data: bytes, path: Path) -> Contents:
    found, size, damaged = list[Gathered](), 0, 0
    first: dict[str, Any] = {}
    for place, (record, end) in enumerate(records(data)):
        if place == 0:
            first = _checked(record)
            found = [Gathered(game["features"], game["targets"]) for game in first["games"]]
        elif record is None:
            damaged += 1
        for one in (record or {}).get(BLOCK, [record]):
            if one is not None and "of" in one:
                found[one["of"]].add(one)
        size = size if record is None else end
    if not found:
        raise ValueError("it has no first record")
    if damaged:
        warnings.warn(
            f"{damaged} damaged records of the checkpoint {path} are left out; what they held is evaluated again.",
            RuntimeWarning,
            stacklevel=2,
        )
    evaluations = [each.evaluations(game["fingerprint"]) for each, game in zip(found, first["games"], strict=True)]
    return Contents(evaluations, [game.get("older") for game in first["games"]], size)


def _checked(first: dict[str, Any] | None) -> dict[str, Any]:
    if first is None or first.get("format") != FORMAT:
        raise ValueError("its first record is none of a checkpoint")
    if first["version"] > VERSION:
        raise ValueError(f"it has version {first['version']}, and this library reads up to {VERSION}: upgrade interpreto_mllm")
    return first


def _old(content: dict[str, Any]) -> Contents:
    """A file of one JSON object, as earlier versions wrote it."""
    if content["format"] != FORMAT:
        raise ValueError(f"its format is {content['format']!r}")
    evaluations = [unpack_evaluations(each) for each in content["evaluations"]]
    return Contents(evaluations, list(content.get("games") or [None] * len(evaluations)), None)


def _older(game: ModelGame, mode: str) -> dict[str, Any]:
    """What files said of a game before there were fingerprints."""
    return {
        "text": game.prompt.text,
        "features": [[feature.text, *feature.spans] for feature in game.features],
        "targets": list(game.question.labels),
        "mode": mode,
    }
