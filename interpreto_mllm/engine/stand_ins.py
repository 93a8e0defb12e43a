"""Short prompts on which a model is tried in the place of long ones, where it goes about both in the same way."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool

from interpreto_mllm.engine.prefixes import Node
from interpreto_mllm.engine.queries import Score
from interpreto_mllm.engine.rounding import has_experts, quantises_inputs
from interpreto_mllm.engine.signature import forward_parameters
from interpreto_mllm.prompts.model_input import ModelInput

TOKENS, PARTS = 36, 3
"""Tokens of the longest stand-in, and into how many parts it is cut."""

SHARED = 2 * TOKENS // PARTS
"""Tokens that the first two rows of the tree of stand-ins share."""

BEYOND = 4
"""Tokens by which a stand-in must be longer than a length at which a model may change its ways."""

ATTENTION = {"full_attention", "sliding_attention", "chunked_attention"}
"""Types of layers, as configs name them, in which only masks and positions depend on the length."""

NO_LENGTH = re.compile(
    r"(^|_)(hidden|intermediate|inner|ffn|ff|vocab|embedding|embed|embd|head|model|kv|rotary)_(size|dim)$"
    r"|^d_(model|ff|kv|inner)$|^n_(embd|inner|head|heads|layer|layers)$"
    r"|^num_(hidden_layers|attention_heads|key_value_heads|kv_heads|layers|heads)$|_token_ids?$"
)
"""Names of settings that say nothing of how long a prompt is."""


def goes_the_same_way(model: Any, inputs: Sequence[ModelInput]) -> bool:
    """Whether what a model does with stand-ins it does with these prompts, too.

    So it is in single precision where all layers attend to tokens and keep a state for each, and no setting of the model that
    may be a length lies between the lengths of both. Images and clips have no stand-ins.

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> goes_the_same_way(load_recall()[0], [ModelInput(np.arange(50))])  # some layers are convolutions
        False
    """
    longest = max((len(input.ids) for input in inputs), default=0)
    if longest <= TOKENS or any(input.media for input in inputs):
        return False
    layers = set(getattr(model.config.get_text_config(), "layer_types", None) or ())
    return (
        model.dtype in (torch.float32, torch.float64)
        and not (has_experts(model) or quantises_inputs(model) or getattr(model, "_is_stateful", False))
        and "past_key_values" in forward_parameters(model)
        and layers <= ATTENTION
        and not any(TOKENS - BEYOND < number <= 2 * longest for number in _lengths(model.config.to_dict()))
    )


def _lengths(settings: Any, name: str = "") -> Iterator[int]:
    """All whole numbers of a config and of its parts that may be lengths."""
    if isinstance(settings, bool):
        return
    if isinstance(settings, int):
        if not NO_LENGTH.search(name):
            yield settings
    elif isinstance(settings, dict):
        for key, value in settings.items():
            yield from _lengths(value, str(key))
    elif isinstance(settings, (list, tuple)):
        for part in settings:
            yield from _lengths(part, name)


def stand_ins(query: Score) -> list[Score]:
    """The end of a prompt in several lengths, the longest first, and another prompt as long as that."""
    ends = [_end(query, count) for count in range(TOKENS, 0, -TOKENS // PARTS)]
    longest = ends[0].input
    return [*ends, replace(query, input=replace(longest, ids=np.roll(longest.ids, 1)))]


def stand_in_with_hidden(query: Score) -> Score:
    """The end of a prompt, with some tokens that attention may not see."""
    short = _end(query, TOKENS)
    return replace(short, input=replace(short.input, seen=_seen(TOKENS)))


def stand_in_tree(input: ModelInput, hidden: bool = False) -> tuple[Node, list[Score]]:
    """Rows that share beginnings, made of the end of a prompt, and the tree of these: one in another, and one beside.

    Args:
        input: the prompt.
        hidden: whether attention may not see some of the tokens.
    """
    ids, part = input.ids[-TOKENS:], TOKENS // PARTS
    segments, positions = (None if each is None else each[-TOKENS:] for each in (input.segments, input.positions))
    turned = np.concatenate([ids[:SHARED], np.roll(ids[SHARED:], 1)])
    whole = ModelInput(ids, _seen(TOKENS) if hidden else None, segments, (), positions)
    inputs = [whole, replace(whole, ids=turned), _beginning(whole, TOKENS - 2), replace(whole, ids=np.roll(ids, 1))]
    rows = [Score(each, (int(ids[0]), int(ids[-1]))) for each in inputs]
    deepest = Node(SHARED, 0, leaves=[1, 2])
    return Node(0, 0, children=[Node(part, 0, children=[deepest], leaves=[0]), Node(part, 3, leaves=[3])]), rows


def _seen(count: int) -> Bool[np.ndarray, "l"]:
    """Which tokens attention may see: two of four, and the last."""
    return (np.arange(count) % 4 < 2) | (np.arange(count) == count - 1)


def _beginning(input: ModelInput, count: int) -> ModelInput:
    parts = (input.seen, input.segments, input.positions)
    seen, segments, positions = (None if part is None else part[:count] for part in parts)
    return ModelInput(input.ids[:count], seen, segments, input.media, positions)


def _end(query: Score, count: int) -> Score:
    """The query about the end of its prompt; where attention may not see all of that, it may see a part of this."""
    input = query.input.after(max(len(query.input.ids) - count, 0))
    return replace(query, input=input if input.seen is None else replace(input, seen=_seen(count)))
