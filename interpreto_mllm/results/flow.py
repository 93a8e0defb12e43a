"""How the scores of an answer and of the thoughts before it add up to a flow, and the errors of what they add up to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.results.folding import sums_of
from interpreto_mllm.results.record import Record

DRAWS = 1024
"""Scores that are drawn around the estimates; the errors from them are off by 2 % themselves."""


@dataclass(frozen=True, eq=False)
class Flow:
    """What each part of the prompt and each sentence of the thoughts did; see `ThoughtFlow` for what the parts are.

    Further axes in front are draws of the scores.
    """

    direct: Float[Tensor, "*draws n"]
    through: Float[Tensor, "*draws n"]
    total: Float[Tensor, "*draws n"]
    carried: Float[Tensor, "*draws k"]
    kept: Float[Tensor, "*draws k"]
    shares: Float[Tensor, "*draws parts"]
    passed: Float[Tensor, "*draws k features"]

    @classmethod
    def of(
        cls, answer: Float[Tensor, "*draws features"], sentences: Sequence[Float[Tensor, "*draws _"]], owed: Sequence[float]
    ) -> Flow:
        """The flow of these scores.

        Args:
            answer: of the parts of the prompt, then the sentences.
            sentences: of the parts of the prompt, then the sentences before this one.
            owed: the share of each sentence's probability that it owes to what comes before it.
        """
        k, n = len(sentences), answer.shape[-1] - len(sentences)
        passed = answer.new_zeros(*answer.shape[:-1], k, answer.shape[-1])
        for number, (scores, share) in enumerate(zip(sentences, owed, strict=True)):
            towards = scores.clamp_min(0)
            whole = towards.sum(-1, keepdim=True)
            passed[..., number, : scores.shape[-1]] = torch.where(whole > 0, towards / whole, 0.0) * share
        carried = answer[..., n:].clone()
        for later in reversed(range(k)):
            carried += carried[..., later, None] * passed[..., later, n:]
        direct, through = answer[..., :n], einsum(carried, passed[..., :n], "... k, ... k n -> ... n")
        kept = carried * (1 - passed.sum(-1))
        parts = torch.cat([direct + through, kept.sum(-1, keepdim=True)], dim=-1)
        return cls(direct, through, direct + through, carried, kept, parts / parts.sum(-1, keepdim=True), passed)


@dataclass(frozen=True, eq=False)
class FlowErrors:
    """Standard errors of a flow. Those of shares are NaN where the scores add up to nothing."""

    direct: Float[Tensor, "n"]
    through: Float[Tensor, "n"]
    total: Float[Tensor, "n"]
    carried: Float[Tensor, "k"]
    kept: Float[Tensor, "k"]
    shares: Float[Tensor, "parts"]
    kept_sum: float
    """Of what stays with all thoughts together."""


def flow_errors(flow: Flow, answer: Record, sentences: Sequence[Record], owed: Sequence[float]) -> FlowErrors | None:
    """How far a flow may be off because its scores are; None where one of the results behind it has no standard errors.

    Scores are drawn around the estimates of each game, normal and with their covariance, and each draw is passed on like the
    estimates. The standard error of a part is the root mean square of its distance to the part. Games are sampled one by one
    and their errors taken as independent, as are those of scores whose covariance is not known.
    """
    records = [answer, *sentences]
    if any(record.standard_errors is None for record in records):
        return None
    random = torch.Generator().manual_seed(0)
    drawn = [_drawn(record, random) for record in records]
    found = Flow.of(drawn[0], drawn[1:], owed)

    def apart(these: Tensor, those: Tensor) -> Tensor:
        return (these - those).square().mean(0).sqrt()

    parts = {name: apart(getattr(found, name), getattr(flow, name)) for name in NAMES}
    return FlowErrors(**parts, kept_sum=float(apart(found.kept.sum(-1), flow.kept.sum(-1))))


NAMES = ("direct", "through", "total", "carried", "kept", "shares")
"""The parts of a flow that have errors of their own."""


def _drawn(record: Record, random: torch.Generator) -> Float[Tensor, "draws features"]:
    """The scores with normal errors of their covariance; all of them themselves where they are exact."""
    scores, noise = record.attributions[0].double(), torch.randn(DRAWS, record.n, generator=random, dtype=torch.float64)
    covariance = score_covariance(record)
    if covariance.isnan().any():
        return scores + noise * torch.nan
    values, vectors = torch.linalg.eigh(covariance)
    return scores + noise * values.clamp_min(0).sqrt() @ vectors.T


def score_covariance(record: Record) -> Float[Tensor, "features features"]:
    """The covariance of the scores of the first target, from the errors of their sums in pairs; a diagonal without these."""
    assert record.standard_errors is not None
    own, sums = record.standard_errors[0].double(), sums_of(record)
    if sums is None or record.n == 1:
        return own.square().diag()
    first, second = torch.triu_indices(record.n, record.n, 1)
    pairs = torch.zeros(record.n, len(first), dtype=torch.float64)
    column = torch.arange(len(first))
    pairs[first, column] = pairs[second, column] = 1.0
    between = (sums(pairs)[0].double().square() - own[first].square() - own[second].square()) / 2
    covariance = own.square().diag()
    covariance[first, second] = covariance[second, first] = between
    return covariance
