"""Few features and interactions among a thousand: which methods recover them from how many evaluations?

    python benchmarks/sparse.py [--games 5] [--peers PYTHON]

Games of 1000 features in which five or ten sets of one to three features are worth something, without and with weak effects of
all features. Shapley values are known in closed form. Printed are, by method and number of evaluations, the geometric mean of
the relative squared error, the share of the features of strong sets among as many largest scores, and the method's own seconds.
--peers names an interpreter with shapiq 1.8 and lightgbm, for ProxySPEX (Butler et al. 2025), without its search over the
parameters of its trees, which takes minutes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any

import torch
from long import Remembered, relative
from report import FORMATS, Report, geometric_mean, mean
from shapiq_process import Shapiq
from synthetic import few_sets
from torch import Tensor

from interpreto_mllm.aggregators import Aggregator, KernelAggregator, LassoAggregator, ScreenedAggregator
from interpreto_mllm.explainers.play import play
from interpreto_mllm.perturbators import BernoulliPerturbator, KernelPerturbator, Perturbator, ScreeningPerturbator

FEATURES, BUDGETS, WEAK = 1000, (200, 384, 1000), 0.01
KINDS = {"five strong sets": (5, 0.0), "ten strong sets": (10, 0.0), "ten strong sets, weak effects of all": (10, WEAK)}
OURS: dict[str, tuple[Perturbator, Aggregator]] = {
    "ScreenedShapley": (ScreeningPerturbator(), ScreenedAggregator()),
    "Lasso": (BernoulliPerturbator(paired=False), LassoAggregator()),
    "KernelShap": (KernelPerturbator(), KernelAggregator()),
}


def found(scores: Tensor, strong: Tensor) -> float:
    """The share of the strong features among as many with the largest scores."""
    count = int(strong.sum())
    return float(strong[scores.abs().topk(count).indices].double().mean())


def measure(sets: int, weak: float, seed: int, shapiq: Shapiq) -> Iterator[dict[str, Any]]:
    """A record for each method and budget."""
    game = few_sets(FEATURES, seed, sets, weak)
    truth, strong = game.shapley(), game.sets[:sets].any(0)
    for budget in BUDGETS:
        answers = {}
        for name, (perturbator, aggregator) in OURS.items():
            remembered, started = Remembered(game, FEATURES), time.process_time()
            result = play(remembered, perturbator, aggregator, n_features=FEATURES, budget=budget, seed=seed, progress=False)
            answers[name] = (result.attributions[0], time.process_time() - started - remembered.seconds)
        remembered = Remembered(game, FEATURES)
        job = {"n": FEATURES, "budget": budget, "seed": seed, "sparse": True}
        for name, answer in shapiq.answers(job, lambda rows, game=remembered: game(rows).tolist()).items():
            answers[name] = (torch.tensor(answer["values"], dtype=torch.float64), answer["seconds"])
        for name, (scores, seconds) in answers.items():
            errors = {"error": relative(scores, truth), "found": found(scores, strong), "seconds": seconds}
            yield {"method": name, "budget": budget} | errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=int, default=5)
    parser.add_argument("--peers", default=sys.executable, metavar="PYTHON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    shapiq, report = Shapiq(arguments.peers), Report("sparse")
    columns = [f"{budget} evaluations" for budget in BUDGETS]
    for title, (sets, weak) in KINDS.items():
        records = [one for seed in range(arguments.games) for one in measure(sets, weak, seed, shapiq)]
        rows = []
        for method in dict.fromkeys(record["method"] for record in records):
            row = [method]
            for budget in BUDGETS:
                some = [one for one in records if (one["method"], one["budget"]) == (method, budget)]
                error = FORMATS["error"](geometric_mean([one["error"] for one in some]))
                row.append(
                    f"{error} · {mean([one['found'] for one in some]):.0%} · {mean([one['seconds'] for one in some]):.1f} s"
                )
            rows.append(row)
        report.add(title, columns, rows)
    report.save()


if __name__ == "__main__":
    main()
