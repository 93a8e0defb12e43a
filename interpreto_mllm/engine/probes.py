"""Trying on a few tokens how a model treats masks."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.engine.device import input_device
from interpreto_mllm.engine.gathered_logits import gathered_logits
from interpreto_mllm.engine.preserved_state import preserved_state
from interpreto_mllm.engine.signature import forward_parameters, unwrapped
from interpreto_mllm.engine.vocabulary import vocabulary_size

logger = logging.getLogger(__name__)

BEFORE = HIDDEN = AFTER = 4
"""Tokens of a trial before the masked ones, masked, and after them."""

FEW = 2
"""Tokens of a trial of logits."""


def counts_positions_by_mask(model: Any, gives_positions: bool, avoid: Collection[int] = ()) -> bool:
    """Whether masked tokens take no position, so that masking them is the same as leaving them out.

    Two forwards: over some tokens of which those in the middle are masked, and over the others alone. Only if the masked ones
    take no position are the states after them equal. So it is with the ALiBi of BLOOM and Falcon, and with OPT where it is not
    given positions.

    Args:
        model: a language model, an encoder-decoder or a classifier of texts.
        gives_positions: whether the model is given the positions of tokens where it takes them.
        avoid: token ids with a meaning of their own, such as those of padding and of images.
    """
    ids = _plain_ids(model, BEFORE + HIDDEN + AFTER, avoid)
    seen = torch.ones_like(ids)
    seen[:, BEFORE : BEFORE + HIDDEN] = 0
    kept = seen[0].bool()
    with preserved_state(model):
        try:
            masked = _states(model, ids, seen, gives_positions)[:, kept]
            closed_up = _states(model, ids[:, kept], seen[:, kept], gives_positions)
        except Exception as error:  # a model may refuse a text alone in any way it likes: its own forwards will say so
            logger.info("%s cannot be tried on a mask (%s).", type(model).__name__, error)
            return False
    return _equal(masked[:, BEFORE:], closed_up[:, BEFORE:])


def reads_masked_tokens(model: Any, gives_positions: bool, avoid: Collection[int] = ()) -> bool:
    """Whether other tokens in masked places change a model's output, so that masking does not take them out.

    Two forwards. So it is with layers that mix all tokens, as FNet's, and with classifiers whose decoder reads the text again,
    as BART's, which no mask keeps from that.

    Args:
        model: a language model, an encoder-decoder or a classifier of texts.
        gives_positions: whether the model is given the positions of tokens where it takes them.
        avoid: token ids with a meaning of their own, such as those of padding and of images.
    """
    some = _plain_ids(model, BEFORE + 2 * HIDDEN + AFTER, avoid)
    ids, other = some[:, HIDDEN:].clone(), some[:, HIDDEN:].clone()
    other[:, BEFORE : BEFORE + HIDDEN] = some[:, :HIDDEN]
    ending = getattr(model.config, "eos_token_id", None)
    if isinstance(ending, int):
        ids[:, -1] = other[:, -1] = ending  # which some classifiers pool
    seen = torch.ones_like(ids)
    seen[:, BEFORE : BEFORE + HIDDEN] = 0
    with preserved_state(model):
        try:
            outputs = [_outputs(model, each, seen, gives_positions) for each in (ids, other)]
        except Exception as error:  # a model may refuse a text alone in any way it likes: its own forwards will say so
            logger.info("%s cannot be tried on a mask (%s).", type(model).__name__, error)
            return False
    return not _equal(*outputs)


def _outputs(model: Any, ids: Int[Tensor, "1 l"], seen: Int[Tensor, "1 l"], gives_positions: bool) -> Float[Tensor, "_ v"]:
    """The logits of a classifier, of the first token of an answer, or at all places that are not masked."""
    arguments = _arguments(model, ids, seen, gives_positions)
    if model.config.is_encoder_decoder and model.can_generate():
        arguments["decoder_input_ids"] = ids[:, :1]
    logits = model(**arguments).logits[0]
    if logits.ndim == 1 or model.config.is_encoder_decoder:
        return logits.reshape(-1, logits.shape[-1])
    return logits[-ids.shape[1] :][seen[0].bool()]


def keeps_chosen_logits(model: Any) -> bool:
    """Whether `logits_to_keep` chooses among the tokens given; not so where a wrapper puts tokens of its own before them.

    Two forwards. Models that take no text alone are believed.

    Args:
        model: a language model whose forward has the argument.
    """
    ids = _plain_ids(model, FEW, ())
    with preserved_state(model):
        try:
            every = model(input_ids=ids).logits
        except Exception as error:  # a model may refuse a text alone in any way it likes
            logger.info("%s cannot be tried on a few tokens (%s).", type(model).__name__, error)
            return True
        try:
            first = model(input_ids=ids, logits_to_keep=torch.tensor([0], device=ids.device)).logits
        except Exception as error:  # or refuse the argument, which a wrapper only seems to take
            logger.info("%s gives all logits (%s).", type(model).__name__, error)
            return False
    return first.shape[1] == 1 and every.shape[1] == ids.shape[1] and _equal(first, every[:, :1])


def gathers_logits(model: Any) -> bool:
    """Whether a model whose output layer reads some positions of each row gives the logits that it gives there otherwise.

    Two forwards. Models that refuse a text alone do not.

    Args:
        model: a language model.
    """
    ids = torch.cat([_plain_ids(model, 2 * FEW, ()).flip(1), _plain_ids(model, 2 * FEW, ())])
    at = torch.tensor([[-1, -3], [-2, -4]])
    with preserved_state(model):
        try:
            every = model(input_ids=ids).logits
            with gathered_logits(model, at):
                some = model(input_ids=ids).logits
        except Exception as error:  # a model may refuse in any way it likes
            logger.info("%s gives all logits (%s).", type(model).__name__, error)
            return False
    expected = every[torch.arange(2)[:, None], at + every.shape[1]]
    return some.shape == expected.shape and _equal(some, expected)


def _states(model: Any, ids: Int[Tensor, "1 l"], seen: Int[Tensor, "1 l"], gives_positions: bool) -> Float[Tensor, "1 l d"]:
    """The last hidden states of the part of a model that reads prompts."""
    inside = unwrapped(model)
    reader = inside.get_encoder() if model.config.is_encoder_decoder else inside.base_model
    return reader(**_arguments(model, ids, seen, gives_positions)).last_hidden_state


def _arguments(model: Any, ids: Int[Tensor, "1 l"], seen: Int[Tensor, "1 l"], gives_positions: bool) -> dict[str, Any]:
    arguments = {"input_ids": ids, "attention_mask": seen}
    if gives_positions and "position_ids" in forward_parameters(model):
        arguments["position_ids"] = torch.arange(ids.shape[1], device=ids.device)[None]
    return arguments


def _plain_ids(model: Any, count: int, avoid: Collection[int]) -> Int[Tensor, "1 l"]:
    """Different token ids from the middle of the vocabulary."""
    vocabulary = vocabulary_size(model) or 256
    ids = (index for index in (*range(vocabulary // 2, vocabulary), *range(vocabulary // 2)) if index not in avoid)
    return torch.tensor([[next(ids) for _ in range(count)]], device=input_device(model))


def _equal(one: Float[Tensor, "*shape"], other: Float[Tensor, "*shape"]) -> bool:
    """Whether two outputs differ by rounding alone, by the norm of their difference."""
    tolerance = 1e-5 if other.dtype in (torch.float32, torch.float64) else 3e-3
    return bool((one.float() - other.float()).norm() <= tolerance * other.float().norm())
