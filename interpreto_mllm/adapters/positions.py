"""How many positions a model has."""

from __future__ import annotations

from typing import Any


def max_positions(model: Any) -> int | None:
    """The most tokens that a model reads, None where there is no limit.

    The RoBERTa family counts positions from the one after the padding's, so that its table has fewer than it has rows.
    """
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if not isinstance(limit, int) or limit <= 0:
        return None
    return limit - max((_skipped(name, module, limit) for name, module in model.named_modules()), default=0)


def _skipped(name: str, module: Any, rows: int) -> int:
    """Rows at the beginning of a table of positions that belong to no token."""
    padding, weight = getattr(module, "padding_idx", None), getattr(module, "weight", None)
    if not name.endswith("position_embeddings") or padding is None or weight is None or len(weight) != rows:
        return 0
    return padding + 1
