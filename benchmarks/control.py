"""The most that an additive control variate could save: the exact Shapley values, subtracted from the game beforehand.

    python benchmarks/control.py [--prompts 6]

Gradients, attention or an earlier explanation give initial scores: the game minus their sum over the features present is
explained, and they are added to the result. None can be closer to the exact values than the exact values. Prints, by estimator
and budget, the geometric mean of the squared error with this best possible control variate relative to that without one.
"""

from __future__ import annotations

import argparse

import torch
from accuracy import OURS
from report import TITLES, Report, geometric_mean
from tables import Tabulated, tables
from torch import Tensor

from interpreto_mllm.explainers.play import play

FEATURES, BUDGETS = (8, 12), (5, 10, 20)


def error(table: Tabulated, name: str, budget: int, seed: int, control: Tensor) -> float:
    """The squared error of an estimator given a control variate."""
    perturbator, aggregator = OURS[name]

    def rest(coalitions: Tensor) -> Tensor:
        return table(coalitions) - coalitions.double() @ control

    found = play(rest, perturbator(), aggregator(), n_features=table.n, budget=budget, seed=seed, progress=False)
    return float((found.attributions[0] + control - table.truth).square().sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=6)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    report = Report("control")
    for source in ("model", "response"):
        games = [(seed, table) for n in FEATURES for seed in range(arguments.prompts) for _, table in tables(source, n, seed)]
        rows = []
        for name in OURS:
            row = [name]
            for times in BUDGETS:
                ratios = []
                for seed, table in games:
                    budget = times * table.n
                    plain = error(table, name, budget, seed, torch.zeros_like(table.truth))
                    ratios.append(error(table, name, budget, seed, table.truth) / max(plain, 1e-300))
                row.append(f"{geometric_mean(ratios):.2f}")
            rows.append(row)
        report.add(f"error with over without, {TITLES[source]}", [f"{times}n" for times in BUDGETS], rows)
    report.save()


if __name__ == "__main__":
    main()
