"""Errors against exact Shapley values by estimator and budget, beside shapiq's; then intervals, ranks and seconds.

    python benchmarks/accuracy.py [--games model response sight hearing synthetic] [--seeds 3] [--first-seed 0] [--peers PYTHON]

What is claimed, and whether it holds, is printed by `claims.py`, on games of real models too; this script adds smaller and
larger budgets and synthetic games, and draws the figure.

Every estimator pays for distinct coalitions only: shapiq's are given the largest budget of theirs whose distinct evaluations
stay within the same count, and pairing is on where shapiq has it. Cells are geometric means over games and seeds; each of the
six synthetic games is drawn from a third of the seeds. shapiq is the one installed here, or that of another interpreter given
by --peers or SHAPIQ_PYTHON: later ones, with OddSHAP, RegressionMSR and ProxySHAP, need Python 3.12, xgboost and lightgbm.

Records are kept in results/accuracy/ until estimators change, answers of shapiq's in results/anchors/ for good.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from anchors import Anchors
from digest import library_digest
from figure import draw
from report import Report, show
from tables import RESULTS, SOURCES, Tabulated, tables

from interpreto_mllm.aggregators import (
    ComplementaryAggregator,
    GaussianProcessAggregator,
    KernelAggregator,
    MarginalAggregator,
    ShapleyAggregator,
)
from interpreto_mllm.explainers.play import play
from interpreto_mllm.perturbators import (
    ActivePerturbator,
    ComplementaryPerturbator,
    KernelPerturbator,
    MonteCarloPerturbator,
    NeymanPerturbator,
    PermutationPerturbator,
)

FEATURES = (8, 12)
BUDGETS = (2, 5, 10, 20, 50)
OURS = {
    "GaussianProcessShapley": (ActivePerturbator, GaussianProcessAggregator),
    "… on KernelShap's pairs": (KernelPerturbator, GaussianProcessAggregator),
    "KernelShap": (KernelPerturbator, KernelAggregator),
    "PermutationShapley": (PermutationPerturbator, MarginalAggregator),
    "MonteCarloShapley": (MonteCarloPerturbator, ShapleyAggregator),
    "ComplementaryShapley": (ComplementaryPerturbator, ComplementaryAggregator),
    "NeymanShapley": (NeymanPerturbator, ComplementaryAggregator),
}
ABOUT = (
    "Relative squared error against exact Shapley values at equal numbers of distinct evaluations for n features, beside "
    "shapiq's estimators. Cells are geometric means over games and seeds."
)
Record = dict[str, Any]


def scores(values: torch.Tensor, truth: torch.Tensor) -> Record:
    """Errors of some attributions: relative squared error, rank correlation, share of the true top three found."""
    ranks = torch.stack([values, truth]).argsort(1).argsort(1).double()
    top = [set(v.abs().topk(3).indices.tolist()) for v in (values, truth)]
    return {
        "error": float((values - truth).square().sum() / truth.square().sum()),
        "rank": float(torch.corrcoef(ranks)[0, 1]),
        "top": len(top[0] & top[1]) / 3,
    }


def ours(table: Tabulated, budget: int, seed: int) -> Iterator[Record]:
    """One record per estimator of the library."""
    for name, (perturbator, aggregator) in OURS.items():
        started = time.process_time()
        result = play(table, perturbator(), aggregator(), n_features=table.n, budget=budget, seed=seed, progress=False)
        record = {"estimator": name, "seconds": time.process_time() - started, **scores(result.attributions[0], table.truth)}
        errors = result.standard_errors
        if errors is not None:
            record["cover"] = float(((result.attributions - table.truth).abs() <= 1.96 * errors).double().mean())
        yield record


def theirs(anchors: Anchors, table: Tabulated, budget: int, seed: int) -> Iterator[Record]:
    """One record per estimator of shapiq that accepts the budget."""
    for name, answer in anchors.answers(table, budget, seed).items():
        values = torch.tensor(answer["values"], dtype=torch.float64)
        yield {"estimator": name, "seconds": answer["seconds"], **scores(values, table.truth)}


def measure(source: str, n: int, seed: int, anchors: Anchors) -> Iterator[Record]:
    """One record per game of a source, estimator and budget that does not cover all coalitions; ours are kept on disk."""
    for name, table in tables(source, n, seed):
        for times in (times for times in BUDGETS if times * n < 2**n):
            path = RESULTS / "accuracy" / library_digest() / f"{table.path.stem}-{times}.json"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(list(ours(table, times * n, seed))))
            about = {"game": name, "source": source, "n": n, "seed": seed, "times": times}
            for record in (*json.loads(path.read_text()), *theirs(anchors, table, times * n, seed)):
                yield {**about, **record}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", choices=list(SOURCES), nargs="+", default=list(SOURCES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--peers", default=os.environ.get("SHAPIQ_PYTHON", sys.executable), metavar="PYTHON")
    parser.add_argument("--out", type=Path, help="a folder for tables, the figure and a page")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    anchors = Anchors(arguments.peers)
    records: list[Record] = []
    first = arguments.first_seed
    for seed in range(first, first + arguments.seeds):
        for source in arguments.games:
            if source != "synthetic" or seed - first < max(1, arguments.seeds // 3):
                for n in FEATURES:
                    records += measure(source, n, seed, anchors)
    (RESULTS / "accuracy.json").write_text(json.dumps(records))
    print(f"{arguments.seeds} seeds, n = {', '.join(map(str, FEATURES))}, shapiq {anchors.version}")
    report = Report("accuracy", arguments.out)
    show(records, report)
    report.save()
    figure = (arguments.out or RESULTS) / "estimators.svg"
    draw(records, figure)
    svg = figure.read_text(encoding="utf-8")
    report.page(
        "estimators", ABOUT, [svg[svg.index("<svg") :]], facts=[f"{arguments.seeds} seeds", f"shapiq {anchors.version}"]
    )


if __name__ == "__main__":
    main()
