"""Metrics against known causes of an answer. The strength of a feature is |φ|; ties are broken at random, in expectation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interpreto_mllm.core.modalities import modalities_of
from interpreto_mllm.core.ranks import ranks
from interpreto_mllm.metrics.rows import NotApplicable
from interpreto_mllm.results.record import Record

Numbers = dict[str, float]
TOPS = (1, 3, 5)


def precision(record: Record, truth: Bool[Tensor, "n"], tops: Sequence[int] = TOPS) -> Numbers:
    """The share of the k strongest features that are true, for k = 1, 3, 5 and the number of true features."""
    _check(truth)
    strengths, count = _strengths(record), int(truth.sum())
    named = {f"precision@{k}": k for k in tops if k <= record.n}
    return {name: expected_hits(strengths, truth, k) / k for name, k in {"precision": count, **named}.items()}


def recall(record: Record, truth: Bool[Tensor, "n"], tops: Sequence[int] = TOPS) -> Numbers:
    """The share of the true features among the k strongest, for k = 1, 3, 5 and the number of true features."""
    _check(truth)
    strengths, count = _strengths(record), int(truth.sum())
    named = {f"recall@{k}": k for k in tops if k <= record.n}
    return {name: expected_hits(strengths, truth, k) / count for name, k in {"recall": count, **named}.items()}


def pointing(record: Record, truth: Bool[Tensor, "n"]) -> Numbers:
    """The pointing game: 1 if the strongest feature is true (Zhang et al. 2018); also within each of several modalities."""
    _check(truth)
    strengths, present = _strengths(record), modalities_of(record.features)
    found = {"pointing": expected_hits(strengths, truth, 1)}
    for modality in present if len(present) > 1 else []:
        here = torch.tensor([feature.modality == modality for feature in record.features])
        if truth[here].any():
            found[f"pointing@{modality}"] = expected_hits(strengths[here], truth[here], 1)
    return found


def rank_auc(record: Record, truth: Bool[Tensor, "n"]) -> Numbers:
    """The area under the ROC curve of |φ| as a detector of the true features (Hanley, McNeil 1982)."""
    _check(truth)
    place, true = ranks(_strengths(record)), int(truth.sum())
    others = len(truth) - true
    if not others:
        raise NotApplicable("Every feature is true, so none can be ranked below them.")
    return {"rank_auc": float(place[truth].sum() - true * (true - 1) / 2) / (true * others)}


def mass_on_truth(record: Record, truth: Bool[Tensor, "n"]) -> Numbers:
    """The share of Σ|φ| on the true features (relevance mass accuracy; Arras, Osman, Samek 2022)."""
    _check(truth)
    strengths = _strengths(record)
    if not strengths.any():
        raise NotApplicable("Every score is zero, so none of their mass lies anywhere.")
    return {"mass_on_truth": float(strengths[truth].sum() / strengths.sum())}


def expected_hits(strengths: Float[Tensor, "n"], truth: Bool[Tensor, "n"], k: int) -> float:
    """How many of the k strongest are true, where those that are tied for the last places are drawn among at random.

    Example:
        >>> expected_hits(torch.tensor([2.0, 1.0, 1.0, 0.0]), torch.tensor([True, True, False, False]), 2)
        1.5
    """
    last = strengths.sort(descending=True).values[k - 1]
    above, tied = strengths > last, strengths == last
    places = k - int(above.sum())
    return float(truth[above].sum()) + places * float(truth[tied].double().mean())


def _strengths(record: Record) -> Float[Tensor, "n"]:
    return record.attributions[0].double().abs()


def _check(truth: Bool[Tensor, "n"]) -> None:
    if not truth.any():
        raise NotApplicable("No feature is true, so there is nothing to find.")
