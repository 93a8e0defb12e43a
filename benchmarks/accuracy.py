"""Relative squared error against exact Shapley values, by estimator and budget, beside shapiq's estimators.

    python benchmarks/accuracy.py [--games synthetic|model|all] [--seeds 10]

Every estimator pays for distinct coalitions only: shapiq's are given the largest budget of theirs whose distinct evaluations
stay within the same count, and pairing is on where shapiq has it. Cells are geometric means over games and seeds.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from synthetic import GAMES, Game
from torch import Tensor

from interpreto_mllm.aggregators import ComplementaryAggregator, KernelAggregator, MarginalAggregator, ShapleyAggregator
from interpreto_mllm.perturbators import (
    ComplementaryPerturbator,
    ExactPerturbator,
    KernelPerturbator,
    MonteCarloPerturbator,
    NeymanPerturbator,
    PermutationPerturbator,
)
from interpreto_mllm.play import play

FEATURES = (8, 12, 16)
BUDGETS = (2, 5, 10, 20, 50)
EXACT = 1e-16
RESULTS = Path(__file__).parent / "results"
OURS = {
    "KernelShap": (KernelPerturbator, KernelAggregator),
    "PermutationShapley": (PermutationPerturbator, MarginalAggregator),
    "MonteCarloShapley": (MonteCarloPerturbator, ShapleyAggregator),
    "ComplementaryShapley": (ComplementaryPerturbator, ComplementaryAggregator),
    "NeymanShapley": (NeymanPerturbator, ComplementaryAggregator),
}


class Tabulated:
    """A game whose 2^n values are known, kept in a file if one is named; it counts the distinct coalitions it was asked for."""

    def __init__(self, game: Game, n: int, file: Path | None = None):
        codes = torch.arange(2**n)
        self.place = 1 << torch.arange(n - 1, -1, -1)  # neighbours share a beginning, which spares a model most of the work
        coalitions = (codes[:, None] & self.place) > 0
        if file is not None and file.exists():
            self.values = torch.from_numpy(np.load(file)["values"])
        else:
            self.values = torch.cat([game(chunk) for chunk in coalitions.split(8192)]).double()[:, 0]
            if file is not None:
                file.parent.mkdir(exist_ok=True)
                np.savez(file, values=self.values.numpy())
        self.n, self.asked = n, set()

    def __call__(self, coalitions: Tensor) -> Tensor:
        codes = coalitions.long() @ self.place
        self.asked.update(codes.tolist())
        return self.values[codes]

    def numpy(self, coalitions: np.ndarray) -> np.ndarray:
        return self(torch.from_numpy(np.atleast_2d(coalitions).astype(bool))).numpy()

    def error(self, attributions: Tensor, truth: Tensor) -> float:
        return float((attributions - truth).square().sum() / truth.square().sum())


def peers(n: int, seed: int) -> dict[str, Callable[[], object]]:
    """shapiq's classical Shapley estimators, as factories."""
    from shapiq.approximator import SVARM, KernelSHAP, PermutationSamplingSV, StratifiedSamplingSV, UnbiasedKernelSHAP

    uniform = np.ones(n + 1)
    return {
        "shapiq KernelSHAP, paired": lambda: KernelSHAP(n, pairing_trick=True, random_state=seed),
        "shapiq Leverage SHAP": lambda: KernelSHAP(n, pairing_trick=True, sampling_weights=uniform, random_state=seed),
        "shapiq permutation": lambda: PermutationSamplingSV(n, random_state=seed),
        "shapiq unbiased KernelSHAP": lambda: UnbiasedKernelSHAP(n, pairing_trick=True, random_state=seed),
        "shapiq SVARM": lambda: SVARM(n, pairing_trick=True, random_state=seed),
        "shapiq stratified": lambda: StratifiedSamplingSV(n, random_state=seed),
    }


def peer_error(make: Callable[[], object], game: Tabulated, truth: Tensor, budget: int) -> float:
    """The error of a peer given as many calls as it can turn into at most `budget` distinct evaluations."""
    calls, best = budget, None
    for _ in range(6):
        game.asked = set()
        values = make().approximate(calls, game.numpy)  # type: ignore[attr-defined]
        if len(game.asked) > budget:
            break
        first_order = torch.tensor([float(values[(i,)]) for i in range(game.n)], dtype=torch.float64)
        best = game.error(first_order, truth)
        if len(game.asked) >= 0.97 * budget or calls > 4 * budget:
            break
        calls = int(calls * max(1.05, budget / len(game.asked)))
    return float("nan") if best is None else best


def synthetic_games(n: int, seed: int) -> Iterator[tuple[str, Game]]:
    """One game of each synthetic kind."""
    for name, make in GAMES.items():
        yield name, make(n, seed)


def model_games(n: int, seed: int) -> Iterator[tuple[str, Game]]:
    """Log-probabilities of the shipped model's answers to prompts of `n` words, a multiple of four, punctuation pinned."""
    from interpreto_mllm import KernelShap, punctuation
    from interpreto_mllm.testbed import RECALL, load_recall, sample_fact_prompts

    explainer = KernelShap(*load_recall(), pinned=punctuation, batch_size=256, progress=False)
    prompts = iter(sample_fact_prompts(1000, facts=n // 4 - 1, seed=seed))
    while True:
        prompt = next(prompts)
        game = explainer.game(prompt.prompt, " " + prompt.answer)
        if game.n == n:
            yield f"recall-{crc32((RECALL / 'model.safetensors').read_bytes()):08x}", game
            return


SOURCES = {"synthetic": synthetic_games, "model": model_games}


def errors(sources: list[str], seeds: int) -> Iterator[dict[str, object]]:
    """One record per game, estimator, budget and seed."""
    for n in FEATURES:
        for seed in range(seeds):
            for source in sources:
                for name, game in SOURCES[source](n, seed):
                    table = Tabulated(game, n, RESULTS / f"{name}-{n}-{seed}.npz" if source == "model" else None)
                    truth = play(table, ExactPerturbator(), ShapleyAggregator(), n_features=n, progress=False).attributions[0]
                    for times in BUDGETS:
                        budget = min(times * n, 2**n)
                        record = {"game": name, "source": source, "n": n, "seed": seed, "budget": times}
                        for estimator, (perturbator, aggregator) in OURS.items():
                            result = play(
                                table, perturbator(), aggregator(), n_features=n, budget=budget, seed=seed, progress=False
                            )
                            yield {**record, "estimator": estimator, "error": table.error(result.attributions[0], truth)}
                        for estimator, make in peers(n, seed).items():
                            yield {**record, "estimator": estimator, "error": peer_error(make, table, truth, budget)}


def geometric_mean(values: list[float]) -> float:
    kept = [max(value, EXACT) for value in values if value == value]
    return float(np.exp(np.mean(np.log(kept)))) if kept else float("nan")


def show(records: list[dict], title: str) -> None:
    """A table of estimators by features and budgets, the best of each column in bold."""
    table = Table(title=title, title_justify="left")
    table.add_column("relative squared error")
    columns = [(n, times) for n in FEATURES for times in BUDGETS]
    for n, times in columns:
        table.add_column(f"n={n}\n{times}n", justify="right")
    cells: dict[tuple, list[float]] = {}
    for record in records:
        cells.setdefault((record["estimator"], record["n"], record["budget"]), []).append(record["error"])
    means = {key: geometric_mean(values) for key, values in cells.items()}
    estimators = list(dict.fromkeys(record["estimator"] for record in records))
    best = {column: min((means[(e, *column)] for e in estimators if means[(e, *column)] >= 0), default=0) for column in columns}
    for estimator in estimators:
        row = []
        for column in columns:
            mean = means[(estimator, *column)]
            text = "–" if mean != mean else "exact" if mean < 1e-14 else f"{mean:.1e}".replace("e-0", "e-")
            row.append(f"[bold]{text}[/bold]" if mean == best[column] else text)
        table.add_row(estimator, *row)
    Console(width=190).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", choices=[*SOURCES, "all"], default="all")
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", module="shapiq")
    torch.set_num_threads(1)
    sources = list(SOURCES) if arguments.games == "all" else [arguments.games]
    records = list(errors(sources, arguments.seeds))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "accuracy.json").write_text(json.dumps(records, indent=0))
    log_probability = [r for r in records if r["source"] == "model" or r["game"].startswith("log")]
    show(records, f"All games ({', '.join(sources)})")
    if len(log_probability) < len(records):
        show(log_probability, "Log-probability games")
    names = dict.fromkeys(record["game"] for record in records)
    for name in names if len(names) > 1 else ():
        show([record for record in records if record["game"] == name], name)


if __name__ == "__main__":
    main()
