"""Relative squared error of Shapley interactions of pairs or triples against exact ones, beside shapiq's estimators.

    python benchmarks/interactions.py [--order 2] [--features 12] [--games model sight tuning judging ...] [--seeds 3]
        [--peers PYTHON]

Every estimator pays for distinct coalitions only: shapiq's are given the largest budget of theirs whose distinct evaluations
stay within the same count. shapiq is the one installed here, or that of another interpreter given by --peers: ProxySHAP needs
1.8, which needs Python 3.12. The halves "tuning" and "judging" are games of real models that `real_games.py` has made; the
other games have as many features as asked. Cells are geometric means over games and seeds, errors below 1e-6 counting as that;
then the share of the three truly strongest sets among the three found, the rank correlation, and how often nominal 95 %
intervals of ours hold the truth.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from anchors import Anchors
from real_games import HALVES, real_tables
from report import Report
from tables import SOURCES, Tabulated, tables

from interpreto_mllm.aggregators.kernel import KernelAggregator
from interpreto_mllm.aggregators.pair_regression import regress_pairs
from interpreto_mllm.aggregators.set_estimate import SetEstimate
from interpreto_mllm.aggregators.set_interactions import set_interactions
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.set_sums import ORDERS, all_sets
from interpreto_mllm.explainers.play import play
from interpreto_mllm.perturbators import ActivePerturbator, ExactPerturbator, KernelPerturbator

BUDGETS = (5, 10, 20)
FLOOR = 1e-6
OURS = {
    "GaussianProcessShapley": (ActivePerturbator, set_interactions),
    "KernelShap": (KernelPerturbator, set_interactions),
    "KernelShap, regression": (KernelPerturbator, lambda evaluations, order: regressed(evaluations)),
}
Record = dict[str, Any]


def regressed(evaluations: Evaluations) -> SetEstimate:
    """Pairs by regression."""
    found, sets = regress_pairs(evaluations, "SII"), all_sets(evaluations.n, 2)
    errors = None if found.standard_errors is None else found.standard_errors[:, sets[:, 0], sets[:, 1]]
    return SetEstimate(sets, found.interactions[:, sets[:, 0], sets[:, 1]], errors)


def games(source: str, seeds: int, features: int) -> Iterator[tuple[str, Tabulated]]:
    """The games of a source: one for each seed, or those of a half."""
    if source in HALVES:
        yield from real_tables(source)
        return
    for seed in range(seeds):
        yield from tables(source, features, seed)


def scores(values: torch.Tensor, truth: torch.Tensor) -> Record:
    """Relative squared error, rank correlation, share of the true top three found."""
    ranks = torch.stack([values, truth]).argsort(1).argsort(1).double()
    top = [set(one.abs().topk(3).indices.tolist()) for one in (values, truth)]
    error = float((values - truth).square().sum() / truth.square().sum())
    return {"error": max(error, FLOOR), "rank": float(torch.corrcoef(ranks)[0, 1]), "top": len(top[0] & top[1]) / 3}


def measure(game: Tabulated, budget: int, seed: int, order: int, anchors: Anchors) -> Iterator[Record]:
    """One record per estimator."""

    def run(perturbator: Any, budget: int) -> Any:
        return play(game, perturbator(), KernelAggregator(), n_features=game.n, budget=budget, seed=seed, progress=False)

    truth = set_interactions(run(ExactPerturbator, 2**game.n).evaluations, order).values[0]
    for name, (perturbator, estimate) in OURS.items():
        if order == 3 and "regression" in name:
            continue
        evaluations = run(perturbator, budget).evaluations
        started = time.process_time()
        found = estimate(evaluations, order)
        record = {"estimator": name, **scores(found.values[0], truth), "seconds": time.process_time() - started}
        if found.standard_errors is not None:
            inside = (found.values[0] - truth).abs() <= 1.96 * found.standard_errors[0]
            record["cover"] = float(inside.double().mean())
        yield record
    for name, answer in anchors.answers(game, budget, seed, order).items():
        values = torch.tensor(answer["values"], dtype=torch.float64)
        yield {"estimator": name, **scores(values, truth), "seconds": answer["seconds"]}


def add(report: Report, source: str, records: list[Record]) -> None:
    """Tables of one source: errors, ranks, top pairs and coverage, by estimator and budget."""
    names = list(dict.fromkeys(record["estimator"] for record in records))
    columns = [f"{times}n" for times in BUDGETS]
    kinds = {
        "error": "relative squared error",
        "rank": "rank correlation",
        "top": "top 3 found",
        "cover": "95 % intervals cover",
        "seconds": "seconds",
    }
    for kind, title in kinds.items():
        rows = []
        for name in names:
            cells = [[r[kind] for r in records if r["estimator"] == name and r["times"] == t and kind in r] for t in BUDGETS]
            if any(cells):
                means = [
                    (np.exp(np.mean(np.log(cell))) if kind == "error" else np.mean(cell)) if cell else np.nan for cell in cells
                ]
                rows.append([name, *("–" if np.isnan(mean) else f"{mean:.3g}" for mean in means)])
        report.add(f"{source}: {title}", columns, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", choices=[*SOURCES, *HALVES], nargs="+", default=[*SOURCES, *HALVES])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--order", type=int, choices=ORDERS, default=2)
    parser.add_argument("--features", type=int, default=12)
    parser.add_argument("--peers", default=os.environ.get("SHAPIQ_PYTHON", sys.executable), metavar="PYTHON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    order = arguments.order
    anchors, report = Anchors(arguments.peers), Report("interactions" if order == 2 else "triples")
    for source in arguments.games:
        records = []
        for number, (_, game) in enumerate(games(source, arguments.seeds, arguments.features)):
            for times in BUDGETS:
                for seed in range(arguments.seeds) if source in HALVES else (number,):
                    found = measure(game, min(times * game.n, 2**game.n), seed, order, anchors)
                    records += [{"times": times, **record} for record in found]
        if records:
            add(report, source, records)
    report.save()


if __name__ == "__main__":
    main()
