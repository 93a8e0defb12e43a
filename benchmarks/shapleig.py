"""ShaplEIG (Rundel et al. 2026, arXiv 2606.02247) as it comes with shapiq, in a process of its own that answers like peers.py.

It takes seconds to minutes for an answer and needs torch, gpytorch and botorch beside shapiq. The parts of shapiq that explain
trees are compiled for one version of Python and have nothing to do with it; where they do not load they are left out. Beyond
LEAN evaluations hyper-parameters are learnt again in some iterations only, by its own schedule, each time from those before.
"""

from __future__ import annotations

import json
import sys
import time
import types
import typing
import warnings
from collections.abc import Callable

import numpy as np

LEAN = 70
COMPILED = ("conversion", "interventional", "linear")


def load() -> tuple[type, str]:
    """The estimator, and shapiq's version."""
    try:
        import shapiq
    except ImportError:
        for name in [name for name in sys.modules if name.startswith("shapiq")]:
            del sys.modules[name]
        for part in COMPILED:
            module = types.ModuleType(f"shapiq.tree.{part}.cext")
            module.__getattr__ = lambda name: name if name.startswith("__") else (lambda *given: None)
            sys.modules[module.__name__] = module
        typing.override = getattr(typing, "override", lambda function: function)
        import shapiq
    import torch
    from shapiq.approximator import ShaplEIG

    torch.set_num_threads(1)
    return ShaplEIG, shapiq.__version__


def answer(make: Callable[..., typing.Any], values: np.ndarray, budget: int, seed: int) -> dict[str, typing.Any]:
    """Shapley values from so many evaluations."""
    n = len(values).bit_length() - 1
    schedule = {} if budget <= LEAN else {"refit": "decaying", "warmstart": True}
    started = time.process_time()
    estimator = make(n, random_state=seed, show_progress=False, **schedule)
    found = estimator.approximate(budget, lambda rows: values[np.atleast_2d(rows).astype(int) @ (1 << np.arange(n))])
    return {"values": [float(found[(i,)]) for i in range(n)], "seconds": time.process_time() - started}


def main() -> None:
    warnings.filterwarnings("ignore")
    make, version = load()
    print(json.dumps(f"{version}, ShaplEIG"), flush=True)
    for line in iter(sys.stdin.readline, ""):
        job = json.loads(line)
        found = answer(make, np.load(job["path"])["values"], job["budget"], job["seed"])
        print(json.dumps({"shapiq ShaplEIG": found}), flush=True)


if __name__ == "__main__":
    main()
