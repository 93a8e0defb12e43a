"""Answers of shapiq's estimators, kept in results/anchors/ so that a benchmark that is run again does not wait for them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from shapiq_process import Shapiq
from tables import RESULTS, Tabulated


class Anchors:
    """What shapiq's estimators answer about tabulated games. An answer is kept under the game's content and shapiq's version.

    Args:
        python: an interpreter that has shapiq.
        script: see `Shapiq`.
    """

    def __init__(self, python: str, script: str = "peers.py"):
        self._process = Shapiq(python, script)
        self.version = self._process.version

    def answers(self, table: Tabulated, budget: int, seed: int, order: int = 1) -> dict[str, Any]:
        """Values and seconds by estimator, see peers.py."""
        content = hashlib.sha256(table.values.numpy().tobytes()).hexdigest()[:16]
        path = RESULTS / "anchors" / self.version / f"{table.path.stem}-{content}" / f"{budget}-{seed}-{order}.json"
        if not path.exists():
            job = {"path": str(table.path), "budget": budget, "seed": seed, "order": order}
            found = self._process.answers(job)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(found))
        return json.loads(path.read_text())
