"""How often `until=TopK(3)` stops with the true three strongest words, and how many evaluations it uses.

    python benchmarks/stopping.py [--prompts 100] [--features 12] [--ceiling 1000]

Games are tabulated log-probabilities of the shipped model's answers to prompts with known causes, compared with exact Shapley
values. A prompt counts as decided if its third and fourth strongest words differ by more than 2 % of the strongest; no rule
can distinguish equal words. Permutation sampling with fixed budgets is shown for comparison.
"""

from __future__ import annotations

import argparse

import torch
from accuracy import OURS
from report import Report
from tables import Tabulated, tables
from torch import Tensor

from interpreto_mllm import Rule, Tolerance, TopK
from interpreto_mllm.explainers.play import play

METHODS = ("GaussianProcessShapley", "KernelShap", "MonteCarloShapley", "PermutationShapley")
FIXED = (25, 50, 100, 200, 400, 800)
COLUMNS = ["right", "met", "evaluations, mean", "most", "relative error"]


def top(attributions: Tensor) -> set[int]:
    """The three strongest features."""
    return set(attributions.abs().topk(3).indices.tolist())


def decided(truth: Tensor) -> bool:
    """Whether the third and fourth strongest features differ."""
    size = truth.abs().sort(descending=True).values
    return bool(size[2] - size[3] > 0.02 * size[0])


def row(games: list[Tabulated], name: str, budget: int, until: Rule | None = None) -> list[str]:
    """One line of the table: one of the library's estimators on every game."""
    perturbator, aggregator = OURS[name]
    right, met, spent, errors = 0, 0, [], []
    for seed, game in enumerate(games):
        result = play(
            game, perturbator(), aggregator(), n_features=game.n, budget=budget, seed=seed, until=until, progress=False
        )
        right += top(result.attributions[0]) == top(game.truth)
        met += result.counts.saved > 0
        spent.append(result.counts.evaluations)
        errors.append(float((result.attributions[0] - game.truth).norm() / game.truth.norm()))
    error = (sum(error**2 for error in errors) / len(errors)) ** 0.5
    title = f"{name}, " + (f"budget={budget}" if until is None else f"until={until!r}")
    return [title, f"{right}", f"{met}" if until else "", f"{sum(spent) / len(spent):.0f}", f"{max(spent)}", f"{error:.3f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--features", type=int, default=12)
    parser.add_argument("--ceiling", type=int, default=1000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    n, ceiling = arguments.features, arguments.ceiling
    everything = [table for seed in range(arguments.prompts) for _, table in tables("model", n, seed)]
    games = [game for game in everything if decided(game.truth)]
    rows = [row(games, name, ceiling, rule) for rule in (TopK(3), Tolerance(0.1)) for name in METHODS]
    rows += [row(games, "PermutationShapley", budget) for budget in FIXED]
    report = Report("stopping")
    report.add(f"of {len(games)} decided prompts, n = {n}, ceiling {ceiling}", COLUMNS, rows, name="stop rules")
    report.save()


if __name__ == "__main__":
    main()
