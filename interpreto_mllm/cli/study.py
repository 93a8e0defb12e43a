"""The commands about studies: validate, plan, run, report, schema."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from interpreto_mllm.cli.console import console
from interpreto_mllm.cli.explain import read_value
from interpreto_mllm.cli.problems import INCOMPLETE, UNUSABLE, Problem, say
from interpreto_mllm.plots.number_scale import duration
from interpreto_mllm.studies.config import Study

RUNS = Path("runs")
METRICS_SHOWN, WIDE = 6, 130
"""Columns of the leaderboard in a terminal, and the width from which on it has intervals."""
INTERVAL = re.compile(r" \[.*\]")


@dataclass(frozen=True)
class Where:
    """Where the samples of a study are explained.

    Args:
        executor: "local", "ray" or "slurm".
        workers: how many.
        gpus: see `Processes` and `RayWorkers`.
        ray_address: of a Ray cluster.
        cluster_options: parameters of submitit as "key=value".
        over: whether the workers share "samples", or the "coalitions" of one after the other.
    """

    executor: str = "local"
    workers: int = 1
    gpus: float = 0.0
    ray_address: str | None = None
    cluster_options: tuple[str, ...] = ()
    over: str = "samples"


def executor_for(where: Where, folder: Path) -> Any:
    """The executor that is meant; None for this process.

    Raises:
        Problem: for options of another executor.
    """
    workers = workers_for(where, folder)
    if where.over == "samples" or workers is None:
        return workers
    from interpreto_mllm.studies.coalitions import OverCoalitions

    return OverCoalitions(workers)


def workers_for(where: Where, folder: Path) -> Any:
    """The workers that are meant; None for this process.

    Raises:
        Problem: for options of another executor.
    """
    if where.ray_address and where.executor != "ray":
        raise Problem(f"--ray-address is for --executor ray; got --executor {where.executor}.")
    if where.cluster_options and where.executor != "slurm":
        raise Problem(f"--cluster-option is for --executor slurm; got --executor {where.executor}.")
    if where.executor == "ray":
        from interpreto_mllm.studies.ray_executor import RayWorkers

        return RayWorkers(where.workers, where.ray_address, where.gpus)
    if where.executor == "slurm":
        from interpreto_mllm.studies.slurm_executor import SlurmJobs

        given = [one.partition("=") for one in where.cluster_options]
        if wrong := [key for key, equals, _ in given if not equals]:
            raise Problem(f"--cluster-option takes KEY=VALUE, such as slurm_partition=gpu; got {wrong[0]!r}.")
        return SlurmJobs(where.workers, folder / "slurm", {key: read_value(value) for key, _, value in given})
    if where.workers == 1 and not where.gpus:
        return None
    from interpreto_mllm.studies.processes import Processes

    return Processes(where.workers, int(where.gpus))


def trackers_for(names: Sequence[str]) -> list[Any]:
    """Trackers by "wandb" or "mlflow", with a project or an experiment behind a colon.

    Raises:
        Problem: for another name.
    """
    from interpreto_mllm.studies.tracking import Mlflow, Wandb

    found: list[Any] = []
    for one in names:
        kind, _, project = one.partition(":")
        if kind not in ("wandb", "mlflow"):
            raise Problem(f"--track takes wandb or mlflow, with a project as wandb:NAME; got {one!r}.")
        named = project or "interpreto_mllm"
        found.append(Wandb(named) if kind == "wandb" else Mlflow(named))
    return found


def validate(config: Path, check_data: bool, check_model: bool) -> None:
    """Check a config, and on demand its data and models.

    Raises:
        ConfigError: with all that is wrong in the config.
    """
    from interpreto_mllm.studies.validation import check_study

    study = Study.load(config)
    problems = check_study(study, data=check_data, model=check_model)
    for problem in problems:
        say(f"Error: {problem}")
    if problems:
        raise typer.Exit(UNUSABLE)
    runs = study.runs()
    typer.echo(f"{config} is valid: {len(runs)} run{'' if len(runs) == 1 else 's'}.")


def plan(config: Path, price: tuple[float, float] | None, seconds: float | None, measure: bool, workers: int) -> None:
    """Print what a study will cost at most."""
    from interpreto_mllm.studies.plan import plan_study

    plans = plan_study(Study.load(config).runs(), price=price, seconds=seconds, measure=measure, workers=workers)
    table = Table(box=SIMPLE_HEAD, show_edge=False, show_footer=len(plans) > 1)
    columns: dict[str, list[int | float | None]] = {
        "samples": [one.samples for one in plans],
        "evaluations": [one.evaluations for one in plans],
        "tokens read": [one.prompt_tokens for one in plans],
        "tokens generated": [one.answer_tokens for one in plans],
    }
    if any(one.seconds is not None for one in plans):
        columns["time"] = [one.seconds for one in plans]
    if price is not None:
        columns["money"] = [one.money for one in plans]
    written = {name: _written(name, values) for name, values in columns.items()}
    table.add_column("run", footer="all")
    for name, cells in written.items():
        table.add_column(name, justify="right", footer=cells[-1])
    for place, one in enumerate(plans):
        table.add_row(Text(one.run.name), *(cells[place] for cells in written.values()))
    console().print(table)
    for one in plans:
        if one.refused:
            say(f"{one.run.name}: {one.refused} of {one.looked_at} samples cannot be explained. {one.problem}")


def _written(name: str, values: Sequence[int | float | None]) -> list[str]:
    """The cells of a column, and their sum."""
    everything = [*values, sum(value or 0 for value in values)]
    if name == "time":
        return ["" if value is None else duration(value) for value in everything]
    form = ",.2f" if name == "money" else ",.0f"
    return ["" if value is None else f"{value:{form}}" for value in everything]


def run(config: Path, out: Path | None, resume: bool, where: Where, track: Sequence[str], wanted: bool, quiet: bool) -> None:
    """Carry out a study and write its report."""
    study = Study.load(config)
    folder = out or RUNS / study.name
    finish(carry_out(study.runs(), folder, resume, where, track, quiet), folder, wanted, study.name)


def carry_out(runs: Sequence[Any], folder: Path, resume: bool, where: Where, track: Sequence[str], quiet: bool) -> Any:
    """What became of runs."""
    from interpreto_mllm.studies.runner import run_study

    trackers = trackers_for(track) if track else []
    executor = executor_for(where, folder)
    return run_study(runs, folder, executor=executor, resume=resume, trackers=trackers, progress=not quiet)


def finish(result: Any, folder: Path, wanted: bool, title: str, about: str = "") -> None:
    """Write the report, show the leaderboard, say what failed; the exit code says so too."""
    if wanted and any(one.done for one in result.runs):
        show_report([folder], folder / "report", title, about, None)
    for one in result.runs:
        if one.problem is not None:
            say(f"Error: run {one.run.name}: {one.problem.message}")
        elif one.failed:
            say(f"{one.failed} of {one.failed + one.done} samples of {one.run.name} failed; see {one.folder / 'samples'}.")
    if result.exit_code:
        raise typer.Exit(INCOMPLETE)


def report(runs: Sequence[Path], out: Path | None, title: str | None, pages: int | None) -> None:
    """Write the report of runs."""
    show_report(runs, out, title, "", pages)


def show_report(runs: Sequence[Path], out: Path | None, title: str | None, about: str, pages: int | None) -> None:
    """Write a report, print its leaderboard and say where the page is."""
    from interpreto_mllm.studies.report import write_report

    written = write_report(runs, out, title=title, about=about, pages=pages)
    console().print(leaderboard(written.board))
    typer.echo(f"Report: {written.page}")


def leaderboard(board: Any) -> Table:
    """The first columns of a leaderboard, for a terminal."""
    from interpreto_mllm.studies.report_tables import whole_columns

    head, rows = board.markdown()
    shown = whole_columns(head)[: METRICS_SHOWN + 1]
    narrow = console().width < WIDE
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1))
    for place in shown:
        table.add_column(head[place], justify="right" if place else "left", no_wrap=not place)
    for row in rows:
        cells = [INTERVAL.sub("", row[place]) if narrow else row[place] for place in shown]
        table.add_row(*(Text(cell.strip("*"), "bold" if cell.startswith("**") else "") for cell in cells))
    return table


def schema() -> None:
    """Print the JSON schema of configs."""
    json.dump(Study.model_json_schema(), sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")
