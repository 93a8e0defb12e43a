"""A queue of tasks in a folder that several machines see.

waiting/000012.task            a task that nobody has taken
taken/<worker>/000012.task     one that a worker is at; it was renamed, which only one worker can do
done/000012.outcome            its outcome
closed                         says that no further tasks come
"""

from __future__ import annotations

import pickle
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from interpreto_mllm.core.files import replace_file
from interpreto_mllm.studies.executors import Task, performed

SECONDS_BETWEEN_LOOKS = 0.2


class QueueFolder:
    """A queue of tasks in a folder.

    Args:
        path: of the folder, which is made where there is none.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     queue = QueueFolder(Path(folder) / "queue")
        ...     queue.put(3, str)
        ...     taken = queue.take("worker")
        ...     queue.done(taken, taken())
        ...     list(queue.outcomes())
        [(3, '')]
    """

    def __init__(self, path: Path):
        self.path = path
        for name in ("waiting", "taken", "done"):
            (path / name).mkdir(parents=True, exist_ok=True)

    def put(self, number: int, task: Task) -> None:
        """Have a task done."""
        replace_file(self.path / "waiting" / f"{number:08}.task", pickle.dumps(task))

    def take(self, worker: str) -> Taken | None:
        """The next task, which is now this worker's; None where none is waiting."""
        mine = self.path / "taken" / worker
        mine.mkdir(exist_ok=True)
        for path in sorted((self.path / "waiting").glob("[0-9]*.task")):
            with suppress(FileNotFoundError):  # another worker was faster
                return Taken(path.rename(mine / path.name))
        return None

    def done(self, taken: Taken, outcome: Any) -> None:
        """A task is done."""
        replace_file(self.path / "done" / f"{taken.path.stem}.outcome", pickle.dumps(outcome))
        taken.path.unlink(missing_ok=True)

    def give_back(self, worker: str) -> list[int]:
        """Let others have what a worker that has ended was at.

        Returns:
            The numbers of these tasks.
        """
        numbers = []
        for path in sorted((self.path / "taken" / worker).glob("*.task")):
            with suppress(FileNotFoundError):
                if not (self.path / "done" / f"{path.stem}.outcome").exists():
                    path.rename(self.path / "waiting" / path.name)
                    numbers.append(int(path.stem))
        return numbers

    def withdraw(self, number: int) -> None:
        """Have a waiting task not done."""
        (self.path / "waiting" / f"{number:08}.task").unlink(missing_ok=True)

    def outcomes(self) -> Iterator[tuple[int, Any]]:
        """Those that are there, each once."""
        for path in sorted((self.path / "done").glob("[0-9]*.outcome")):
            outcome = pickle.loads(path.read_bytes())
            path.unlink()
            yield int(path.stem), outcome

    def close(self) -> None:
        """Say that no further tasks come."""
        (self.path / "closed").touch()

    @property
    def closed(self) -> bool:
        """Whether no further tasks come, or the folder was removed."""
        return (self.path / "closed").exists() or not self.path.exists()

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.path, ignore_errors=True)


class Taken:
    """A task that a worker has taken.

    Args:
        path: of its file.
    """

    def __init__(self, path: Path):
        self.path = path

    def __call__(self) -> Any:
        """Do it."""
        return performed(self.path.read_bytes())


def work_off(queue: QueueFolder, worker: str) -> None:
    """Do tasks of a queue, one after the other, until it is closed."""
    queue.give_back(worker)  # those of an earlier life of this worker, such as a job that was requeued
    while not queue.closed:
        taken = queue.take(worker)
        if taken is None:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        else:
            queue.done(taken, taken())
