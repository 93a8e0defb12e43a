"""Errors against exact Shapley values, by estimator and budget, beside shapiq's estimators; then intervals, ranks and seconds.

    python benchmarks/accuracy.py [--games synthetic|model|all] [--seeds 10] [--first-seed 0] [--peers PYTHON]

Every estimator pays for distinct coalitions only: shapiq's are given the largest budget of theirs whose distinct evaluations
stay within the same count, and pairing is on where shapiq has it. Cells are geometric means over games and seeds. shapiq is
the one installed here (1.4.1), or that of another interpreter given by --peers: later ones, with OddSHAP, RegressionMSR and
ProxySHAP, need Python 3.12, xgboost and lightgbm.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from figure import draw
from report import show_errors, show_rest
from tables import RESULTS, SOURCES, Tabulated, tables

from interpreto_mllm.aggregators import (
    ComplementaryAggregator,
    GaussianProcessAggregator,
    KernelAggregator,
    MarginalAggregator,
    ShapleyAggregator,
)
from interpreto_mllm.perturbators import (
    ActivePerturbator,
    ComplementaryPerturbator,
    KernelPerturbator,
    MonteCarloPerturbator,
    NeymanPerturbator,
    PermutationPerturbator,
)
from interpreto_mllm.play import play

FEATURES = (8, 12, 16)
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
Record = dict[str, Any]


def scores(values: torch.Tensor, truth: torch.Tensor) -> Record:
    """How near some attributions are to the true ones: squared error, correlation of ranks, share of the top three found."""
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
        if errors is not None and len(result.coalitions) < 2**table.n:
            record["cover"] = float(((result.attributions - table.truth).abs() <= 1.96 * errors).double().mean())
        yield record


def theirs(jobs: list[Record], python: str) -> Iterator[list[Record]]:
    """For each job, one record per estimator of shapiq, from a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "games.json", Path(folder) / "answers.json"
        asked.write_text(json.dumps([{key: job[key] for key in ("path", "budget", "seed")} for job in jobs]))
        subprocess.run([python, Path(__file__).parent / "peers.py", asked, answered], check=True)
        content = json.loads(answered.read_text())
    print(f"shapiq {content['version']}")
    for job, answers in zip(jobs, content["answers"], strict=True):
        truth = Tabulated(Path(job["path"])).truth
        yield [
            {"estimator": name, "seconds": answer["seconds"], **scores(torch.tensor(answer["values"]).double(), truth)}
            for name, answer in answers.items()
            if answer is not None
        ]


def measure(sources: list[str], seeds: range, python: str) -> list[Record]:
    """One record per game, estimator, budget and seed."""
    jobs, records = [], []
    for n in FEATURES:
        for seed in seeds:
            for source in sources:
                for name, table in tables(source, n, seed):
                    for times in BUDGETS:
                        cell = {"game": name, "source": source, "n": n, "seed": seed, "times": times}
                        jobs.append({**cell, "path": str(table.path), "budget": min(times * n, 2**n)})
                        records += [{**cell, **record} for record in ours(table, jobs[-1]["budget"], seed)]
            print(f"n = {n}, seed {seed}", file=sys.stderr)
    for job, answers in zip(jobs, theirs(jobs, python), strict=True):
        cell = {key: job[key] for key in ("game", "source", "n", "seed", "times")}
        records += [{**cell, **answer} for answer in answers]
    return records


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", choices=[*SOURCES, "all"], default="all")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--peers", default=sys.executable, metavar="PYTHON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sources = list(SOURCES) if arguments.games == "all" else [arguments.games]
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    records = measure(sources, seeds, arguments.peers)
    (RESULTS / "accuracy.json").write_text(json.dumps(records, indent=0))
    log_probability = [r for r in records if r["source"] == "model" or r["game"].startswith("log")]
    show_errors(records, f"All games ({', '.join(sources)})")
    show_errors(log_probability, "Log-probability games")
    for name in dict.fromkeys(record["game"] for record in records):
        show_errors([record for record in records if record["game"] == name], name)
    show_rest(log_probability, "Log-probability games")
    show_rest(records, f"All games ({', '.join(sources)})")
    draw(records, RESULTS / "estimators.svg")


if __name__ == "__main__":
    main()
