"""Tasks for workers of studies that import nothing large, so that a worker that does them starts at once."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from interpreto_mllm.studies.outcomes import Failure, Outcome, failed


@dataclass(frozen=True)
class Answer:
    """Gives a number after a while, and says in which process."""

    number: int
    seconds: float = 0.0

    def __call__(self) -> tuple[int, int]:
        time.sleep(self.seconds)
        return self.number, os.getpid()


@dataclass(frozen=True)
class EndsItsWorker:
    """Kills the process that does it, the first times."""

    folder: Path
    times: int

    def __call__(self) -> str:
        attempts = len(list(self.folder.glob("attempt-*")))
        if attempts < self.times:
            (self.folder / f"attempt-{attempts}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return "done"


@dataclass(frozen=True)
class Explains:
    """Stands in for the explanation of a sample: an outcome that the sample's identity decides."""

    identity: str
    seconds: float = 0.0
    kills: Path | None = None

    def __call__(self) -> Outcome:
        time.sleep(self.seconds)
        if self.kills is not None and self.identity.endswith("3"):
            EndsItsWorker(self.kills, 1)()
        if self.identity.endswith("7"):
            return failed(self.identity, Failure("ValueError", "no 7 can be explained", "Traceback"))
        return explained(self.identity)


def explained(identity: str) -> Outcome:
    """A result of three features."""
    number = float(sum(map(ord, identity)))
    content = {
        "identity": identity,
        "status": "done",
        "targets": ["red"],
        "features": [{"text": word, "modality": "text"} for word in ("the", "apple", identity)],
        "attributions": [[0.1, number, 1 / 3]],
        "standard_errors": None,
        "evaluations": 8,
        "metrics": {"gini": number / 7, "entropy": None},
        "game": {"model": "Told", "text": repr(identity)},
    }
    costs = {"seconds": time.time(), "evaluations": 8, "paid": 8}
    return Outcome(identity, content, f"the result of {identity}".encode(), costs)
