"""Whether a model reads what the attention mask hides: tried on the prompts that are asked about."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interpreto_mllm.engine.findings import Longest, finding
from interpreto_mllm.engine.queries import Query
from interpreto_mllm.engine.rounding import excess, tolerance
from interpreto_mllm.prompts.model_input import ModelInput

Asked = TypeVar("Asked", bound=Query)


def check_masked(
    model: Any,
    kind: Hashable,
    queries: Sequence[Asked],
    values: Callable[[ModelInput, Asked], Float[Tensor, "_"]],
    is_text: Callable[[ModelInput], Bool[np.ndarray, "l"]],
) -> None:
    """Put other tokens in the masked places of the longest prompt that has some, and see that nothing changes.

    Two forwards; longer prompts are tried again.

    Args:
        model: for what is known of it.
        kind: of prompts.
        queries: about prompts, masked or not.
        values: of a query about another input.
        is_text: which tokens of an input may be changed.

    Raises:
        ValueError: for a model that reads masked tokens.
    """
    masked = [query for query in queries if query.input.seen is not None and not query.input.seen.all()]
    if not masked:
        return
    query = max(masked, key=lambda query: len(query.input.ids))
    known = finding(model, ("masked", kind), Longest)
    if len(query.input.ids) <= known.length:
        return
    other = _otherwise(query.input, is_text(query.input))
    if excess(values(other, query), values(query.input, query), tolerance(model)) > 1:
        raise reads_masked(model)
    known.length = len(query.input.ids)


def reads_masked(model: Any) -> ValueError:
    """The refusal of `Attend()` for a model that reads masked tokens."""
    return ValueError(
        f"{type(model).__name__} reads tokens that the attention mask hides (other tokens in their places change its output), "
        "so Attend() cannot take them out: use Drop() or Replace(...)."
    )


def _otherwise(input: ModelInput, text: Bool[np.ndarray, "l"]) -> ModelInput:
    """Another token of the prompt in each masked place but the last, which answers are predicted from."""
    assert input.seen is not None
    hidden = ~input.seen & text
    hidden[-1] = False
    known = np.unique(input.ids[text])
    ids: Int[np.ndarray, "l"] = input.ids.copy()
    ids[hidden] = known[(np.searchsorted(known, ids[hidden]) + 1) % len(known)]
    return replace(input, ids=ids)
