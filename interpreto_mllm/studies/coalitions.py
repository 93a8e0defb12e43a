"""Samples one after the other, the coalitions of each evaluated by several workers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from jaxtyping import Bool
from torch import Tensor

from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.studies.data import Sample
from interpreto_mllm.studies.executors import Executor, Lost, Task
from interpreto_mllm.studies.outcomes import Failure
from interpreto_mllm.studies.spec import RunSpec
from interpreto_mllm.studies.tasks import BlockTask, SampleTask


class OverCoalitions:
    """Explains samples in this process, which needs the model for the answers, and has their coalitions evaluated elsewhere.

    It is for few samples that take long each: with many samples, workers that explain whole ones wait less.

    Args:
        executor: evaluates blocks of coalitions, each as large as a batch.
    """

    workers = 1

    def __init__(self, executor: Executor):
        self._executor = executor
        self._waiting: deque[tuple[int, Task]] = deque()
        self._numbers = count()

    def submit(self, number: int, task: Task) -> None:
        """See `Executor`."""
        self._waiting.append((number, task))

    def finished(self) -> tuple[int, Any]:
        """See `Executor`."""
        number, task = self._waiting.popleft()
        return number, task(self._evaluated) if isinstance(task, SampleTask) else task()

    def close(self) -> None:
        """See `Executor`."""
        self._waiting.clear()
        self._executor.close()

    def _evaluated(self, run: RunSpec, sample: Sample, blocks: Sequence[Bool[Tensor, "_ _"]]) -> Iterator[Evaluations]:
        """Each block as it comes.

        Raises:
            RuntimeError: when one cannot be evaluated; the others that were handed out are waited for.
        """
        expected = {next(self._numbers) for _ in blocks}
        for number, coalitions in zip(sorted(expected), blocks, strict=True):
            self._executor.submit(number, BlockTask(run, sample, coalitions))
        problem = ""
        while expected:
            number, found = self._executor.finished()
            expected.remove(number)
            if isinstance(found, Evaluations):
                yield found
            elif isinstance(found, Failure):
                problem = f"{found.kind} in a worker: {found.message}\n{found.traceback}"
            elif isinstance(found, Lost):
                problem = found.reason
        if problem:
            raise RuntimeError(problem)
