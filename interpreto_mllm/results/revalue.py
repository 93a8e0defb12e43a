"""Other values of the same answers, of a result that holds their log-probabilities."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.core.labels import joined
from interpreto_mllm.games.modes import OF_LOG_PROBABILITIES, InferenceModes, Joint
from interpreto_mllm.results.gradients import check_coalitions
from interpreto_mllm.results.record import Record

Kept = TypeVar("Kept", bound=Record)

TOO_SURE = -1e-6
"""Logarithms of probabilities above this are too coarse in float32 to tell the logit."""
CONVERTED = "LOG_SOFTMAX, MEAN_LOG_SOFTMAX, SOFTMAX, PERPLEXITY or ANSWER_LOGIT"


def revalued(record: Kept, mode: object) -> Kept:
    """The result under another function of the probabilities of the tokens of its answers; no model call.

    Rows stay rows: of tokens, of classes, or of whole answers whose tokens are kept. ANSWER_LOGIT has a row for each answer.

    Raises:
        ValueError: for values that are no function of log-probabilities, before or after, for contrasts, and for the logit of
            answers that are all but certain, whose log-probabilities are too coarse for it.
    """
    if not isinstance(mode, InferenceModes) or mode not in (*OF_LOG_PROBABILITIES, InferenceModes.ANSWER_LOGIT):
        raise ValueError(
            "This result holds no answers to compare, only how likely they were: rescore with what follows from that, "
            f"InferenceModes.{CONVERTED}."
        )
    check_coalitions(record, "rescore()")
    evaluations = record.evaluations.of_tokens
    unit = record.unit if record.evaluations.tokens is None else record.evaluations.tokens.unit
    labels = record.targets if record.evaluations.tokens is None else list(record.evaluations.tokens.labels)
    if record.mode not in LOGS or unit not in ("token", "class"):
        what = f"those of {record.mode}" if record.mode not in LOGS else "differences or values of several kinds"
        raise ValueError(f"The values of this result are {what}, from which log-probabilities do not follow: explain again.")
    logs, answer_logit = LOGS[record.mode], mode is InferenceModes.ANSWER_LOGIT
    widths = [1] * len(labels) if unit == "class" else [len(labels)]
    if evaluations.answers is not None and int(evaluations.answers.sum()) == len(labels):
        widths = evaluations.answers.tolist()
    whole = unit == "token" and (answer_logit or record.evaluations.tokens is not None)
    joint = Joint.of(mode.value)

    def value(values: Float[Tensor, "p columns"]) -> Float[Tensor, "p t"]:
        known = logs(values.double())
        if answer_logit:
            return torch.stack([_logit(part.sum(1)) for part in known.split(widths, 1)], 1)
        found = OF_LOG_PROBABILITIES[mode](known)
        return torch.stack([joint(part) for part in found.split(widths, 1)], 1) if whole else found

    fingerprint = record.fingerprint and {**record.fingerprint, "value function": mode.value}
    changed = replace(evaluations.mapped(value), fingerprint=fingerprint)
    if whole and not answer_logit:
        kept = evaluations.mapped(lambda values: OF_LOG_PROBABILITIES[mode](logs(values.double())))
        assert record.evaluations.tokens is not None
        changed = replace(changed, tokens=replace(record.evaluations.tokens, values=kept.values, repeats=kept.repeats))
    starts = [sum(widths[:place]) for place in range(len(widths))]
    whole_labels = [joined(labels[start : start + width]) for start, width in zip(starts, widths, strict=True)]
    again = record.aggregated(changed, record.aggregator, whole_labels if whole else labels, record.aggregator.estimand)
    return replace(again, mode=mode.value, unit="response" if whole else unit)


LOGS = {
    "log_softmax": lambda values: values,
    "mean_log_softmax": lambda values: values,
    "softmax": lambda values: _logarithm(values),
    "perplexity": lambda values: -_logarithm(values),
}
"""From the values under a mode to log-probabilities."""


def _logarithm(values: Float[Tensor, "p t"]) -> Float[Tensor, "p t"]:
    """Logarithms of positive numbers.

    Raises:
        ValueError: where one is zero or infinite.
    """
    found = values.log()
    if not found.isfinite().all():
        raise ValueError("Some probability of this result is too small for its logarithm: explain again with LOG_SOFTMAX.")
    return found


def _logit(logs: Float[Tensor, "p"]) -> Float[Tensor, "p"]:
    """log p − log(1 − p).

    Raises:
        ValueError: where p is so near to 1 that its logarithm does not tell.
    """
    if bool((logs > TOO_SURE).any()):
        raise ValueError(
            "Some coalition makes the answer all but certain, so that its log-probability is too coarse for its logit: explain "
            "again with inference_mode=InferenceModes.ANSWER_LOGIT, which takes it from the logits."
        )
    return logs - torch.log(-torch.expm1(logs))
