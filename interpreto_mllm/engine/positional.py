"""Scoring under models with an output for each position of a text: words at masks, labels of tokens, ends of an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.engine.counter import ForwardCounter
from interpreto_mllm.engine.prompt_trials import try_batches, try_masks
from interpreto_mllm.engine.queries import ClassifyAt, Mode, Scored
from interpreto_mllm.engine.whole_prompts import WholePrompts


class PositionScorer:
    """Scores classes at positions; texts of equal lengths go together, so that nothing is padded.

    Args:
        prompts: batches prompts for the model.
        mode: from logits and class indices to values.
        logits: of the model's output, a row of classes for each position.
    """

    def __init__(self, prompts: WholePrompts, mode: Mode, logits: Callable[[Any], Float[Tensor, "b l v"]]):
        self.prompts, self.mode, self.logits = prompts, mode, logits

    @property
    def counter(self) -> ForwardCounter:
        """What the model has cost."""
        return self.prompts.counter

    def score(self, queries: Sequence[ClassifyAt]) -> Iterator[Scored]:
        """Values of each query, batch by batch."""
        same_length: dict[tuple[int, int], list[int]] = {}
        for index, query in enumerate(queries):
            same_length.setdefault((len(query.input.ids), len(query.positions)), []).append(index)
        for group in same_length.values():
            mine = [queries[index] for index in group]
            try_masks(self.prompts, "positions", mine, self._compared)
            try_batches(self.prompts, "positions", mine, self._compared)
            for indices, values in self.prompts.run(mine, self._score_batch):
                yield [group[index] for index in indices], values

    def _score_batch(self, queries: list[ClassifyAt]) -> Float[Tensor, "b t"]:
        logits = self._logits_at(queries)
        classes = torch.tensor([query.classes for query in queries], device=logits.device)
        return self.mode(logits, classes).float().cpu()

    def _logits_at(self, queries: Sequence[ClassifyAt]) -> Float[Tensor, "b t v"]:
        output = self.prompts.model(**self.prompts.inputs([query.input for query in queries]))
        logits = self.logits(output).float()
        rows = torch.arange(len(queries), device=logits.device)[:, None]
        positions = torch.tensor([query.positions for query in queries], device=logits.device)
        return logits[rows, positions]

    def _compared(self, queries: Sequence[ClassifyAt]) -> Float[Tensor, "b _"]:
        return self._logits_at(queries).flatten(1)
