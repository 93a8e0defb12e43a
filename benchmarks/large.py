"""Games of 100, 300 and 1,000 features for `claims.py`: errors against exact values, and time of the estimators' own."""

from __future__ import annotations

import json
import time
from typing import Any

import torch
from claim_records import KERNEL, PROCESS, RESULTS, Record
from digest import library_digest
from long import Remembered, relative
from report import FORMATS, Report, cells, geometric_mean, mean
from shapiq_process import Shapiq
from synthetic import Dividends
from torch import Tensor

from interpreto_mllm.aggregators import GaussianProcessAggregator, KernelAggregator, MarginalAggregator
from interpreto_mllm.explainers.play import play
from interpreto_mllm.perturbators import ActivePerturbator, KernelPerturbator, PermutationPerturbator

FEATURES, BUDGETS = (100, 300, 1000), (2, 5)
OWN = {
    PROCESS: (ActivePerturbator, GaussianProcessAggregator),
    KERNEL: (KernelPerturbator, KernelAggregator),
    "PermutationShapley": (PermutationPerturbator, MarginalAggregator),
}
THEIRS = ("shapiq KernelSHAP, paired", "shapiq permutation", "shapiq ProxySHAP")
FORWARD_SECONDS = {100: 0.24, 300: 0.77, 1000: 2.8}
"""Of a forward of SmolLM2-135M-Instruct on so many tokens, on one core of the machine that the figures were made on."""
SHARE = 0.1


def reading(n: int, seed: int) -> Dividends:
    """Sets of features as in a long text: a twentieth of them matter, alone, with a neighbour, and in threes."""
    generator = torch.Generator().manual_seed(seed)
    strong = torch.randperm(n, generator=generator)[: max(5, n // 20)]
    members = [strong[[k]] for k in range(len(strong))]
    members += [torch.tensor([int(one), (int(one) + 1) % n]) for one in strong]
    members += [strong[torch.randperm(len(strong), generator=generator)[:3]] for _ in range(len(strong))]
    members += [torch.tensor([k]) for k in range(n)]
    sets = torch.stack([torch.zeros(n, dtype=torch.bool).scatter(0, one, True) for one in members])
    worth = torch.randn(len(members), 1, generator=generator).double()
    worth[-n:] *= 0.02
    return Dividends(sets, worth)


def large_records(n: int, times: int, peers: Shapiq) -> list[Record]:
    """Errors and seconds of one game and budget."""
    game, found, budget = reading(n, 0), list[Record](), times * n
    truth = game.shapley()
    about = {"n": n, "times": times}
    for name, (perturbator, aggregator) in OWN.items():
        remembered, started = Remembered(game, n), time.process_time()
        result = play(remembered, perturbator(), aggregator(), n_features=n, budget=budget, seed=0, progress=False)
        seconds = time.process_time() - started - remembered.seconds
        record = {**about, "estimator": name, "error": relative(result.attributions[0], truth), "seconds": seconds}
        if result.standard_errors is not None:
            record["cover"] = float(((result.attributions - truth).abs() <= 1.96 * result.standard_errors).double().mean())
        found.append(record)
    remembered = Remembered(game, n)
    job: dict[str, Any] = {"n": n, "budget": budget, "seed": 0, "only": THEIRS}
    for name, answer in peers.answers(job, lambda rows: remembered(rows).tolist()).items():
        values: Tensor = torch.tensor(answer["values"], dtype=torch.float64)
        found.append({**about, "estimator": name, "error": relative(values, truth), "seconds": answer["seconds"]})
    return found


def large_claims(report: Report, claims: Any, python: str) -> None:
    """The table of errors and seconds, and the claim about the process's own time."""
    records, peers = [], None
    for n in FEATURES:
        for times in BUDGETS:
            path = RESULTS / "claims" / library_digest() / "large" / f"{n}-{times}.json"
            if not path.exists():
                peers = peers or Shapiq(python)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(large_records(n, times, peers)))
            records += json.loads(path.read_text())
    rows = []
    errors, seconds = cells(records, "error", ("n", "times"), geometric_mean), cells(records, "seconds", ("n", "times"), mean)
    for n in FEATURES:
        for name in dict.fromkeys(record["estimator"] for record in records):
            cells_of = [(errors.get((name, n, times)), seconds.get((name, n, times))) for times in BUDGETS]
            told = ["–" if error is None else f"{FORMATS['error'](error)} in {taken:.1f} s" for error, taken in cells_of]
            rows.append([f"n = {n}, {name}", *told])
    report.add("error, and seconds of its own", [f"{times}n" for times in BUDGETS], rows, name="large")
    shares = {(n, times): seconds[PROCESS, n, times] / (times * n * FORWARD_SECONDS[n]) for n in FEATURES for times in BUDGETS}
    told = ", ".join(f"n = {n} {share:.1%}" for (n, times), share in shares.items() if times == BUDGETS[-1])
    claims.add("own time over a model's evaluations", "≤ 10 %", told, max(shares.values()) <= SHARE)
