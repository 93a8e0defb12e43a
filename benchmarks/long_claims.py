"""Games of 24 to about 100 words for `claims.py`: errors against the long runs of `long_games.py`, beside shapiq's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from time import process_time
from typing import Any

import torch
from claim_records import BUDGETS, PROCESS, RESULTS, Record
from digest import library_digest
from large import OWN
from large import THEIRS as TREES
from long import relative
from long_games import LongGame, long_games
from report import FORMATS, Report, cells, geometric_mean, mean
from shapiq_process import Shapiq

from interpreto_mllm.explainers.play import play

LARGE, LARGE_BUDGETS = 60, (2, 5)
"""From so many features on, fewer evaluations: a game is paid for by a real model."""
THEIRS = (*TREES, "shapiq RegressionMSR, lightgbm")
SEEDS = 1


class Peers:
    """shapiq, started when an answer is missing; answers are kept in results/anchors/.

    Args:
        python: an interpreter that has shapiq.
    """

    def __init__(self, python: str):
        self._python = python
        self._process: Shapiq | None = None

    def answers(self, long: LongGame, budget: int, seed: int) -> dict[str, Any]:
        """Values and seconds by estimator."""
        content = hashlib.sha256(repr(long.game.text).encode()).hexdigest()[:16]
        path = RESULTS / "anchors" / "long" / f"{long.name}-{content}" / f"{budget}-{seed}.json"
        if not path.exists():
            self._process = self._process or Shapiq(self._python)
            job: dict[str, Any] = {"n": long.game.n, "budget": budget, "seed": seed, "only": THEIRS}
            found = self._process.answers(job, lambda rows: long.game(rows).tolist())
            long.game.save()
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(found))
        return json.loads(path.read_text())


def scored(values: Any, long: LongGame) -> Record:
    """The squared error, less what of it is expected to be the reference's."""
    found = relative(torch.as_tensor(values, dtype=torch.float64), long.reference.values)
    return {"error": max(found - long.reference.uncertainty, long.reference.uncertainty / 2)}


def own_records(long: LongGame, times: int, seed: int) -> list[Record]:
    """A record of each of the library's estimators."""
    game, reference, found = long.game, long.reference, []
    for name, (perturbator, aggregator) in OWN.items():
        waited, started = game.seconds, process_time()
        result = play(game, perturbator(), aggregator(), n_features=game.n, budget=times * game.n, seed=seed, progress=False)
        seconds = process_time() - started - (game.seconds - waited)
        record = {"times": times, "estimator": name, "seconds": seconds, **scored(result.attributions[0], long)}
        if result.standard_errors is not None:
            errors = (result.standard_errors[0].square() + reference.errors.square()).sqrt()
            record["cover"] = float(((result.attributions[0] - reference.values).abs() <= 1.96 * errors).double().mean())
        found.append(record)
    return found


def long_records(half: str, peers: Peers) -> Iterator[Record]:
    """Of each game, estimator, budget and seed."""
    for long in long_games(half):
        about = {"name": long.name, "n": long.game.n, "half": half, "uncertainty": long.reference.uncertainty}
        for times in BUDGETS if long.game.n < LARGE else LARGE_BUDGETS:
            for seed in range(SEEDS):
                path = RESULTS / "claims" / library_digest() / "long" / f"{long.name}-{times}-{seed}.json"
                if not path.exists():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    found = own_records(long, times, seed)
                    long.game.save()
                    path.write_text(json.dumps(found))
                theirs = peers.answers(long, times * long.game.n, seed)
                records = json.loads(path.read_text())
                records += [
                    {"times": times, "estimator": name, "seconds": answer["seconds"], **scored(answer["values"], long)}
                    for name, answer in theirs.items()
                ]
                yield from ({**about, **record} for record in records)


def long_claims(report: Report, claims: Any, half: str, python: str) -> None:
    """The table of errors and coverage, and the claims about errors over those of the best of shapiq's estimators."""
    records = list(long_records(half, Peers(python)))
    if not records:
        return
    errors = cells(records, "error", ("name", "times"), geometric_mean)
    covers = cells(records, "cover", ("name", "times"), mean)
    games = {record["name"]: record for record in records}
    budgets = sorted({record["times"] for record in records})
    rows = []
    for name, about in games.items():
        for estimator in dict.fromkeys(record["estimator"] for record in records):
            cells_of = [(errors.get((estimator, name, times)), covers.get((estimator, name, times))) for times in budgets]
            rows.append([f"{name}, n = {about['n']}: {estimator}", *(told_error(*cell) for cell in cells_of)])
        rows.append([f"{name}: the reference's own", *(FORMATS["error"](about["uncertainty"]) for _ in budgets)])
    title = f"{half}, {min(one['n'] for one in games.values())} to {max(one['n'] for one in games.values())} words"
    report.add(f"{title}: error (95 % intervals hold)", [f"{times}n" for times in budgets], rows, name=f"{half}: long")
    for times in budgets:
        ratios = {}
        for name in games:
            least = [error for (one, *cell), error in errors.items() if cell == [name, times] and one.startswith("shapiq")]
            if least:
                ratios[name] = errors[PROCESS, name, times] / min(least)
        mean_ratio, worst = geometric_mean(list(ratios.values())), max(ratios, key=lambda one: ratios[one])
        told = f"{mean_ratio:.2f} of {len(ratios)} game{'s' if len(ratios) > 1 else ''}, at most {ratios[worst]:.2f} ({worst})"
        claims.add(f"{title}, error over that of shapiq's best: mean at {times}n", "≤ 0.5", told, mean_ratio <= 0.5)


def told_error(error: float | None, cover: float | None) -> str:
    """One cell."""
    if error is None:
        return "–"
    return FORMATS["error"](error) + ("" if cover is None else f" ({cover:.0%})")
