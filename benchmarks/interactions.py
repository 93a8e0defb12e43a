"""Relative squared error of pairwise Shapley interactions against exact ones, beside shapiq's estimators.

    python benchmarks/interactions.py [--seeds 5] [--features 8 12]

Every estimator pays for distinct coalitions only: shapiq's are given the largest budget of theirs whose distinct evaluations
stay within the same count. Cells are geometric means over games and seeds, errors below 1e-6 counting as that. Below the
errors: how many of the three truly strongest pairs are among the three found, and how often nominal 95 % intervals of ours
hold the truth.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable

import numpy as np
import torch
from peers import Counted
from report import Report
from tables import Tabulated, tables
from torch import Tensor

from interpreto_mllm.aggregators import KernelAggregator
from interpreto_mllm.attribution import Interactions
from interpreto_mllm.explainers.play import play
from interpreto_mllm.perturbators import ExactPerturbator, KernelPerturbator, MonteCarloPerturbator, PermutationPerturbator

BUDGETS = (5, 10, 20, 50)
FLOOR = 1e-6
OURS = {"kernel draws": KernelPerturbator, "Monte Carlo draws": MonteCarloPerturbator, "permutations": PermutationPerturbator}


def peers(n: int, seed: int) -> dict[str, Callable[[], object]]:
    """shapiq's estimators of second-order Shapley interactions, as factories."""
    from shapiq.approximator import SHAPIQ, SVARMIQ, InconsistentKernelSHAPIQ, KernelSHAPIQ, PermutationSamplingSII

    known = {"max_order": 2, "index": "SII", "random_state": seed}
    return {
        "shapiq KernelSHAP-IQ": lambda: KernelSHAPIQ(n, pairing_trick=True, **known),
        "shapiq KernelSHAP-IQ, inconsistent": lambda: InconsistentKernelSHAPIQ(n, pairing_trick=True, **known),
        "shapiq SVARM-IQ": lambda: SVARMIQ(n, pairing_trick=True, **known),
        "shapiq SHAP-IQ": lambda: SHAPIQ(n, pairing_trick=True, **known),
        "shapiq permutation": lambda: PermutationSamplingSII(n, **known),
    }


def ours(draws: type, game: Tabulated, budget: int, seed: int) -> Interactions:
    """Interactions from a run of the library."""
    result = play(game, draws(), KernelAggregator(), n_features=game.n, budget=budget, seed=seed, progress=False)
    return result.interactions()


def theirs(make: Callable[[], object], game: Counted, budget: int) -> Tensor | None:
    """Interactions of a peer, from as many calls as make at most `budget` distinct evaluations."""
    calls, best = budget, None
    for _ in range(6):
        game.asked = set()
        try:
            values = make().approximate(calls, game)  # type: ignore[attr-defined]
        except (ValueError, ZeroDivisionError, np.linalg.LinAlgError):
            break
        if len(game.asked) > budget:
            break
        best = torch.zeros(game.n, game.n, dtype=torch.float64)
        for i in range(game.n):
            for j in range(i + 1, game.n):
                best[i, j] = best[j, i] = float(values[(i, j)])
        if len(game.asked) >= 0.97 * budget or calls > 4 * budget:
            break
        calls = int(calls * max(1.05, budget / max(len(game.asked), 1)))
    return best


def strongest(matrix: Tensor) -> set[int]:
    """The three strongest pairs."""
    return set(matrix.triu(1).abs().flatten().topk(3).indices.tolist())


def measure(n: int, seeds: int) -> tuple[dict[str, dict[int, list[float]]], dict[str, dict[int, list[float]]], list[float]]:
    """Errors and hits by estimator and budget, and the coverage of our intervals."""
    errors: dict[str, dict[int, list[float]]] = {}
    hits: dict[str, dict[int, list[float]]] = {}
    covered: list[float] = []
    for seed in range(seeds):
        games = [*tables("synthetic", n, seed), *(tables("model", n, seed) if n % 4 == 0 else ())]
        for _, game in games:
            truth = play(game, ExactPerturbator(), KernelAggregator(), n_features=n, progress=False).interactions().matrix()
            for multiple in BUDGETS:
                budget = multiple * n
                if budget >= 2**n:
                    continue
                found: dict[str, Tensor | None] = {}
                for name, draws in OURS.items():
                    estimate = ours(draws, game, budget, seed)
                    found[name] = estimate.matrix()
                    if estimate.standard_errors is not None and draws is KernelPerturbator:
                        off = ~torch.eye(n, dtype=torch.bool)
                        within = (found[name] - truth).abs() <= 1.96 * estimate.standard_errors[0] + 1e-9
                        covered.append(float(within[off].double().mean()))
                found |= {name: theirs(make, Counted(str(game.path)), budget) for name, make in peers(n, seed).items()}
                for name, matrix in found.items():
                    if matrix is None or not matrix.isfinite().all():
                        continue
                    error = float((matrix - truth).square().sum() / truth.square().sum())
                    errors.setdefault(name, {}).setdefault(multiple, []).append(max(error, FLOOR))
                    hits.setdefault(name, {}).setdefault(multiple, []).append(len(strongest(matrix) & strongest(truth)) / 3)
    return errors, hits, covered


def add(report: Report, title: str, cells: dict[str, dict[int, list[float]]], join: Callable[[list[float]], str]) -> None:
    """A table of one quantity by estimator and budget."""
    budgets = [multiple for multiple in BUDGETS if any(row.get(multiple) for row in cells.values())]
    rows = [[name, *(join(row[multiple]) if row.get(multiple) else "–" for multiple in budgets)] for name, row in cells.items()]
    report.add(title, [f"{multiple}n" for multiple in budgets], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--features", type=int, nargs="+", default=[8, 12])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    report = Report("interactions")
    for n in arguments.features:
        errors, hits, covered = measure(n, arguments.seeds)
        add(report, f"n = {n}: relative squared error", errors, lambda values: f"{np.exp(np.mean(np.log(values))):.4f}")
        add(report, f"n = {n}: share of the top 3 pairs found", hits, lambda values: f"{np.mean(values):.2f}")
        if covered:
            print(f"95 % intervals from kernel draws hold the truth in {100 * np.mean(covered):.1f} % of pairs\n")
    report.save()


if __name__ == "__main__":
    main()
