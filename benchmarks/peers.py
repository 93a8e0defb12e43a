"""shapiq's Shapley estimators in a process of their own: needs only shapiq, of any version, and numpy.

The first line written is shapiq's version. Each line read is a job {"path", "budget", "seed"}; the answer is a line with every
estimator's attributions and seconds, or with {"order": 2} or 3 its Shapley interactions of all pairs or triples, in order;
{"only": names} leaves out the other estimators. Games are passed as files, so that this script can run under another Python
than the benchmarks: later versions of shapiq need 3.12. A game too large to tabulate is given as {"n", ...}; for its values the
script writes lines {"coalitions"} of ones and zeros, and reads lines {"values"}. With {"sparse": true} it is played by
estimators for games of which few features matter.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from itertools import combinations
from typing import Any

import numpy as np
import shapiq
from shapiq import approximator

TRIES = 6
ANSWERS = sys.stdout
"""Where lines for the parent process go."""


def estimators(n: int, seed: int) -> dict[str, Callable[[], Any]]:
    """The estimators of the installed version, as factories."""
    seeded = {"random_state": seed}
    found = {
        "KernelSHAP, paired": lambda: approximator.KernelSHAP(n, pairing_trick=True, **seeded),
        "Leverage SHAP": lambda: approximator.KernelSHAP(n, pairing_trick=True, sampling_weights=np.ones(n + 1), **seeded),
        "permutation": lambda: approximator.PermutationSamplingSV(n, **seeded),
        "unbiased KernelSHAP": lambda: approximator.UnbiasedKernelSHAP(n, pairing_trick=True, **seeded),
        "SVARM": lambda: approximator.SVARM(n, pairing_trick=True, **seeded),
        "stratified": lambda: approximator.StratifiedSamplingSV(n, **seeded),
    }
    if hasattr(approximator, "OddSHAP"):
        found |= {
            "OddSHAP": lambda: approximator.OddSHAP(n, **seeded),
            "RegressionMSR, xgboost": lambda: approximator.RegressionMSR(n, "SV", **seeded),
            "RegressionMSR, lightgbm": lambda: approximator.RegressionMSR(n, "SV", proxy_model="lightgbm", **seeded),
            "ProxySHAP": lambda: approximator.ProxySHAP(n, max_order=1, index="SV", **seeded),
            "ProxySHAP, adjusted": lambda: approximator.ProxySHAP(n, max_order=1, index="SV", adjustment=True, **seeded),
        }
    if hasattr(approximator, "PolySHAP"):
        found |= {
            "LeverageSHAP of 1.8": lambda: approximator.LeverageSHAP(n, **seeded),
            "PolySHAP": lambda: approximator.PolySHAP(n, max_order=3, pairing_trick=True, **seeded),
        }
    return {f"shapiq {name}": make for name, make in found.items()}


def set_estimators(n: int, seed: int, order: int) -> dict[str, Callable[[], Any]]:
    """The estimators of Shapley interactions of pairs or triples, as factories."""
    known = {"max_order": order, "index": "SII", "random_state": seed}
    found = {
        "KernelSHAP-IQ": lambda: approximator.KernelSHAPIQ(n, pairing_trick=True, **known),
        "KernelSHAP-IQ, inconsistent": lambda: approximator.InconsistentKernelSHAPIQ(n, pairing_trick=True, **known),
        "SVARM-IQ": lambda: approximator.SVARMIQ(n, pairing_trick=True, **known),
        "permutation": lambda: approximator.PermutationSamplingSII(n, **known),
    }
    if hasattr(approximator, "ProxySHAP"):
        found |= {
            "ProxySHAP": lambda: approximator.ProxySHAP(n, **known),
            "ProxySHAP, adjusted": lambda: approximator.ProxySHAP(n, adjustment=True, **known),
        }
    if order == 3:
        found["SHAP-IQ"] = lambda: approximator.SHAPIQ(n, pairing_trick=True, **known)
    if order == 3 and hasattr(approximator, "ProxySPEX"):
        found["ProxySPEX"] = lambda: approximator.ProxySPEX(n=n, hpo=False, **known)
    return {f"shapiq {name}": make for name, make in found.items()}


def sparse_estimators(n: int, seed: int) -> dict[str, Callable[[], Any]]:
    """Estimators for many features of which few matter, as factories."""
    if not hasattr(approximator, "ProxySPEX"):
        return {}
    from lightgbm import LGBMRegressor  # pyright: ignore[reportMissingImports]

    def proxy() -> Any:
        trees = LGBMRegressor(verbose=-1, n_jobs=1, max_depth=5, n_estimators=200)
        return approximator.ProxySPEX(n=n, max_order=1, index="SV", hpo=False, proxy_model=trees, random_state=seed)

    return {"shapiq ProxySPEX": proxy}


class Counted:
    """A tabulated game that records the coalitions it evaluated."""

    def __init__(self, path: str):
        self.values = np.load(path)["values"]
        self.n, self.asked, self.waited = len(self.values).bit_length() - 1, set(), 0.0

    def __call__(self, coalitions: np.ndarray) -> np.ndarray:
        codes = np.atleast_2d(coalitions).astype(int) @ (1 << np.arange(self.n))
        self.asked.update(codes.tolist())
        return self.values[codes]


class Asked:
    """A game evaluated by the parent process; records the coalitions and the time spent waiting."""

    def __init__(self, n: int):
        self.n, self.asked, self.waited = n, set(), 0.0

    def __call__(self, coalitions: np.ndarray) -> np.ndarray:
        rows = ["".join(map(str, row)) for row in np.atleast_2d(coalitions).astype(int).tolist()]
        self.asked.update(rows)
        started = time.perf_counter()
        print(json.dumps({"coalitions": rows}), file=ANSWERS, flush=True)
        values = np.array(json.loads(sys.stdin.readline())["values"])
        self.waited += time.perf_counter() - started
        return values


def attributions(
    make: Callable[[], Any], game: Counted | Asked, budget: int, sets: list[tuple[int, ...]]
) -> dict[str, Any] | None:
    """The values of sets of features, from as many calls as make at most `budget` distinct evaluations."""
    calls, best = budget, None
    for _ in range(TRIES):
        game.asked = set()
        started = time.process_time()
        try:
            with redirect_stdout(sys.stderr):  # LightGBM writes to it
                values = make().approximate(calls, game)
        except (ValueError, ZeroDivisionError, np.linalg.LinAlgError):
            break
        if len(game.asked) > budget:
            break
        best = {"values": [float(values[members]) for members in sets], "seconds": time.process_time() - started}
        if len(game.asked) >= 0.97 * budget or calls > 4 * budget:
            break
        calls = int(calls * max(1.05, budget / len(game.asked)))
    return best


def main() -> None:
    warnings.filterwarnings("ignore")
    print(json.dumps(shapiq.__version__), flush=True)
    for line in iter(sys.stdin.readline, ""):
        job = json.loads(line)
        game = Counted(job["path"]) if "path" in job else Asked(job["n"])
        order = job.get("order", 1)
        sets = list(combinations(range(game.n), order))
        makers_of_one = sparse_estimators if job.get("sparse") else estimators
        makers = makers_of_one(game.n, job["seed"]) if order == 1 else set_estimators(game.n, job["seed"], order)
        only = job.get("only", makers)
        found = {name: attributions(make, game, job["budget"], sets) for name, make in makers.items() if name in only}
        print(json.dumps({name: answer for name, answer in found.items() if answer}), flush=True)


if __name__ == "__main__":
    main()
