"""How often `until=TopK(3)` stops with the true three strongest features, and what it spends.

    python benchmarks/stopping.py [--prompts 30] [--features 12]

Games are log-probabilities of the shipped model's answers and synthetic ones, tabulated, with exact Shapley values for truth.
A prompt counts as decided when its third and fourth strongest features differ by more than 2 % of the strongest; no rule can
tell features that are equal. Beside it, the fixed budget that permutation sampling needs to be right as often.
"""

from __future__ import annotations

import argparse
from itertools import islice

import torch
from accuracy import Tabulated, model_games, synthetic_games
from rich.console import Console
from rich.table import Table
from torch import Tensor

from interpreto_mllm import Tolerance, TopK
from interpreto_mllm.aggregators import KernelAggregator, MarginalAggregator, ShapleyAggregator
from interpreto_mllm.perturbators import ExactPerturbator, KernelPerturbator, MonteCarloPerturbator, PermutationPerturbator
from interpreto_mllm.play import play

METHODS = {
    "KernelShap": (KernelPerturbator, KernelAggregator),
    "MonteCarloShapley": (MonteCarloPerturbator, ShapleyAggregator),
    "PermutationShapley": (PermutationPerturbator, MarginalAggregator),
}
FIXED = (50, 100, 200, 400, 800, 1600, 3200)


def top(attributions: Tensor) -> set[int]:
    """The three strongest features."""
    return set(attributions[0].abs().topk(3).indices.tolist())


def decided(truth: Tensor) -> bool:
    """Whether the third and fourth strongest features differ."""
    size = truth[0].abs().sort(descending=True).values
    return bool(size[2] - size[3] > 0.02 * size[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=30)
    parser.add_argument("--features", type=int, default=12)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    n = arguments.features

    def run(game: Tabulated, name: str, budget: int, seed: int, until: TopK | Tolerance | None = None):
        draws, aggregator = METHODS[name]
        return play(game, draws(), aggregator(), n_features=n, budget=budget, seed=seed, until=until, progress=False)

    kinds: dict[str, list[tuple[Tabulated, Tensor, int]]] = {"recall": [], "synthetic": []}
    for seed in range(arguments.prompts):
        for kind, games in (("recall", islice(model_games(n, seed), 1)), ("synthetic", synthetic_games(n, seed))):
            for _, plain in games:
                game = Tabulated(plain, n)
                truth = play(game, ExactPerturbator(), ShapleyAggregator(), n_features=n, progress=False).attributions
                if decided(truth):
                    kinds[kind].append((game, truth, seed))
    console = Console(width=110)
    for kind, games in kinds.items():
        table = Table(title=f"{kind}, n = {n}: {len(games)} decided games, ceiling {2**n} evaluations")
        for column in ("method", "rule", "right", "met", "mean evaluations", "true relative error"):
            table.add_column(column)
        for name in METHODS:
            for rule in (TopK(3), Tolerance(0.1)):
                results = [(run(game, name, 2**n, seed, rule), truth) for game, truth, seed in games]
                right = sum(top(result.attributions) == top(truth) for result, truth in results)
                met = sum(result.counts.saved > 0 for result, _ in results)
                spent = sum(result.counts.evaluations for result, _ in results) / len(results)
                ratios = [float((result.attributions - truth).norm() / truth.norm()) for result, truth in results]
                error = sum(ratio**2 for ratio in ratios) / len(ratios)
                shares = f"{100 * right / len(games):.0f} %", f"{100 * met / len(games):.0f} %"
                table.add_row(name, repr(rule), *shares, f"{spent:.0f}", f"{error**0.5:.3f}")
        for budget in FIXED:
            right = sum(
                top(run(game, "PermutationShapley", budget, seed).attributions) == top(truth) for game, truth, seed in games
            )
            table.add_row(
                "PermutationShapley", f"fixed budget {budget}", f"{100 * right / len(games):.0f} %", "", str(budget), ""
            )
        console.print(table)


if __name__ == "__main__":
    main()
