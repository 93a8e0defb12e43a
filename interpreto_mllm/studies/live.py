"""How far a study is: a table in a terminal, lines of text elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from interpreto_mllm.plots.number_scale import duration
from interpreto_mllm.studies.outcomes import Failure, Outcome

if TYPE_CHECKING:
    from rich.table import Table

SECONDS_BETWEEN_LINES = 10.0
ROWS_SHOWN = 20


@dataclass
class Line:
    """What is known of a run.

    Args:
        name: of the run.
        samples: how many it has.
        before: how many were done before this process began.
        since: when it began, by the clock of `time.monotonic`.
    """

    name: str
    samples: int = 0
    before: int = 0
    since: float = 0.0
    done: int = 0
    failed: int = 0
    evaluations: int = 0
    paid: int = 0
    until: float | None = None
    problem: str = ""

    @property
    def left(self) -> float | None:
        """Seconds that the rest takes at the pace so far; None where nothing is known."""
        made, missing = self.done + self.failed, self.samples - self.before - self.done - self.failed
        return (time.monotonic() - self.since) / made * missing if made and missing else None

    def cells(self) -> list[str]:
        """State, samples, failures, evaluations per second, reuse and time left."""
        seconds = max((self.until or time.monotonic()) - self.since, 1e-9)
        state = "waits" if not self.since else "failed" if self.problem else "runs" if self.until is None else "done"
        return [
            state,
            f"{self.before + self.done}/{self.samples}",
            str(self.failed or ""),
            f"{self.paid / seconds:,.0f}" if self.paid else "",
            f"{1 - self.paid / self.evaluations:.0%}" if self.evaluations else "",
            "" if self.left is None or self.until else duration(self.left),
        ]


HEADINGS = ("state", "samples", "failed", "evals/s", "reused", "time left")


@dataclass
class Watcher:
    """Is told what happens, and shows nothing; those that show something are derived from it."""

    lines: dict[str, Line] = field(default_factory=dict)

    def begin(self, names: Sequence[str]) -> None:
        """A study of these runs begins."""
        self.lines.update((name, Line(name)) for name in names)

    def started(self, name: str, samples: int, done: int) -> None:
        """A run begins, of whose samples some are done already."""
        line = self.lines.setdefault(name, Line(name))
        line.samples, line.before, line.since = samples, done, time.monotonic()
        self.show(line)

    def received(self, name: str, outcome: Outcome) -> None:
        """A sample is finished."""
        line = self.lines[name]
        line.done += outcome.status == "done"
        line.failed += outcome.status == "failed"
        line.evaluations += outcome.costs.get("evaluations", 0) + outcome.costs.get("paid_for_metrics", 0)
        line.paid += outcome.costs.get("paid", 0) + outcome.costs.get("paid_for_metrics", 0)

        self.show(line)

    def finished(self, name: str, problem: Failure | None) -> None:
        """A run has ended."""
        line = self.lines[name]
        line.until = time.monotonic()
        line.problem = "" if problem is None else problem.message
        self.show(line, last=True)

    def show(self, line: Line, last: bool = False) -> None:
        """A line has changed."""


@dataclass
class Plain(Watcher):
    """Lines of text: at the beginning and the end of each run, and now and then between."""

    stream: Any = field(default_factory=lambda: sys.stderr)
    said: float = 0.0

    def show(self, line: Line, last: bool = False) -> None:
        now = time.monotonic()
        first = not (line.done or line.failed)
        if not (first or last) and now - self.said < SECONDS_BETWEEN_LINES:
            return
        self.said = now
        parts = [f"{heading} {cell}" for heading, cell in zip(HEADINGS, line.cells(), strict=True) if cell]
        print(f"{line.name}: {', '.join(parts)}{f' ({line.problem})' if line.problem else ''}", file=self.stream, flush=True)


@dataclass
class Live(Watcher):
    """A table that is drawn anew as it changes."""

    display: Any = None

    def table(self) -> Table:
        """All runs; of many, those that run or have failed before those that wait or are done."""
        from rich.table import Table

        table = Table()
        table.add_column("run", overflow="fold")
        for heading in HEADINGS:
            table.add_column(heading, no_wrap=True)
        order = sorted(self.lines.values(), key=lambda line: line.until is not None or not line.since)
        chosen = {line.name for line in order[:ROWS_SHOWN]}
        for line in self.lines.values():
            if line.name in chosen:
                table.add_row(line.name, *line.cells())
        hidden = len(self.lines) - len(chosen)
        table.caption = self._caption(hidden)
        return table

    def _caption(self, hidden: int) -> str:
        samples = sum(line.before + line.done for line in self.lines.values())
        finished = sum(line.until is not None for line in self.lines.values())
        more = f"; {hidden} runs are not shown" if hidden else ""
        return f"{finished} of {len(self.lines)} runs, {samples} samples done{more}"

    def show(self, line: Line, last: bool = False) -> None:
        if last:
            self.display.refresh()


@contextmanager
def watcher(progress: bool, stream: Any = None) -> Iterator[Watcher]:
    """What shows the progress of a study while it goes on.

    Args:
        progress: whether it is shown at all.
        stream: where; standard error unless given.
    """
    shown_in: Any = stream or sys.stderr
    if not progress:
        yield Watcher()
        return
    if not shown_in.isatty():
        yield Plain(stream=shown_in)
        return
    from rich.console import Console
    from rich.live import Live as Display

    shown = Live()
    with Display(get_renderable=shown.table, console=Console(file=shown_in), refresh_per_second=4) as display:
        shown.display = display
        yield shown
