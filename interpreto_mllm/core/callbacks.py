"""Who is told how far a call is: the progress bar, a file of JSON lines, and what users write."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from interpreto_mllm.core.counts import Stages
from interpreto_mllm.core.shown import shown


@dataclass(frozen=True)
class Progress:
    """How far a call is, all its inputs together.

    Args:
        evaluations: coalitions evaluated so far in this call, or points at which gradients were taken.
        budget: the most that there can be.
        rounds: rounds of coalitions that were drawn.
        coalitions: coalitions in the last of them.
        forwards: forward passes of the model, or requests to a server.
        tokens: tokens read and generated in them.
        stages: seconds by stage.
        finished: whether all is done; False on the way, and at an end that is an error.
        unit: what `evaluations` and `budget` count: "evaluation", or "point" for gradient methods.
    """

    evaluations: int = 0
    budget: int = 0
    rounds: int = 0
    coalitions: int = 0
    forwards: int = 0
    tokens: int = 0
    stages: Stages = field(default_factory=Stages)
    finished: bool = False
    unit: str = "evaluation"


class Callback:
    """Is told how far a call is. Override what you need; an error raised in it ends the call, and nothing evaluated is lost.

    Example:
        >>> from interpreto_mllm import KernelShap
        >>> from interpreto_mllm.testbed import load_recall
        >>> class Rounds(Callback):
        ...     def on_round(self, progress):
        ...         print(progress.rounds, progress.coalitions)
        >>> explainer = KernelShap(*load_recall(), budget=40, callbacks=[Rounds()])
        >>> [explanation] = explainer("the apple is red . what is the apple ?", " red")
        1 2
        2 38
    """

    def on_round(self, progress: Progress) -> None:
        """A round of coalitions was drawn and is now evaluated; the first one is v(∅) and v(N)."""

    def on_batch(self, progress: Progress) -> None:
        """The values of some coalitions have come from the model."""

    def on_done(self, progress: Progress) -> None:
        """The call has ended: with its results, or (`finished` is False) by an error."""


class ProgressBar(Callback):
    """A bar of evaluations that appears once the work has taken longer than a second.

    Args:
        said: a line that is written before it, on standard error; nothing where it is empty.
    """

    def __init__(self, said: str = "") -> None:
        self._bar: Any = None
        self._said = said

    def on_round(self, progress: Progress) -> None:
        from tqdm.auto import tqdm

        if self._bar is None:
            if self._said:
                tqdm.write(self._said, file=sys.stderr)
            self._bar = tqdm(total=progress.budget, unit=progress.unit, delay=1.0, leave=False, dynamic_ncols=True)

    def on_batch(self, progress: Progress) -> None:
        self._bar.update(progress.evaluations - self._bar.n)

    def on_done(self, progress: Progress) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class JsonLines(Callback):
    """Appends a line of JSON for each round, batch and end to a file.

    Args:
        path: of the file.

    Raises:
        ValueError: when there is no folder for it.

    Example:
        >>> JsonLines("nowhere/at all/log.jsonl")
        Traceback (most recent call last):
        ...
        ValueError: There is no folder nowhere/at all for log.jsonl: create it first.
    """

    def __init__(self, path: str | PathLike[str]):
        self.path = Path(path)
        if not self.path.absolute().parent.is_dir():
            raise ValueError(f"There is no folder {self.path.parent} for {self.path.name}: create it first.")

    def on_round(self, progress: Progress) -> None:
        self._write("round", progress)

    def on_batch(self, progress: Progress) -> None:
        self._write("batch", progress)

    def on_done(self, progress: Progress) -> None:
        self._write("done", progress)

    def _write(self, event: str, progress: Progress) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"event": event, **asdict(progress)}) + "\n")


def check_callbacks(callbacks: object) -> None:
    """Raise a TypeError unless these are a sequence of callbacks."""
    if not isinstance(callbacks, Sequence) or not all(isinstance(one, Callback) for one in callbacks):
        raise TypeError(f"callbacks must be a list of objects derived from interpreto_mllm.Callback; got {shown(callbacks)}.")
