"""Metrics of random coalitions."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interpreto_mllm.core.coalitions import coalition_keys
from interpreto_mllm.core.evaluations import Draw
from interpreto_mllm.metrics.correlations import spearman
from interpreto_mllm.metrics.evaluated_game import Questions
from interpreto_mllm.perturbators.bernoulli import BernoulliPerturbator
from interpreto_mllm.results.record import Record

RANDOM = 64
"""Random coalitions of a prompt: the same for all metrics and methods, from the same seed."""
FEWEST = 8
"""Coalitions that must be left for a rank correlation."""


def lds(record: Record, seed: int, coalitions: int = RANDOM) -> Questions:
    """The linear datamodelling score: Spearman's correlation of v(S) and Σ φᵢ over S, for random S that the scores never saw.

    Park et al., "TRAK", ICML 2023; Cohen-Wang et al., "ContextCite", NeurIPS 2024. Each feature is in S with probability one
    half. Where a method has seen nearly all coalitions, those that it has seen are not left out. NaN where all sums are equal.
    """
    drawn = random_coalitions(record.n, seed, coalitions)
    values = yield drawn
    seen = set(coalition_keys(record.coalitions))
    new = torch.tensor([key not in seen for key in coalition_keys(drawn)])
    kept = new if int(new.sum()) >= FEWEST else torch.ones_like(new)
    return {"lds": spearman(values[kept], _sums(record, drawn)[kept])}


def infidelity(record: Record, seed: int, coalitions: int = RANDOM) -> Questions:
    """E[(Σ φᵢ over the absent − (v(N) − v(S)))²] over random S, relative to E[(v(N) − v(S))²].

    Yeh et al., "On the (in)fidelity and sensitivity of explanations", NeurIPS 2019, with features that are absent with
    probability one half as the perturbation. 0 is best, 1 as bad as scores of zero. `infidelity_scaled` first multiplies the
    scores by the number that makes it smallest, which is fair to methods whose scores have no unit.
    """
    drawn = random_coalitions(record.n, seed, coalitions)
    full, *_ = values = yield torch.cat([torch.ones(1, record.n, dtype=torch.bool), drawn])
    losses, said = full - values[1:], _sums(record, ~drawn)
    scale = float(losses.square().mean())
    if not scale:
        return {"infidelity": math.nan, "infidelity_scaled": math.nan}
    best = float(said @ losses) / max(float(said.square().sum()), 1e-300)
    errors = {"infidelity": said - losses, "infidelity_scaled": best * said - losses}
    return {name: float(error.square().mean()) / scale for name, error in errors.items()}


def random_coalitions(n: int, seed: int, count: int = RANDOM) -> Bool[Tensor, "p n"]:
    """So many coalitions with each feature in them with probability one half, without repetition, ∅ and N aside.

    Example:
        >>> random_coalitions(3, seed=0).shape, random_coalitions(20, seed=0).shape
        (torch.Size([6, 3]), torch.Size([64, 20]))
    """
    if n == 1:
        return torch.tensor([[False], [True]])
    draw = next(BernoulliPerturbator(paired=False).draw(n, count + 2, torch.Generator().manual_seed(seed + 1_000_003)))
    return draw.coalitions if isinstance(draw, Draw) else draw


def _sums(record: Record, coalitions: Bool[Tensor, "p n"]) -> Float[Tensor, "p"]:
    return coalitions.double() @ record.attributions[0].double()
