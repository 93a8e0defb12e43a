"""Generating with language models that read images and clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from interpreto_mllm.engine.counter import ForwardCounter
from interpreto_mllm.engine.decoding import Decoding
from interpreto_mllm.engine.generation import CausalGenerator
from interpreto_mllm.engine.merging_check import MergingCheck
from interpreto_mllm.engine.multimodal import MultimodalRunner
from interpreto_mllm.engine.queries import Generate, Generated


class MultimodalGenerator:
    """Generates responses to prompts with images and clips, each encoded once where `CausalGenerator` knows the settings.

    Prompts whose logits with encodings are not those of the plain path are answered one by one by `model.generate`.

    Args:
        runner: runs the model.
        decoding: how tokens are chosen.
    """

    def __init__(self, runner: MultimodalRunner, decoding: Decoding):
        self.runner, self.decoding = runner, decoding
        self._merging = CausalGenerator(runner.causal, decoding)
        self._check = MergingCheck(runner.model, runner.merges and decoding.plain, runner.causal.agrees)

    @property
    def counter(self) -> ForwardCounter:
        """What the model has cost."""
        return self.runner.counter

    def generate(self, queries: Sequence[Generate]) -> Iterator[tuple[list[int], Generated]]:
        """Responses, batch by batch."""
        merges = [self._merges(query) for query in queries]
        for index, query in enumerate(queries):
            if not merges[index]:
                yield [index], self._merging.plain.generate_batch([query])
        rest = [index for index in range(len(queries)) if merges[index]]
        for indices, generated in self._merging.generate([queries[index] for index in rest]):
            yield [rest[index] for index in indices], generated

    def _merges(self, query: Generate) -> bool:
        return self._check(
            query.input,
            plain=lambda: self.runner.plain_logits(query)[:, -1].float().amax(-1),
            merging=lambda: self._merging.largest_logits([(0, None)], [query])[:, 0],
        )
