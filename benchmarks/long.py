"""Errors on games of 32, 64 and 128 features, too many to tabulate, beside shapiq's estimators.

    python benchmarks/long.py [--games 2] [--peers PYTHON]

Games of random sets with a value each have Shapley values in closed form. A model's games do not: for the shipped model's
answers at the end of chats of one, two and four questions, each after six facts, the reference is a run of 8192 evaluations
sampled by the Shapley kernel and aggregated by the Gaussian process. The last table gives the error of the reference
according to its standard errors, the distance of KernelSHAP on the same evaluations from it, and the distance that
KernelSHAP's standard errors predict. Prints geometric means of relative squared errors, and the mean of the seconds that the
estimator itself takes. --peers names the interpreter whose shapiq is compared.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, islice
from typing import Any, NamedTuple

import numpy as np
import torch
from accuracy import OURS
from report import FORMATS, Report, cells, geometric_mean, mean
from shapiq_process import Shapiq
from synthetic import Dividends, Game, low_order, unanimity
from torch import Tensor

from interpreto_mllm import Attribution
from interpreto_mllm.aggregators import GaussianProcessAggregator, KernelAggregator
from interpreto_mllm.explainers.play import play
from interpreto_mllm.perturbators import KernelPerturbator

FEATURES, BUDGETS = (32, 64, 128), (5, 10, 20)
SHOWN = ("GaussianProcessShapley", "KernelShap")
LONG = 8192
Record = dict[str, Any]


class Remembered:
    """A game that evaluates each coalition once, and records its values and the time spent."""

    def __init__(self, game: Game, n: int):
        self.game, self.n, self.seconds = game, n, 0.0
        self.known: dict[bytes, float] = {}

    def __call__(self, coalitions: Any) -> np.ndarray:
        started = time.process_time()
        rows = np.atleast_2d(np.asarray(coalitions)).astype(bool)
        keys = [row.tobytes() for row in rows]
        missing = {key: row for key, row in zip(keys, rows, strict=True) if key not in self.known}
        if missing:
            values = self.game(torch.from_numpy(np.stack(list(missing.values()))))
            self.known |= dict(zip(missing, values[:, 0].tolist(), strict=True))
        self.seconds += time.process_time() - started
        return np.array([self.known[key] for key in keys])


class Large(NamedTuple):
    """A game, its Shapley values, and measures of their error."""

    game: Remembered
    truth: Tensor
    known: dict[str, float]


def relative(values: Tensor, truth: Tensor) -> float:
    """The squared error, or squared standard errors, relative to the squared values."""
    return float((values - truth).square().sum() / truth.square().sum())


def set_games(n: int, games: int, make: Callable[[int, int], Dividends]) -> Iterator[Large]:
    """Random sets with a value each."""
    for game in (make(n, seed) for seed in range(games)):
        yield Large(Remembered(game, n), game.shapley(), {})


def chats(n: int) -> Iterator[Game]:
    """The shipped model's last answer in chats with `n` words by the user; punctuation is pinned."""
    from interpreto_mllm import KernelShap, punctuation
    from interpreto_mllm.testbed import load_recall, sample_fact_prompts

    explainer = KernelShap(*load_recall(), pinned=punctuation, batch_size=256, progress=False)
    for seed in count():
        turns = []
        for prompt in sample_fact_prompts(n // 32, facts=6, seed=seed):
            turns += [{"role": "user", "content": prompt.prompt}, {"role": "assistant", "content": prompt.answer}]
        game = explainer.game(turns[:-1], turns[-1]["content"])
        if game.n == n:
            yield game


def chat_games(n: int, games: int) -> Iterator[Large]:
    """Chats, with the reference run of each."""
    for game in islice(chats(n), games):
        remembered = Remembered(game, n)
        aggregator = GaussianProcessAggregator()
        long = play(remembered, KernelPerturbator(), aggregator, n_features=n, budget=LONG, seed=1000, progress=False)
        plain = long.reaggregate(KernelAggregator())
        truth = long.attributions[0]
        known = {
            "reference, by standard errors": own_error(long),
            "KernelSHAP from it": relative(plain.attributions[0], truth),
            "by standard errors": own_error(plain),
        }
        yield Large(remembered, truth, known)


KINDS: dict[str, Callable[[int, int], Iterator[Large]]] = {
    "random sets of any size": partial(set_games, make=unanimity),
    "features, pairs and triples": partial(set_games, make=low_order),
    "chats with the shipped model": chat_games,
}


def own_error(result: Attribution) -> float:
    """The relative squared error of a result according to its standard errors."""
    assert result.standard_errors is not None
    return float(result.standard_errors.square().sum() / result.attributions.square().sum())


def ours(game: Remembered, name: str, budget: int, seed: int) -> Tensor:
    """One of the library's estimators."""
    perturbator, aggregator = OURS[name]
    result = play(game, perturbator(), aggregator(), n_features=game.n, budget=budget, seed=seed, progress=False)
    return result.attributions[0]


def measure(large: Large, seed: int, shapiq: Shapiq) -> Iterator[Record]:
    """A record for each estimator and budget."""
    game = large.game
    for times in BUDGETS:
        budget = times * game.n
        for name in SHOWN:
            started, before = time.process_time(), game.seconds
            values = ours(game, name, budget, seed)
            seconds = time.process_time() - started - (game.seconds - before)
            yield {"estimator": name, "times": times, "error": relative(values, large.truth), "seconds": seconds}
        job = {"n": game.n, "budget": budget, "seed": seed}
        for name, answer in shapiq.answers(job, lambda rows: game(rows).tolist()).items():
            error = relative(torch.tensor(answer["values"], dtype=torch.float64), large.truth)
            yield {"estimator": name, "times": times, "error": error, "seconds": answer["seconds"]}


def show(report: Report, records: list[Record], kind: str) -> None:
    """The table of one kind of games."""
    errors = cells(records, "error", ("n", "times"), geometric_mean)
    seconds = cells(records, "seconds", ("n", "times"), mean)
    rows = []
    for n in FEATURES:
        for name in dict.fromkeys(record["estimator"] for record in records):
            row = [FORMATS["error"](errors.get((name, n, times), np.nan)) for times in BUDGETS]
            rows.append([f"n = {n}, {name}", *row, FORMATS["seconds"](seconds.get((name, n, BUDGETS[-1]), np.nan))])
    report.add(kind, [*(f"{times}n" for times in BUDGETS), f"seconds at {BUDGETS[-1]}n"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=int, default=2)
    parser.add_argument("--peers", default=sys.executable, metavar="PYTHON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    shapiq = Shapiq(arguments.peers)
    print(f"{arguments.games} games each, shapiq {shapiq.version}")
    report = Report("long")
    for kind, games in KINDS.items():
        records, known = [], []
        for n in FEATURES:
            for seed, large in enumerate(games(n, arguments.games)):
                records += [{"n": n, **record} for record in measure(large, seed, shapiq)]
                known += [{"estimator": name, "n": n, "error": error} for name, error in large.known.items()]
        show(report, records, kind)
        means = cells(known, "error", ("n",), geometric_mean)
        columns = list(dict.fromkeys(name for name, _ in means))
        if columns:
            rows = [[f"n = {n}", *(FORMATS["error"](means[name, n]) for name in columns)] for n in FEATURES]
            report.add(f"reference for {kind}", columns, rows)
    report.save()


if __name__ == "__main__":
    main()
