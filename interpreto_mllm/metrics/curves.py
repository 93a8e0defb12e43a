"""Metrics of curves: the value as features are taken away, or put back, in the order of their scores."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interpreto_mllm.metrics.evaluated_game import Questions
from interpreto_mllm.metrics.feature_sizes import feature_sizes
from interpreto_mllm.results.record import Record

PERCENTAGES = (1, 5, 10, 20, 50)
"""Of the features, of which the area over the perturbation curve takes the mean."""
TOPS = (1, 3, 5)


def deletion_auc(record: Record, seed: int) -> Questions:
    """The area under v(N∖top k) over k; as wide as 1. Samek et al. 2017; Petsiuk, Das, Saenko, "RISE", BMVC 2018."""
    return (yield from _areas(record, "deletion_auc", inserting=False))


def insertion_auc(record: Record, seed: int) -> Questions:
    """The area under v(top k) over k; as wide as 1. Petsiuk, Das, Saenko, "RISE", BMVC 2018."""
    return (yield from _areas(record, "insertion_auc", inserting=True))


def comprehensiveness(record: Record, seed: int) -> Questions:
    """v(N) − v(N∖top q %) for q = 1, 5, 10, 20, 50, and their mean (AOPC). DeYoung et al., "ERASER", ACL 2020."""
    return (yield from _over_percentages(record, "comprehensiveness", kept=False))


def sufficiency(record: Record, seed: int) -> Questions:
    """v(N) − v(top q %) for q = 1, 5, 10, 20, 50, and their mean (AOPC). DeYoung et al., "ERASER", ACL 2020."""
    return (yield from _over_percentages(record, "sufficiency", kept=True))


def top_k_drop(record: Record, seed: int, tops: Sequence[int] = TOPS) -> Questions:
    """v(N) − v(N∖top k) for k = 1, 3, 5: of log-probabilities, how far the answer's falls. Cohen-Wang et al. 2024."""
    counts = [k for k in tops if k <= record.n]
    full, *values = (yield torch.cat([_all(record.n), ~top(record, torch.tensor(counts))])).tolist()
    return {f"top_k_drop@{k}": full - value for k, value in zip(counts, values, strict=True)}


def monotonicity(record: Record, seed: int) -> Questions:
    """How often the value moves with the sign of the score, as features are put back from the lowest score to the highest.

    Where all scores are positive, the share of steps at which it does not fall (Arya et al. 2019; Luss et al. 2019). Scores of
    zero say nothing of a step. NaN where all are zero.
    """
    order = ordered(record)
    values = yield ~top(record, torch.arange(record.n + 1))  # N without the strongest 0, 1, …, n
    gains = values[:-1] - values[1:]
    said = record.attributions[0].double()[order].sign()
    right = (gains * said >= 0)[said != 0]
    return {"monotonicity": float(right.double().mean()) if len(right) else math.nan}


def ordered(record: Record) -> Int[Tensor, "n"]:
    """The features from the one that supports the answer most to the one that speaks most against it; ties in their order."""
    return record.attributions[0].double().argsort(descending=True, stable=True)


def top(record: Record, counts: Int[Tensor, "p"]) -> Bool[Tensor, "p n"]:
    """The coalitions of so many of the features with the highest scores."""
    place = ordered(record).argsort()
    return place[None] < counts[:, None]


def _areas(record: Record, name: str, inserting: bool) -> Questions:
    """The area per feature, the one weighted by tokens or area, and the first as (area − v(∅)) / |v(N) − v(∅)|."""
    n = record.n
    best = top(record, torch.arange(n + 1))
    values = yield torch.cat([best if inserting else ~best, torch.zeros(1, n, dtype=torch.bool), _all(n)])
    curve, empty, full = values[:-2], values[-2], values[-1]
    area, height = _area(curve, torch.ones(n).double()), float((full - empty).abs())
    return {
        name: area,
        f"{name}_weighted": _area(curve, feature_sizes(record)[ordered(record)]),
        f"{name}_scaled": (area - float(empty)) / height if height else math.nan,
    }


def _area(curve: Float[Tensor, "p"], widths: Float[Tensor, "n"]) -> float:
    """The area under a curve of straight lines, each step as wide as the feature is large; the widths add up to 1."""
    return float((curve[1:] + curve[:-1]) / 2 @ (widths / widths.sum()))


def _over_percentages(record: Record, name: str, kept: bool) -> Questions:
    """What is lost of the value when the strongest features go, or when they alone are kept."""
    counts = torch.tensor([math.ceil(record.n * percentage / 100) for percentage in PERCENTAGES])
    best = top(record, counts)
    full, *values = (yield torch.cat([_all(record.n), best if kept else ~best])).tolist()
    losses = {f"{name}@{percentage}": full - value for percentage, value in zip(PERCENTAGES, values, strict=True)}
    return {name: math.fsum(losses.values()) / len(losses), **losses}


def _all(n: int) -> Bool[Tensor, "1 n"]:
    return torch.ones(1, n, dtype=torch.bool)
