"""The one way from evaluations to an estimate, for results, rescoring and stop rules."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.aggregators.errors import PRIOR_DRAWS, moderated, seen_errors
from interpreto_mllm.aggregators.gradient import GradientAggregator
from interpreto_mllm.aggregators.sums import Sums, all_of, moderated_sums
from interpreto_mllm.core.evaluations import Evaluations


def aggregate(evaluations: Evaluations, aggregator: Aggregator) -> Estimate:
    """What the aggregator makes of the drawn coalitions, the spread of repeated draws included in its standard errors.

    Repeated draws are answers to the same input, or some of the combinations of a template's baselines.

    Coalitions that were evaluated but are not part of the sample are left out.

    An aggregator is linear in the values, so each repeat is a game of its own whose estimates average to the one of the means,
    and their spread over √r is the error that the draws leave. It is added to the aggregator's own error as if the two were
    independent. Where coalitions were sampled, the aggregator's error already contains part of that spread, so the sum is
    conservative; where nothing was sampled but answers, `moderated` allows for the few repeats. Where the aggregator has no
    standard errors, there are none here. Of a sample whose draws never differed there are none either, see `seen_errors`. The
    aggregator works on a copy, which it may edit.

    Example:
        >>> from interpreto_mllm.aggregators import ShapleyAggregator
        >>> undrawn = torch.zeros(0, dtype=torch.int64), torch.zeros(0).double(), torch.zeros(0, dtype=torch.int64)
        >>> repeats = torch.tensor([[[0.0], [1.0]], [[0.0], [3.0]]]).double()
        >>> game = Evaluations(torch.tensor([[False], [True]]), repeats.mean(0), *undrawn, repeats=repeats)
        >>> [error] = aggregate(game, ShapleyAggregator()).standard_errors.flatten().tolist()
        >>> round(error, 3)  # of two repeats, 1.0 if it did not count that they are few
        1.291
    """
    if evaluations.gradients is not None:
        return _of_gradients(evaluations, aggregator)
    evaluations = evaluations.drawn
    if evaluations.trials is not None and not evaluations.complete:
        return _over_trials(evaluations, evaluations.trials, aggregator)
    whole = aggregator.aggregate(evaluations.copied())
    errors, repeats = whole.standard_errors, evaluations.repeats
    if errors is None or (repeats is None and (whole.exact or evaluations.complete)):
        return whole
    if repeats is not None and len(repeats) == 1:
        return Estimate(whole.attributions, notes=whole.notes)
    drawn: list[Tensor] = []
    if repeats is not None:
        drawn = [aggregator.aggregate(evaluations.with_values(values).copied()).attributions for values in repeats]
        spread = torch.stack(drawn).var(0) / len(drawn)
        spread = moderated(spread, len(drawn) - 1) if whole.exact or evaluations.complete else spread
        errors = (errors.square() + spread).sqrt()
    errors = seen_errors(errors, evaluations.values)
    return Estimate(whole.attributions, errors, sums=_with_spread(whole, drawn, evaluations, errors), notes=whole.notes)


def _with_spread(
    whole: Estimate, drawn: Sequence[Float[Tensor, "t n"]], evaluations: Evaluations, errors: Float[Tensor, "t n"] | None
) -> Sums | None:
    """Standard errors of sums, with the spread of repeated draws, and none for targets whose draws were all equal."""
    fixed = whole.exact or evaluations.complete
    if errors is None or (whole.sums is None and not fixed):
        return None
    unseen = errors.isnan().all(1, keepdim=True)

    def sums(members: Float[Tensor, "n sums"]) -> Float[Tensor, "t sums"]:
        own = torch.zeros(len(unseen), members.shape[1], dtype=torch.float64)
        squares = own if fixed or whole.sums is None else whole.sums(members).square()
        if drawn:
            squares = squares + _spread(torch.stack([*drawn]), members, moderately=fixed)
        return squares.sqrt().masked_fill(unseen, torch.nan)

    return sums


def _spread(drawn: Float[Tensor, "r t n"], members: Float[Tensor, "n sums"], moderately: bool) -> Float[Tensor, "t sums"]:
    """Variances of the means of sums over draws; `moderately` as `moderated` says."""
    each, some, everything = (
        (drawn.double() @ added).var(0) / len(drawn)
        for added in (torch.eye(len(members), dtype=torch.float64), members, all_of(members))
    )
    return moderated_sums(some, each, everything, members, len(drawn) - 1) if moderately else some


def _of_gradients(evaluations: Evaluations, aggregator: Aggregator) -> Estimate:
    """What an aggregator makes of gradients.

    Raises:
        ValueError: for one that wants coalitions.
    """
    if not isinstance(aggregator, GradientAggregator):
        raise ValueError(
            f"{type(aggregator).__name__} aggregates values of coalitions, and these are gradients at points: explain again "
            "with a method that evaluates coalitions, such as KernelShap."
        )
    return aggregator.aggregate(evaluations.copied())


def _over_trials(evaluations: Evaluations, trials: Int[Tensor, "m"], aggregator: Aggregator) -> Estimate:
    """The mean of what the aggregator makes of each trial.

    The variance of the mean is seen in the spread of the trials, and in their own standard errors where there are any; both are
    averaged, the own ones weighing like `PRIOR_DRAWS` more trials.
    """
    each = [aggregate(evaluations.of_trial(number), aggregator) for number in trials.unique().tolist()]
    if len(each) == 1 or all(estimate.exact for estimate in each):
        return each[0]
    attributions = torch.stack([estimate.attributions for estimate in each])
    spread, freedom = attributions.var(0) / len(each), len(each) - 1
    variance = moderated(spread, freedom)
    own = [estimate.standard_errors for estimate in each if estimate.standard_errors is not None]
    if len(own) == len(each):
        within = torch.stack(own).square().sum(0) / len(each) ** 2
        variance = torch.where(within.isnan(), variance, (PRIOR_DRAWS * within + freedom * spread) / (PRIOR_DRAWS + freedom))
    errors = seen_errors(variance.sqrt(), evaluations.values)
    return Estimate(attributions.mean(0), errors, sums=None if errors is None else _sums_over_trials(each, errors))


def _sums_over_trials(each: Sequence[Estimate], errors: Float[Tensor, "t n"]) -> Sums:
    """Standard errors of sums of means over trials, from the spread of the trials and their own errors."""
    attributions, freedom = torch.stack([estimate.attributions for estimate in each]), len(each) - 1

    def sums(members: Float[Tensor, "n sums"]) -> Float[Tensor, "t sums"]:
        variance = _spread(attributions, members, moderately=True)
        own = [None if estimate.sums is None else estimate.sums(members) for estimate in each]
        known = [each for each in own if each is not None]
        if len(known) == len(own):
            within = torch.stack(known).square().sum(0) / len(each) ** 2
            spread = _spread(attributions, members, moderately=False)
            own_too = (PRIOR_DRAWS * within + freedom * spread) / (PRIOR_DRAWS + freedom)
            variance = torch.where(within.isnan(), variance, own_too)
        return variance.sqrt().masked_fill(errors.isnan().all(1, keepdim=True), torch.nan)

    return sums
