"""Batches of whole prompts, for models that read all of a prompt before they answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from jaxtyping import Shaped
from torch import Tensor

from interpreto_mllm.engine.batches import Batches, Grouping, out_of_memory
from interpreto_mllm.engine.counter import ForwardCounter
from interpreto_mllm.engine.device import input_device
from interpreto_mllm.engine.queries import Query, pad
from interpreto_mllm.engine.signature import forward_parameters
from interpreto_mllm.engine.text_padding import TextPadding
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.processing import Processing

logger = logging.getLogger(__name__)
Asked = TypeVar("Asked", bound=Query)
Result = TypeVar("Result")


class WholePrompts:
    """Batches prompts of similar length, padded on the right and masked.

    Images and clips go together only where they have one size, so that no padding can change what is seen or heard. Prompts
    with given positions go together, too.

    Args:
        model: already on its device.
        processing: its tokenizer or processor.
        batch_size: prompts in a forward.
        counter: counts forwards and tokens.
        padding: for texts of one length, filled up as the model was trained.
    """

    def __init__(
        self,
        model: Any,
        processing: Processing,
        batch_size: int,
        counter: ForwardCounter | None = None,
        padding: TextPadding | None = None,
    ):
        self.model, self.processing, self.of_texts = model, processing, padding
        self.batches = Batches(batch_size)
        self.counter = ForwardCounter() if counter is None else counter
        self.device = input_device(model)
        token = getattr(model.config, "pad_token_id", None)
        self.padding = 0 if token is None else int(token)
        accepted = forward_parameters(model)
        self._takes_types, self._takes_positions = "token_type_ids" in accepted, "position_ids" in accepted

    def run(self, queries: Sequence[Asked], work: Callable[[list[Asked]], Result]) -> Iterator[tuple[list[int], Result]]:
        """What `work` makes of each batch of queries, with their indices."""
        same_size: dict[tuple, list[int]] = {}
        for index, query in enumerate(queries):
            sizes = tuple(state.size for state in query.input.media)
            same_size.setdefault((query.input.positions is None, sizes), []).append(index)
        for group in same_size.values():
            yield from self._surviving(group, lambda batch: work([queries[index] for index in batch]), queries)

    def _surviving(
        self, group: list[int], work: Callable[[list[int]], Result], queries: Sequence[Asked]
    ) -> Iterator[tuple[list[int], Result]]:
        """The batches of a group; where the model fails on one, each prompt is read by itself."""
        waiting = dict.fromkeys(group)
        while waiting:
            try:
                for batch, result in self.batches.run(list(waiting), work, order=lambda index: len(queries[index].input.ids)):
                    for index in batch:
                        del waiting[index]
                    yield batch, result
            except Exception as error:
                name = type(self.model).__name__
                if out_of_memory(error) or self.batches.size == 1 or self.batches.grouping is Grouping.ALONE:
                    error.add_note(f"{name} itself fails here: this was a plain forward over one prompt.")
                    raise
                logger.warning("%s fails on a batch (%s): each prompt is read by itself.", name, error)
                self.batches.grouping = Grouping.ALONE

    def inputs(self, inputs: Sequence[ModelInput]) -> dict[str, Shaped[Tensor, "..."]]:
        """The arguments of a forward over these inputs, which is counted."""
        arguments = self.arguments(inputs)
        self.counter.add(arguments["input_ids"].numel() if self.processing.reads_text else 0)
        return arguments

    def arguments(self, inputs: Sequence[ModelInput]) -> dict[str, Shaped[Tensor, "..."]]:
        """The arguments of a forward over these inputs."""
        media = self.processing.media([input.media for input in inputs]) if inputs[0].media else {}
        if not self.processing.reads_text:
            return media
        if self.of_texts is not None:
            arguments = self.of_texts.inputs(inputs)
        else:
            arguments = self._text_inputs(inputs)
        return {**{name: tensor.to(self.device) for name, tensor in arguments.items()}, **media}

    def _text_inputs(self, inputs: Sequence[ModelInput]) -> dict[str, Shaped[Tensor, "..."]]:
        ids = pad([torch.from_numpy(input.ids) for input in inputs], self.padding)
        mask = torch.zeros_like(ids)
        for row, input in enumerate(inputs):
            mask[row, : len(input.ids)] = 1 if input.seen is None else torch.from_numpy(input.seen)
        arguments = {"input_ids": ids, "attention_mask": mask}
        if self._takes_types and any(input.segments is not None for input in inputs):
            zeros = [torch.zeros(len(input.ids), dtype=torch.int64) for input in inputs]
            types = [
                none if input.segments is None else torch.from_numpy(input.segments)
                for none, input in zip(zeros, inputs, strict=True)
            ]
            arguments["token_type_ids"] = pad(types)
        if self._takes_positions and inputs[0].positions is not None:
            arguments["position_ids"] = pad([torch.from_numpy(input.places()) for input in inputs])
        return arguments
