"""What `claims.py` measures: a record for each estimator, game, budget and seed, kept until the library's estimators change."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from time import process_time
from typing import Any, NamedTuple

import torch
from accuracy import OURS, scores
from anchors import Anchors
from digest import library_digest
from interactions import scores as pair_scores
from real_games import real_tables, texts
from tables import RESULTS, Tabulated, tables

from interpreto_mllm import Rule, Tolerance, TopK
from interpreto_mllm.aggregators.kernel import KernelAggregator
from interpreto_mllm.aggregators.set_interactions import set_interactions
from interpreto_mllm.explainers.play import play
from interpreto_mllm.perturbators import ExactPerturbator

BUDGETS = (5, 10, 20)
SEEDS = 3
"""Of the estimators, for each game of a real model."""
SHIPPED = ("model", "response", "sight", "hearing")
SHIPPED_FEATURES, SHIPPED_SEEDS = (8, 12), 3
RULES: tuple[Rule, ...] = (TopK(3), Tolerance(0.1))
PROCESS, KERNEL = "GaussianProcessShapley", "KernelShap"
Record = dict[str, Any]


class Run(NamedTuple):
    """A game and a seed.

    Args:
        group: "tuning", "judging" or "shipped".
        family: the kind of game.
        cell: games of one cell are compared as one; of the shipped models those of one kind and size.
        table: the game.
        seed: of the estimators.
    """

    group: str
    family: str
    cell: str
    table: Tabulated
    seed: int

    @property
    def about(self) -> Record:
        """What every record of it says."""
        return {"group": self.group, "family": self.family, "cell": self.cell, "n": self.table.n, "seed": self.seed}


def runs(group: str) -> Iterator[Run]:
    """The games of a group; those of real models with several seeds."""
    if group != "shipped":
        kinds = {name: text.kind for name, text in texts(group).items()}
        for name, table in real_tables(group):
            yield from (Run(group, kinds[name], name, table, seed) for seed in range(SEEDS))
        return
    for source in SHIPPED:
        for n in SHIPPED_FEATURES:
            for seed in range(SHIPPED_SEEDS):
                for _, table in tables(source, n, seed):
                    yield Run(group, source, f"{source}, n = {n}", table, seed)


def kept(what: str, run: Run, make: Callable[[], list[Record]]) -> list[Record]:
    """The records of a run, as an earlier call left them or made now."""
    path = RESULTS / "claims" / library_digest() / what / f"{run.table.path.stem}-{run.seed}.json"
    if not path.exists():
        made = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(made))
    return [{**run.about, **record} for record in json.loads(path.read_text())]


def budgets(run: Run) -> Iterator[tuple[int, int]]:
    """Multiples of n, and the evaluations, as long as these do not cover all coalitions."""
    yield from ((times, times * run.table.n) for times in BUDGETS if times * run.table.n < 2**run.table.n)


def value_records(run: Run, anchors: Anchors) -> list[Record]:
    """Errors, ranks, top three, coverage, width and time of Shapley values, by estimator and budget."""

    def make() -> list[Record]:
        return [
            {"times": times, **record} for times, budget in budgets(run) for record in own_values(run.table, budget, run.seed)
        ]

    records = kept("values", run, make)
    return records + [record for times, budget in budgets(run) for record in their_values(run, times, budget, anchors)]


def their_values(run: Run, times: int, budget: int, anchors: Anchors) -> Iterator[Record]:
    """One record per estimator of shapiq's."""
    for name, answer in anchors.answers(run.table, budget, run.seed).items():
        found = scores(torch.tensor(answer["values"], dtype=torch.float64), run.table.truth)
        yield {**run.about, "times": times, "estimator": name, "seconds": answer["seconds"], **found}


def own_values(table: Tabulated, budget: int, seed: int) -> Iterator[Record]:
    """One record per estimator of the library."""
    for name, (perturbator, aggregator) in OURS.items():
        started = process_time()
        result = play(table, perturbator(), aggregator(), n_features=table.n, budget=budget, seed=seed, progress=False)
        record = {"estimator": name, "seconds": process_time() - started, **scores(result.attributions[0], table.truth)}
        if (errors := result.standard_errors) is not None:
            record["cover"] = float(((result.attributions - table.truth).abs() <= 1.96 * errors).double().mean())
            record["width"] = float(2 * 1.96 * errors.mean() / table.truth.square().mean().sqrt())
        yield record


def closing_records(run: Run) -> list[Record]:
    """The width of the intervals when a single pair is missing, over that at 5n."""

    def make() -> list[Record]:
        widths = []
        for budget in (5 * run.table.n, 2**run.table.n - 2):
            result = play(
                run.table, *(part() for part in OURS[PROCESS]), n_features=run.table.n, budget=budget, seed=0, progress=False
            )
            widths.append(float(result.standard_errors.mean()) if result.standard_errors is not None else float("nan"))
        return [{"ratio": widths[1] / widths[0]}]

    return kept("closing", run, make)


def stop_records(run: Run) -> list[Record]:
    """Whether and when rules are met, and whether the answer is right then."""

    def make() -> list[Record]:
        found, truth = [], run.table.truth
        for name in (PROCESS, KERNEL):
            for rule in RULES:
                parts = (part() for part in OURS[name])
                result = play(
                    run.table, *parts, n_features=run.table.n, budget=2**run.table.n, seed=run.seed, until=rule, progress=False
                )
                told = scores(result.attributions[0], truth)
                right = told["top"] == 1 if isinstance(rule, TopK) else told["error"] <= rule.error**2  # type: ignore[union-attr]
                spent = result.counts.evaluations
                met = spent < 2**run.table.n
                found.append({"estimator": name, "rule": repr(rule), "met": met, "right": bool(right), "evaluations": spent})
        return found

    return kept("stopping", run, make)


def pair_records(run: Run, anchors: Anchors) -> list[Record]:
    """Errors and coverage of pairwise Shapley interactions, ours read from the process."""

    def played(name: str, budget: int) -> Any:
        perturbator = OURS[name][0]() if name in OURS else ExactPerturbator()
        return play(
            run.table, perturbator, KernelAggregator(), n_features=run.table.n, budget=budget, seed=run.seed, progress=False
        )

    def make() -> list[Record]:
        truth = set_interactions(played("exact", 2**run.table.n).evaluations, 2).values[0]
        found = []
        for times, budget in budgets(run):
            pairs = set_interactions(played(PROCESS, budget).evaluations, 2)
            record = {"estimator": PROCESS, "times": times, **pair_scores(pairs.values[0], truth)}
            if pairs.standard_errors is not None:
                inside = (pairs.values[0] - truth).abs() <= 1.96 * pairs.standard_errors[0]
                record["cover"] = float(inside.double().mean())
            found.append(record)
            for name, answer in anchors.answers(run.table, budget, run.seed, order=2).items():
                values = torch.tensor(answer["values"], dtype=torch.float64)
                found.append({"estimator": name, "times": times, **pair_scores(values, truth)})
        return found

    return kept("pairs", run, make)
