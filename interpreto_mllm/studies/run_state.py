"""How far a run is while its study goes on."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Sequence

from interpreto_mllm.games.fingerprint import without_prompt
from interpreto_mllm.studies.artifacts import RunFolder, as_json
from interpreto_mllm.studies.live import Watcher
from interpreto_mllm.studies.outcomes import Failure, Outcome
from interpreto_mllm.studies.spec import RunSpec
from interpreto_mllm.studies.summary import aggregated, parquet, sample_rows, score_rows
from interpreto_mllm.studies.tracking import Tracker

logger = logging.getLogger(__name__)


class RunState:
    """A run under way.

    Args:
        run: it.
        folder: takes its artifacts.
        samples: how many it has.
        trackers, shown: are told how far it is.

    Attributes:
        done, failed: samples with a result, and without one.
        metric_errors: samples of which a metric failed.
        under_way: tasks that are not finished.
        all_submitted: whether there are no further ones.
        problem: why none of its samples can be explained.
    """

    def __init__(self, run: RunSpec, folder: RunFolder, samples: int, trackers: Sequence[Tracker], shown: Watcher):
        self.run, self.folder, self.samples = run, folder, samples
        self.done = self.failed = self.metric_errors = self.under_way = 0
        self.all_submitted = self._closed = self._told_of_end = False
        self.problem: Failure | None = None
        self._numbers: dict[str, int] = {}
        self._trackers, self._shown = list(trackers), shown

    def begin(self, identities: Sequence[str]) -> set[str]:
        """Those of these samples that are still to be explained.

        Raises:
            ValueError: for two samples of one name, or when the folder holds samples that the data does not.
        """
        self._numbers = {identity: number for number, identity in enumerate(identities)}
        if len(self._numbers) < len(identities):
            twice = next(one for number, one in enumerate(identities) if self._numbers[one] != number)
            raise ValueError(f"Two samples have the identity {twice!r}: give a column whose entries are all different.")
        there = self.folder.statuses()
        unknown = [identity for identity in there if identity not in self._numbers]
        if unknown:
            raise ValueError(
                f"{self.folder.path} holds the sample {unknown[0]!r}, which the data of {self.run.name} does not: the data has "
                "changed since. Restore it, or give another folder."
            )
        finished = {identity for identity, status in there.items() if status == "done"}
        self.done = len(finished)
        if len(finished) == len(identities) and (self.folder.path / "summary" / "aggregate_metrics.json").exists():
            self._trackers = []  # they were told of all of it
        self._shown.started(self.run.name, self.samples, self.done)
        self._tell(lambda tracker: tracker.started(self.run, self.folder.path))
        return {identity for identity in identities if identity not in finished}

    def number(self, identity: str) -> int:
        """The place of a sample in the data."""
        return self._numbers[identity]

    def take(self, outcome: Outcome) -> None:
        """Keep what became of a sample.

        Raises:
            OSError: when the disk is full.
        """
        if outcome.unusable is not None:
            if self.problem is None:
                logger.error("%s cannot be carried out: %s", self.run.name, outcome.unusable.message)
            self.problem = outcome.unusable
            return
        game = outcome.content.get("game")
        try:
            self.folder.keep(outcome, None if game is None else without_prompt(game))
        except OSError as error:
            raise full(error, self.folder) from error
        self.done += outcome.status == "done"
        self.failed += outcome.status == "failed"
        if outcome.status == "failed":
            logger.warning("%s, sample %s failed: %s", self.run.name, outcome.identity, outcome.content["error"]["message"])
        self._shown.received(self.run.name, outcome)
        number = self.number(outcome.identity)
        self._tell(lambda tracker: tracker.sample(self.run, number, outcome.content))

    def finish_if_done(self) -> None:
        """Write the summary once nothing is under way any more."""
        if self._closed or not self.all_submitted or self.under_way:
            return
        if self.problem is None:
            contents = sorted(self.folder.samples(), key=lambda content: self.number(content["identity"]))
            summary = aggregated(contents)
            self.metric_errors = sum("metric_errors" in content for content in contents)
            try:
                self.folder.write_summary("samples.parquet", parquet(sample_rows(self.run.name, contents)))
                self.folder.write_summary("rows.parquet", parquet(score_rows(self.run.name, contents)))
                self.folder.write_summary("aggregate_metrics.json", as_json(summary))
            except OSError as error:
                raise full(error, self.folder) from error
            self._tell(lambda tracker: tracker.finished(self.run, summary, self.folder.path))
            self._told_of_end = True
        self._shown.finished(self.run.name, self.problem)
        self.close()

    def close(self) -> None:
        """Say how far it came, and let other processes write to its folder."""
        if self._closed:
            return
        self._closed = True
        if not self._told_of_end:
            self._tell(lambda tracker: tracker.interrupted(self.run))
        try:
            self.folder.note_progress(self.samples, self.done, self.failed, self.problem)
        except OSError as error:
            logger.error("%s could not be written: %s", self.folder.path / "checkpoint.json", error)
        self.folder.close()

    def _tell(self, what: Callable[[Tracker], None]) -> None:
        """Tell the trackers; one that fails is told no more, as it must not end the study."""
        for tracker in list(self._trackers):
            try:
                what(tracker)
            except Exception as error:
                self._trackers.remove(tracker)
                logger.error("%s failed (%s), and is told no more of %s.", type(tracker).__name__, error, self.run.name)


def full(error: OSError, folder: RunFolder) -> OSError:
    """The error of a file that could not be written, in the user's words."""
    reason = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else str(error)
    return OSError(
        error.errno or errno.EIO,
        f"{folder.path} cannot be written: {reason}. All samples that were finished are kept: make room and resume the study",
    )
