"""Other values for the answers that a result keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.core.responses import Responses
from interpreto_mllm.games.modes import InferenceModes, check_mode, mode_name
from interpreto_mllm.results.record import Record
from interpreto_mllm.similarity.response_similarity import Comparison, ResponseSimilarity

Kept = TypeVar("Kept", bound=Record)


def rescored(record: Kept, mode: ResponseSimilarity | InferenceModes) -> Kept:
    """The result under another value function; see `Attribution.rescore`."""
    responses = record.responses
    if responses is None:
        raise ValueError("This result holds no answers to compare: only those of a similarity game can be rescored.")
    checked = check_mode(mode)
    told = not isinstance(checked, ResponseSimilarity)
    drawn = _told(responses, checked) if told else _compared(responses, checked)
    evaluations = record.evaluations.with_values(drawn.mean(0))
    if responses.repeats > 1 and not told:
        evaluations = replace(evaluations, repeats=drawn)
    again = record.aggregated(evaluations, record.aggregator, responses.labels, record.aggregator.estimand)
    return replace(again, mode=mode_name(checked))


def _compared(responses: Responses, similarity: ResponseSimilarity) -> Float[Tensor, "r p t"]:
    """Values of the answers under another similarity."""
    if similarity.generate or similarity.repeats > 1 or similarity.log_probability:
        raise ValueError(
            "Rescoring lets no model answer, so `generate`, `repeats` and `log_probability` have no meaning here: leave "
            "them out."
        )
    comparison = Comparison(similarity.bound(None, None))
    said = [(answer, None) for answers in responses.said for answer in answers]
    worth = [comparison.values((original, None), said).reshape(len(responses), -1) for original in responses.originals]
    return responses.values(worth)


def _told(responses: Responses, mode: object) -> Float[Tensor, "r p t"]:
    """How likely each coalition makes the original answers."""
    if mode not in (InferenceModes.LOG_SOFTMAX, InferenceModes.SOFTMAX):
        raise ValueError(
            "Of the original answer only the probability can be known afterwards: rescore with InferenceModes.LOG_SOFTMAX or "
            "SOFTMAX, or with a ResponseSimilarity."
        )
    told = responses.original_log_probabilities
    if told is None:
        raise ValueError(
            "This result does not tell how likely the original answer was: explain with "
            "ResponseSimilarity(log_probability=True)."
        )
    told = told.exp() if mode is InferenceModes.SOFTMAX else told
    return responses.values([one.repeat_interleave(responses.repeats, dim=1) for one in told.unbind(1)])
