"""Every text family of transformers through the library, each number compared with one plain forward.

    python benchmarks/sweep.py [--only NAME ...] [--kind causal|seq2seq|classifier] [--dtype float32|bfloat16] [--again]
    python benchmarks/sweep.py --table

Families come from transformers' auto mappings, small and with random weights (`sweep_configs.py`, `sweep_models.py`). What they
are asked, and what counts as right, is in `sweep_subject.py` and `sweep_checks.py`; the plain forwards in `sweep_reference.py`.
Results are kept in results/sweep.json: families that are there already are not run again without `--again`. `--table` writes
docs/families.md from them.
The exit code is 1 when a number is wrong or something crashes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch
import transformers
from rich.console import Console
from sweep_checks import BAD, swept
from sweep_configs import Family, NotText
from sweep_models import KINDS, families
from sweep_table import show, write

RESULTS = Path(__file__).parent / "results" / "sweep.json"
DTYPES = ("float32", "bfloat16")
MEMORY = 6 * 2**30
Job = tuple[Family, str]
Results = dict[str, Any]


@dataclass
class Work:
    """A family in a process of its own, and what is known of it so far."""

    job: Job
    process: Any
    started: float
    report: Results = field(default_factory=lambda: {"checks": {}})
    check: str = ""


def load() -> Results:
    """What earlier runs found with this version of transformers."""
    if RESULTS.exists():
        found = json.loads(RESULTS.read_text())
        if found["transformers"] == transformers.__version__:
            return found
    return {"transformers": transformers.__version__, "families": {}}


def save(results: Results) -> None:
    """As a whole, so that a killed run leaves a file that can be read."""
    RESULTS.parent.mkdir(exist_ok=True)
    draft = RESULTS.with_suffix(".draft")
    draft.write_text(json.dumps(results, indent=1))
    draft.replace(RESULTS)


def sweep(jobs: list[Job], workers: int, seconds: float) -> Iterator[tuple[Job, Results]]:
    """What was found of each family, in a process each; one that takes too long or dies is a crash of the check it was at."""
    context = get_context("fork")
    _import_what_all_need()
    waiting, live = list(jobs), dict[Connection, Work]()
    try:
        yield from _run_jobs(context, waiting, live, workers, seconds)
    finally:
        for work in live.values():
            work.process.kill()


def _run_jobs(
    context: Any, waiting: list[Job], live: dict[Connection, Work], workers: int, seconds: float
) -> Iterator[tuple[Job, Results]]:
    while waiting or live:
        while waiting and len(live) < workers:
            job = waiting.pop(0)
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_child, args=(job, theirs), daemon=True)
            process.start()
            theirs.close()
            live[ours] = Work(job, process, time.monotonic())
        for connection in wait(list(live), timeout=1.0):
            assert isinstance(connection, Connection)
            if _ended(connection, live[connection]):
                yield _finished(live.pop(connection))
        for connection, work in list(live.items()):
            if time.monotonic() - work.started > seconds:
                work.process.kill()
                yield _finished(live.pop(connection), f"took more than {seconds:.0f} seconds")


def _import_what_all_need() -> None:
    """Once and before the processes part, which saves seconds in each: transformers imports most of itself when first used."""
    for name in ("LlamaForCausalLM", "T5ForConditionalGeneration", "BertForSequenceClassification"):
        getattr(transformers, name)


def _ended(connection: Connection, work: Work) -> bool:
    """Take one message of a family's process; whether there are no more."""
    try:
        what, said = connection.recv()
    except EOFError:
        return True
    if what == "begins":
        work.check = said["check"]
    elif what == "check":
        work.report["checks"][work.check] = said
        work.check = ""
    else:
        work.report |= said
    return False


def _finished(work: Work, said: str | None = None) -> tuple[Job, Results]:
    work.process.join()
    if said is None and work.process.exitcode:
        said = f"the process ended with code {work.process.exitcode}"
    if said and work.check:
        work.report["checks"][work.check] = {"status": "crash", "said": said}
    elif said:
        work.report["not built"] = said
    return work.job, work.report | {"seconds": round(time.monotonic() - work.started, 1)}


def _child(job: Job, connection: Connection) -> None:
    """One family; everything it finds goes through the connection, nothing to the terminal."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    try:
        for _, report in swept(*job, lambda what, said: connection.send((what, said))):
            connection.send(("check", report))
    except NotText as error:
        connection.send(("built", {"not text": str(error)}))
    except Exception as error:  # a family that cannot be built or run plainly is listed with the reason
        line = (str(error).strip().splitlines() or [""])[0][:200]
        connection.send(("built", {"not built": f"{type(error).__name__}: {line}"}))
    connection.close()
    os._exit(0)


def chosen(only: list[str], kinds: list[str], dtypes: list[str]) -> list[Job]:
    """The families whose names hold one of those given."""
    found = [family for family in families() if family.kind in kinds]
    found = [family for family in found if not only or any(name.lower() in family.key.lower() for name in only)]
    return [(family, dtype) for dtype in dtypes for family in found]


def run(jobs: list[Job], again: bool, workers: int, seconds: float) -> int:
    """Run what is not known yet and keep it; the exit code."""
    results, console = load(), Console(width=None if sys.stdout.isatty() else 200)
    done = results["families"]
    missing = [(family, dtype) for family, dtype in jobs if again or dtype not in done.get(family.key, {}).get("dtypes", {})]
    console.print(f"{len(jobs) - len(missing)} known, {len(missing)} to run")
    for (family, dtype), report in sweep(missing, workers, seconds):
        entry = done.setdefault(family.key, {"kind": family.kind, "type": family.type, "name": family.name, "dtypes": {}})
        entry["dtypes"][dtype] = report
        save(results)
        counts = Counter(check["status"] for check in report["checks"].values())
        told = report.get("not text") or report.get("not built") or ", ".join(f"{n} {name}" for name, n in counts.items())
        console.print(
            f"{family.key} {dtype}: {told}", style="red" if any(counts[bad] for bad in BAD) else None, highlight=False
        )
    mine = {family.key for family, _ in jobs}
    return show({key: entry for key, entry in done.items() if key in mine}, console)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="parts of names such as causal/LlamaForCausalLM")
    parser.add_argument("--kind", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--dtype", nargs="+", default=list(DTYPES), choices=DTYPES)
    parser.add_argument("--again", action="store_true", help="run families whose results are there already")
    parser.add_argument("--workers", type=int, default=2, help="processes at a time")
    parser.add_argument("--seconds", type=float, default=600, help="that a family may take in a dtype")
    parser.add_argument("--table", action="store_true", help="write docs/families.md from the results")
    given = parser.parse_args()
    if given.table:
        write(load())
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    return run(chosen(given.only, given.kind, given.dtype), given.again, given.workers, given.seconds)


if __name__ == "__main__":
    sys.exit(main())
