"""What is tried on models that read whole prompts: masks, and batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

import numpy as np
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.engine.batch_trial import BatchTrial
from interpreto_mllm.engine.masked_trial import check_masked
from interpreto_mllm.engine.queries import Query
from interpreto_mllm.engine.whole_prompts import WholePrompts
from interpreto_mllm.prompts.model_input import ModelInput

Asked = TypeVar("Asked", bound=Query)

Logits = Callable[[Sequence[Asked]], Float[Tensor, "b v"]]
"""What is compared, of several queries in one forward."""


def try_masks(prompts: WholePrompts, kind: str, queries: Sequence[Asked], logits: Logits[Asked]) -> None:
    """Refuse a model that reads masked tokens of these prompts.

    Raises:
        ValueError: for such a model.
    """

    def values(input: ModelInput, query: Asked) -> Float[Tensor, "v"]:
        return logits([replace(cast(Any, query), input=input)])[0]

    with prompts.counter.trying():
        check_masked(prompts.model, kind, queries, values, lambda input: np.ones(len(input.ids), dtype=bool))


def try_batches(prompts: WholePrompts, kind: str, queries: Sequence[Asked], logits: Logits[Asked]) -> None:
    """Find out which of these prompts may go together; those with images or clips where these have one size."""
    same_size: dict[tuple[tuple[str, Any], ...], list[Asked]] = {}
    for query in queries:
        same_size.setdefault(tuple((state.medium.modality, state.size) for state in query.input.media), []).append(query)
    for sizes, group in same_size.items():
        of_kind = kind, tuple(modality for modality, _ in sizes)
        BatchTrial(prompts.model, of_kind, prompts.batches, prompts.counter, _length, logits)(group)


def _length(query: Query) -> int:
    return len(query.input.ids)
