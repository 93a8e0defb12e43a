"""shapiq in a process of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Shapiq:
    """Runs jobs one after the other; see peers.py.

    Args:
        python: an interpreter that has shapiq.
        script: beside this one, what answers: peers.py, or shapleig.py.
    """

    def __init__(self, python: str, script: str = "peers.py"):
        command = [python, str(Path(__file__).parent / script)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.version = self._read()

    def answers(self, job: dict[str, Any], game: Callable[[list[list[int]]], list[float]] | None = None) -> dict[str, Any]:
        """Attributions and seconds by estimator; `game` evaluates a game that is not in a file."""
        self._write(job)
        while "coalitions" in (found := self._read()):
            assert game is not None
            self._write({"values": game([[int(digit) for digit in row] for row in found["coalitions"]])})
        return found

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(
                f"{self._process.args[0]} has no shapiq: pip install 'interpreto_mllm[bench]', or give --peers PYTHON."
            )
        return json.loads(line)

    def _write(self, content: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        print(json.dumps(content), file=self._process.stdin, flush=True)
