"""How many positions a model has, and whether it can be given some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from interpreto_mllm.engine.decoding_support import SWITCHING
from interpreto_mllm.engine.signature import forward_parameters
from interpreto_mllm.prompts.model_input import ModelInput

LIMITS = ("max_position_embeddings", "max_encoder_position_embeddings")
"""Settings that hold how many positions a model, or its encoder, has."""

DECODER_LIMITS = ("max_target_positions", "max_decoder_position_embeddings")
"""Settings for the decoder alone, of Whisper and LED; other encoder-decoders have one for both."""


def max_positions(model: Any) -> int | None:
    """The most tokens that a model reads, None where there is no limit.

    The RoBERTa family counts positions from the one after the padding's, so that its table has fewer than it has rows.
    """
    limit = _first(model.config.get_text_config(), LIMITS)
    if limit is None:
        return None
    return limit - max((_skipped(name, module, limit) for name, module in model.named_modules()), default=0)


def decoder_positions(model: Any) -> int | None:
    """The most tokens that the decoder of an encoder-decoder reads, None where there is no limit."""
    limit = _first(model.config, DECODER_LIMITS)
    return max_positions(model) if limit is None else limit


def check_positions(model: Any, input: ModelInput) -> None:
    """Raise a ValueError for given positions that the model cannot be given; it may count 0, 1, 2, … by itself."""
    if input.positions is None:
        return
    name, hint = type(model).__name__, "leave 'position_ids' out of the encoding"
    if "position_ids" not in forward_parameters(model):
        if input.positions.tolist() != list(range(len(input.positions))):
            raise ValueError(f"{name} takes no positions, but the encoding has some of its own: {hint}.")
        return
    rope = getattr(model.config.get_text_config(), "rope_parameters", None) or {}
    if rope.get("rope_type") in SWITCHING:
        raise ValueError(f"{name} changes how it reads all positions by the highest one in a batch (RoPE scaling): {hint}.")


def check_highest_position(model: Any, input: ModelInput, following: int) -> None:
    """Raise a ValueError for given positions, and so many after them, beyond those that the model has."""
    limit = _first(model.config.get_text_config(), LIMITS)
    if input.positions is None or limit is None:
        return
    highest = int(input.places(following).max(initial=0))
    if highest >= limit:
        after = f", {following} of them for the answer" if following else ""
        raise ValueError(f"The encoding's positions go up to {highest}{after}; those of the model lie in [0, {limit}).")


def _first(config: Any, names: Sequence[str]) -> int | None:
    """The first of these settings that is a number of positions."""
    values = (getattr(config, name, None) for name in names)
    return next((value for value in values if isinstance(value, int) and value > 0), None)


def _skipped(name: str, module: Any, rows: int) -> int:
    """Rows at the beginning of a table of positions that belong to no token."""
    padding, weight = getattr(module, "padding_idx", None), getattr(module, "weight", None)
    if not name.endswith("position_embeddings") or padding is None or weight is None or len(weight) != rows:
        return 0
    return padding + 1
