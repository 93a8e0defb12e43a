"""Errors on games of 32, 64 and 128 features, too many to tabulate, beside shapiq's estimators.

    python benchmarks/long.py [--games 2] [--peers PYTHON]

Sets that are worth something together have Shapley values in closed form. No model has: for the shipped one's answers at the
end of chats of one, two and four questions, each after its six facts, the reference is a run of 8192 evaluations drawn by the
Shapley kernel, read by the Gaussian process. Its own error is what its standard errors say; the last table also tells how far
KernelSHAP on the same evaluations is from it, and how far that should be by standard errors. Prints geometric means of
relative squared errors, and the mean of the seconds that the estimator itself takes. --peers names the interpreter whose
shapiq takes part.
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
    """A game that answers each coalition once, and knows what it was asked for and how long it took."""

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
    """A game, its Shapley values, and how well these are known."""

    game: Remembered
    truth: Tensor
    known: dict[str, float]


def relative(values: Tensor, truth: Tensor) -> float:
    """The squared error, or squared standard errors, relative to the squared values."""
    return float((values - truth).square().sum() / truth.square().sum())


def set_games(n: int, games: int, make: Callable[[int, int], Dividends]) -> Iterator[Large]:
    """Random sets that are worth something."""
    for game in (make(n, seed) for seed in range(games)):
        yield Large(Remembered(game, n), game.shapley(), {})


def chats(n: int) -> Iterator[Game]:
    """The shipped model's last answer in chats with `n` words of the user's, punctuation pinned."""
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
    """Chats, and the long run of each."""
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
    """What the standard errors of a result say its relative squared error is."""
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
