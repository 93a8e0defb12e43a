"""Other values for the answers that a result keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.core.responses import Responses
from interpreto_mllm.games.modes import InferenceModes, check_mode, mode_name
from interpreto_mllm.results.record import Record
from interpreto_mllm.results.revalue import revalued
from interpreto_mllm.similarity.response_similarity import Comparison, ResponseSimilarity

Kept = TypeVar("Kept", bound=Record)


def rescored(record: Kept, mode: ResponseSimilarity | InferenceModes) -> Kept:
    """The result under another value function; see `Attribution.rescore`."""
    responses, checked = record.responses, check_mode(mode)
    if responses is None:
        return revalued(record, checked)
    compares = isinstance(checked, ResponseSimilarity)
    repeats = _similarities(responses, checked) if compares else _likelihoods(responses, checked)
    evaluations = record.evaluations.with_values(repeats.mean(0))
    if responses.inputs_drawn or (responses.repeats > 1 and compares):
        evaluations = replace(evaluations, repeats=repeats)
    again = record.aggregated(evaluations, record.aggregator, responses.labels, record.aggregator.estimand)
    return replace(again, mode=mode_name(checked))


def _similarities(responses: Responses, similarity: ResponseSimilarity) -> Float[Tensor, "r p t"]:
    """Values of the answers under another similarity."""
    if similarity.generate or similarity.repeats > 1 or similarity.log_probability:
        raise ValueError(
            "Rescoring lets no model answer, so `generate`, `repeats` and `log_probability` have no meaning here: leave "
            "them out."
        )
    comparison = Comparison(similarity.bound(None, None))
    prompted = [(answer, None) for answers in responses.answers for answer in answers]
    each = [comparison.values((original, None), prompted) for original in responses.originals]
    return responses.values([rearrange(one, "(p answers) -> p answers", p=len(responses)) for one in each])


def _likelihoods(responses: Responses, mode: object) -> Float[Tensor, "r p t"]:
    """How likely each coalition makes the original answers."""
    if mode not in (InferenceModes.LOG_SOFTMAX, InferenceModes.SOFTMAX):
        raise ValueError(
            "Of the original answer only the probability can be known afterwards: rescore with InferenceModes.LOG_SOFTMAX or "
            "SOFTMAX, or with a ResponseSimilarity."
        )
    likelihoods = responses.original_log_probabilities
    if likelihoods is None:
        raise ValueError(
            "This result does not say how likely the original answer was: explain with "
            "ResponseSimilarity(log_probability=True)."
        )
    likelihoods = likelihoods.exp() if mode is InferenceModes.SOFTMAX else likelihoods
    return responses.values([repeat(one, "p w -> p (w repeat)", repeat=responses.repeats) for one in likelihoods.unbind(1)])
