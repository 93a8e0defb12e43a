"""The folder of a run: what was asked, every sample's result, and their summary. Each file is written whole or not at all.

| file | holds |
|---|---|
| `spec.json` | the run, versions, the git commit, and what the games of all samples share |
| `checkpoint.json` | how far the run is |
| `samples/*.json` | for each sample its scores and metrics, or its failure |
| `evaluations/*.json` | for each sample the whole result, for `Attribution.load` |
| `summary/` | `aggregate_metrics.json`, and tables of all rows as parquet |
| `costs.jsonl` | what each sample cost: seconds, evaluations paid, forwards and tokens |
| `checkpoints/` | the evaluations of samples under way |
"""

from __future__ import annotations

import glob
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from interpreto_mllm.core.files import replace_file
from interpreto_mllm.core.fingerprint import differences
from interpreto_mllm.studies.folder_lock import FolderLock
from interpreto_mllm.studies.names_of_files import file_name
from interpreto_mllm.studies.outcomes import Failure, Outcome
from interpreto_mllm.studies.provenance import changed, commit, data_content, versions
from interpreto_mllm.studies.spec import RunSpec

FORMAT, VERSION = "interpreto_mllm run", 1


class RunFolder:
    """The folder of one run, locked until it is closed.

    Args:
        path: of the folder.
        run: what it is of.
        resume: whether it may hold a part of this run already.

    Raises:
        ValueError: when it holds something else, or what may not be resumed, or another process writes it.
    """

    def __init__(self, path: Path, run: RunSpec, resume: bool = False):
        self.path, self.run = path, run
        for name in ("samples", "evaluations", "checkpoints", "summary"):
            (path / name).mkdir(parents=True, exist_ok=True)
        self._lock = FolderLock(path)
        try:
            self._spec = self._begun(resume)
        except BaseException:
            self._lock.release()
            raise

    @staticmethod
    def check(path: Path, run: RunSpec, resume: bool) -> dict[str, Any] | None:
        """What `spec.json` holds of this run, if it has begun.

        Raises:
            ValueError: when the folder holds something else, or what may not be resumed.
        """
        there = read(path / "spec.json")
        if there is not None and not resume:
            raise ValueError(f"{path} holds a run already: resume it (--resume), or give another folder.")
        if there is not None:
            _check_same(path, run, there)
        return there

    def _begun(self, resume: bool) -> dict[str, Any]:
        there = self.check(self.path, self.run, resume)
        if there is not None:
            return there
        here = {"format": FORMAT, "version": VERSION, "run": self.run.model_dump(mode="json"), "identity": self.run.identity()}
        here |= {"versions": versions(), "commit": commit(), "data": data_content(self.run.data.name)}
        self._write("spec.json", here)
        return here

    def samples(self) -> Iterator[dict[str, Any]]:
        """What the files of samples hold, in the order of their names.

        Raises:
            ValueError: for a damaged one.
        """
        for path in sorted((self.path / "samples").glob("*.json")):
            content = read(path)
            if content is None or "identity" not in content or "status" not in content:
                raise ValueError(f"{path} is damaged: remove it to have the sample explained again.")
            yield content

    def statuses(self) -> dict[str, str]:
        """Of the samples that were explained, or failed, by identity."""
        return {content["identity"]: content["status"] for content in self.samples()}

    def checkpoint(self, identity: str) -> Path:
        """The file for the evaluations of a sample under way."""
        return self.path / "checkpoints" / f"{file_name(identity)}.jsonl"

    def keep(self, outcome: Outcome, game: Mapping[str, str] | None) -> None:
        """Write what became of a sample.

        Args:
            outcome: of it.
            game: what its game shares with those of other samples.

        Raises:
            ValueError: when the model or another part of the game is not that of earlier samples.
            OSError: when it cannot be written.
        """
        if game is not None:
            self._check_game(game)
        name = file_name(outcome.identity)
        if outcome.archive is not None:
            replace_file(self.path / "evaluations" / f"{name}.json", outcome.archive)
        replace_file(self.path / "samples" / f"{name}.json", json.dumps(outcome.content, allow_nan=False).encode() + b"\n")
        if outcome.archive is not None:
            for path in self.path.glob(f"checkpoints/{glob.escape(name)}.*"):
                path.unlink(missing_ok=True)
        with (self.path / "costs.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"identity": outcome.identity, **outcome.costs}) + "\n")

    def _check_game(self, game: Mapping[str, str]) -> None:
        known = self._spec.get("game")
        if known is None:
            self._spec["game"] = dict(game)
            self._write("spec.json", self._spec)
            return
        both = [name for name in known if name in game]
        differing = differences({name: known[name] for name in both}, {name: game[name] for name in both})
        if differing:
            raise ValueError(
                f"The run in {self.path} cannot go on, because its samples so far are of another game than the next: "
                f"{'; '.join(differing[:3])}. Put it back, or give another folder."
            )

    def note_progress(self, samples: int, done: int, failed: int, problem: Failure | None = None) -> None:
        """Write how far the run is."""
        problems = {} if problem is None else {"problem": {"type": problem.kind, "message": problem.message}}
        finished = done + failed == samples
        self._write("checkpoint.json", {"samples": samples, "done": done, "failed": failed, "finished": finished, **problems})

    def write_summary(self, name: str, content: bytes) -> None:
        """Write a file of the summary."""
        replace_file(self.path / "summary" / name, content)

    def close(self) -> None:
        """Let other processes write."""
        if not any((self.path / "checkpoints").glob("*")):
            shutil.rmtree(self.path / "checkpoints", ignore_errors=True)
        self._lock.release()

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        replace_file(self.path / name, as_json(content))


def _check_same(path: Path, run: RunSpec, there: Mapping[str, Any]) -> None:
    if there.get("format") != FORMAT or there["version"] > VERSION:
        raise ValueError(f"{path} holds no run that this version of interpreto_mllm reads: give another folder.")
    differing = [*run.differences(RunSpec.model_validate(there["run"])), *changed(there["versions"], versions())]
    if there.get("data") is not None and there["data"] != data_content(run.data.name):
        differing.append(f"the content of {run.data.name}")
    if differing:
        more = f"; and {len(differing) - 5} more" if len(differing) > 5 else ""
        raise ValueError(
            f"The run in {path} cannot be resumed, because this changed since: {'; '.join(differing[:5])}{more}. Put it back, "
            "or give another folder."
        )


def as_json(content: Mapping[str, Any]) -> bytes:
    """As files of a run hold it."""
    return (json.dumps(content, ensure_ascii=True, allow_nan=False, indent=1) + "\n").encode()


def read(path: Path) -> dict[str, Any] | None:
    """What a file of a run holds; None where there is none.

    Raises:
        ValueError: when it is damaged.
    """
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): restore it or remove it.") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} is damaged (it holds no object): restore it or remove it.")
    return found
