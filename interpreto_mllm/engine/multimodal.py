"""Running language models that read images and clips, and scoring answers under them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.engine.call import within_block
from interpreto_mllm.engine.causal import CausalScorer
from interpreto_mllm.engine.counter import ForwardCounter
from interpreto_mllm.engine.merging_check import MergingCheck
from interpreto_mllm.engine.multimodal_inputs import MultimodalInputs
from interpreto_mllm.engine.packed import PackedScorer
from interpreto_mllm.engine.queries import Mode, Row, Score, Scored
from interpreto_mllm.engine.rounding import log_probabilities
from interpreto_mllm.engine.runner import CausalRunner
from interpreto_mllm.prompts.processing import Processing


class MultimodalRunner:
    """Runs a language model that reads images and clips: with each of them encoded once, or plainly.

    Args:
        model: the multimodal model, already on its device.
        processing: its processor.
        batch_size: rows in a forward.
        share_prefixes: False for the plain path, which is what the fast path is checked against.
        counter: counts forwards and tokens.

    Attributes:
        causal: runs rows whose images and clips are encoded by themselves.
        inputs: how rows are given to the model.
        merges: whether encodings may be given to the model, as far as is known.
    """

    def __init__(
        self,
        model: Any,
        processing: Processing,
        batch_size: int,
        share_prefixes: bool = True,
        counter: ForwardCounter | None = None,
    ):
        self.model = model
        counter = ForwardCounter() if counter is None else counter
        self.inputs = MultimodalInputs(model, processing, batch_size, counter)
        self.causal = CausalRunner(model, batch_size, share_prefixes, counter, self.inputs)
        self.merges = share_prefixes and self.inputs.can_merge

    @property
    def counter(self) -> ForwardCounter:
        """What the model has cost."""
        return self.causal.counter

    def plain_logits(self, row: Row) -> Float[Tensor, "1 l v"]:
        """Logits from the last token of the input on, by one call of the processor and one forward of the model."""
        arguments = self.inputs.plain_inputs(row.input, row.continuation)
        self.counter.add(arguments["input_ids"].numel())
        return self.model(**arguments).logits[:, -1 - len(row.continuation) :]


class MultimodalScorer:
    """Scores answers to prompts with images and clips.

    Prompts whose values with encodings are not those of the plain path (checked on the first use for each number of images and
    clips) are run plainly, one by one.

    Args:
        runner: runs the model.
        mode: from logits and target ids to values.
    """

    def __init__(self, runner: MultimodalRunner, mode: Mode):
        self.runner, self.mode = runner, mode
        self._merging = PackedScorer(runner.causal, mode)
        self._trial = CausalScorer(runner.causal, log_probabilities)
        self._check = MergingCheck(runner.model, runner.merges, runner.causal.agrees)

    @property
    def counter(self) -> ForwardCounter:
        """What the model has cost."""
        return self.runner.counter

    def score(self, queries: Sequence[Score]) -> Iterator[Scored]:
        """Values of the target tokens of each query, batch by batch."""
        merges = [self._merges(query) for query in queries]
        for index, query in enumerate(queries):
            if not merges[index]:
                yield [index], self._plain_values(query, self.mode)
        rest = [index for index in range(len(queries)) if merges[index]]
        for indices, values in self._merging.score([queries[index] for index in rest]):
            yield [rest[index] for index in indices], values

    def _merges(self, query: Score) -> bool:
        return self._check(
            query.input,
            plain=lambda: self._plain_values(query, log_probabilities),
            merging=lambda: self._merged(query),
        )

    def _merged(self, query: Score) -> Float[Tensor, "1 t"]:
        with within_block(self.runner.causal.inputs.trial()):
            return self._trial.score_batch([(0, None)], [query])

    def _plain_values(self, query: Score, mode: Mode) -> Float[Tensor, "1 t"]:
        logits = self.runner.plain_logits(query)
        return mode(logits.float(), torch.tensor([query.target], device=logits.device)).float().cpu()
