"""Relative squared error of pairwise Shapley interactions against exact ones, beside shapiq's estimators.

    python benchmarks/interactions.py [--games model sight tuning judging ...] [--seeds 3] [--peers PYTHON]

Every estimator pays for distinct coalitions only: shapiq's are given the largest budget of theirs whose distinct evaluations
stay within the same count. shapiq is the one installed here, or that of another interpreter given by --peers: ProxySHAP needs
1.8, which needs Python 3.12. The halves "tuning" and "judging" are games of real models that `real_games.py` has made; the
shipped models' games have 12 features. Cells are geometric means over games and seeds, errors below 1e-6 counting as that; then
the share of the three truly strongest pairs among the three found, the rank correlation, and how often nominal 95 % intervals
of ours hold the truth.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from real_games import HALVES, real_tables
from report import Report
from shapiq_process import Shapiq
from tables import SOURCES, Tabulated, tables

from interpreto_mllm.aggregators.interactions import interactions, sum_over_coalitions
from interpreto_mllm.aggregators.kernel import KernelAggregator
from interpreto_mllm.aggregators.pair_regression import PairEstimate, regress_pairs
from interpreto_mllm.explainers.play import play
from interpreto_mllm.perturbators import ActivePerturbator, ExactPerturbator, KernelPerturbator

FEATURES = 12
BUDGETS = (5, 10, 20)
FLOOR = 1e-6
OURS = {
    "GaussianProcessShapley": (ActivePerturbator, None),
    "KernelShap": (KernelPerturbator, None),
    "KernelShap, regression": (KernelPerturbator, regress_pairs),
}
Record = dict[str, Any]


def games(source: str, seeds: int) -> Iterator[tuple[str, Tabulated]]:
    """The games of a source: one for each seed, or those of a half."""
    if source in HALVES:
        yield from real_tables(source)
        return
    for seed in range(seeds):
        yield from tables(source, FEATURES, seed)


def scores(values: torch.Tensor, truth: torch.Tensor) -> Record:
    """Relative squared error, rank correlation, share of the true top three found."""
    ranks = torch.stack([values, truth]).argsort(1).argsort(1).double()
    top = [set(one.abs().topk(3).indices.tolist()) for one in (values, truth)]
    error = float((values - truth).square().sum() / truth.square().sum())
    return {"error": max(error, FLOOR), "rank": float(torch.corrcoef(ranks)[0, 1]), "top": len(top[0] & top[1]) / 3}


def measure(game: Tabulated, budget: int, seed: int, shapiq: Shapiq) -> Iterator[Record]:
    """One record per estimator."""
    first, second = torch.triu_indices(game.n, game.n, 1)

    def upper(matrices: torch.Tensor) -> torch.Tensor:
        return matrices[0, first, second]

    def run(perturbator: Any, budget: int) -> Any:
        return play(game, perturbator(), KernelAggregator(), n_features=game.n, budget=budget, seed=seed, progress=False)

    truth = upper(sum_over_coalitions(run(ExactPerturbator, 2**game.n).evaluations, "SII").interactions)
    for name, (perturbator, estimate) in OURS.items():
        found: PairEstimate = interactions(run(perturbator, budget).evaluations, "SII", estimate)
        record = {"estimator": name, **scores(upper(found.interactions), truth)}
        if found.standard_errors is not None:
            inside = (upper(found.interactions) - truth).abs() <= 1.96 * upper(found.standard_errors)
            record["cover"] = float(inside.double().mean())
        yield record
    job = {"path": str(game.path), "budget": budget, "seed": seed, "order": 2}
    for name, answer in shapiq.answers(job).items():
        yield {"estimator": name, **scores(torch.tensor(answer["values"], dtype=torch.float64), truth)}


def add(report: Report, source: str, records: list[Record]) -> None:
    """Tables of one source: errors, ranks, top pairs and coverage, by estimator and budget."""
    names = list(dict.fromkeys(record["estimator"] for record in records))
    columns = [f"{times}n" for times in BUDGETS]
    kinds = {
        "error": "relative squared error",
        "rank": "rank correlation",
        "top": "top 3 found",
        "cover": "95 % intervals cover",
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
    parser.add_argument("--peers", default=os.environ.get("SHAPIQ_PYTHON", sys.executable), metavar="PYTHON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    shapiq, report = Shapiq(arguments.peers), Report("interactions")
    for source in arguments.games:
        records = []
        for number, (_, game) in enumerate(games(source, arguments.seeds)):
            for times in BUDGETS:
                for seed in range(arguments.seeds) if source in HALVES else (number,):
                    found = measure(game, min(times * game.n, 2**game.n), seed, shapiq)
                    records += [{"times": times, **record} for record in found]
        if records:
            add(report, source, records)
    report.save()


if __name__ == "__main__":
    main()
