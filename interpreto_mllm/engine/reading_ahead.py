"""Whether a model's predictions change with the tokens after them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.engine.batches import out_of_memory
from interpreto_mllm.engine.queries import Score
from interpreto_mllm.engine.rounding import NOISE, excess, half, has_experts, tolerance

logger = logging.getLogger(__name__)

ALIKE = 1000
"""The part of a rounding that makes a difference between forwards over equally many tokens in half precision."""

Predicted = Callable[[Sequence[Score]], Float[Tensor, "b t v"]]
"""Computes log-probabilities of the first tokens of answers."""


def reads_ahead(model: Any, rows: Sequence[Score], predicted: Predicted) -> bool:
    """Whether predictions change with the tokens that follow, or with their number.

    Two forwards: over one answer, and over another that is shorter by a token; in half precision, where the length alone
    rounds otherwise, three. Where predictions differ by more than rounding, more tell what makes the difference.

    Args:
        model: for its precision.
        rows: a prompt with several answers that are the same up to the predicted tokens, and as long.
        predicted: log-probabilities of those tokens.
    """
    try:
        first = predicted(rows[:1])
        otherwise = len(rows) > 2 and not half(model)  # the second of two would end like the first once it is shorter
        if otherwise and excess(predicted([_shortened(rows[-1], 1)]), first, tolerance(model)) <= 1:
            return False
        return _tails_differ(model, rows, predicted, first) or _lengths_differ(model, rows[0], predicted, first)
    except Exception as error:  # a model may refuse a longer row in any way it likes: its own forwards will say so
        if out_of_memory(error):
            raise
        logger.info("%s cannot be tried on what follows an answer (%s).", type(model).__name__, error)
        return False


def _tails_differ(model: Any, rows: Sequence[Score], predicted: Predicted, first: Float[Tensor, "1 t v"]) -> bool:
    """Whether other tokens further on change the predictions.

    Where another row beside it changes a row as much, as in quantised models, everything that is read together is mixed up a
    little, and what follows is nothing special. Forwards over equally many tokens round alike, so that in half precision far
    less than a rounding is a difference. Where tokens are sent to experts, who are given more or fewer of them, it is not, and
    all rows must differ there: a router may flip once.
    """
    strict = half(model) and not has_experts(model)
    allowed = tolerance(model) / (ALIKE if strict else 1)
    found = [first, predicted(rows[1:2])]
    over = excess(found[1], first, allowed)
    if over <= 1:
        return False
    if over <= NOISE * _mixing(rows, predicted, allowed):
        return False
    if half(model):
        found += [predicted([row]) for row in rows[2:]]
        pairs = [(one, other) for place, one in enumerate(found) for other in found[: 1 if strict else place]]
        return all(excess(one, other, allowed) > 1 for one, other in pairs if one is not other)
    return True


def _mixing(rows: Sequence[Score], predicted: Predicted, allowed: float) -> float:
    """How far another row beside it changes a row."""
    try:
        one, other = (predicted([rows[0], beside])[:1] for beside in (rows[1], rows[2 % len(rows)]))
    except Exception as error:  # a model may refuse a batch in any way it likes, and then mixes nothing
        if out_of_memory(error):
            raise
        return 0.0
    return excess(one, other, allowed)


def _lengths_differ(model: Any, row: Score, predicted: Predicted, first: Float[Tensor, "1 t v"]) -> bool:
    """Whether one token more changes the predictions, and one more to a shorter row too: a switch at one length is none."""
    allowed = tolerance(model)
    if excess(predicted([_shortened(row, 1)]), first, allowed) <= 1:
        return False
    one, other = (predicted([_shortened(row, count)]) for count in (3, 4))
    return excess(one, other, allowed) > 1


def _shortened(row: Score, count: int) -> Score:
    """Without the last tokens of the answer."""
    return replace(row, target=row.target[:-count])


def check_reads_on(model: Any, ahead: bool, length: int) -> None:
    """Refuse a model that reads ahead.

    Raises:
        ValueError: says how to load it, where that helps.
    """
    if not ahead:
        return
    name = type(model).__name__
    said = f"{name} predicts a token of the answer otherwise when others follow it, here with a prompt of {length} tokens, so "
    said += "log-probabilities of its answers have no meaning: "
    if getattr(model.config, "is_decoder", None) is False and not model.config.is_encoder_decoder:
        raise ValueError(said + f"load it as a decoder, {name}.from_pretrained(..., is_decoder=True).")
    raise ValueError(said + "explain its answers by ResponseSimilarity(), or use a model that reads from left to right.")
