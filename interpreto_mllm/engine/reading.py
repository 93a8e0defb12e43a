"""One plain forward for a question about one input: its arguments, and the values in its output, with gradients."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from einops import repeat
from jaxtyping import Float, Shaped
from torch import Tensor

from interpreto_mllm.engine.multimodal_inputs import MultimodalInputs
from interpreto_mllm.engine.queries import Classify, ClassifyAt, Mode, Score
from interpreto_mllm.engine.runner import CausalRunner
from interpreto_mllm.engine.text_inputs import TextInputs
from interpreto_mllm.engine.whole_prompts import WholePrompts

Asked = TypeVar("Asked", contravariant=True)
Arguments = dict[str, Shaped[Tensor, "..."]]


@runtime_checkable
class Reading(Protocol[Asked]):
    """How a kind of model reads a question, and where the values are in its output."""

    @property
    def model(self) -> Any: ...

    def arguments(self, query: Asked) -> Arguments:
        """The arguments of a forward over one row; along their first axis several rows can be put one after another."""
        ...

    def constants(self, query: Asked) -> dict[str, Any]:
        """Further arguments, the same for any number of rows."""
        ...

    def values(self, output: Any, query: Asked) -> Float[Tensor, "b t"]:
        """The values of the query's targets in each row, as functions of the output."""
        ...

    def forward(self, query: Asked) -> Hashable:
        """Equal for queries that one forward answers."""
        ...


class CausalReading:
    """A causal language model, for text or several modalities.

    Args:
        runner: says how the model is called.
        mode: from logits and target ids to values.
    """

    def __init__(self, runner: CausalRunner, mode: Mode):
        self.runner, self.mode = runner, mode

    @property
    def model(self) -> Any:
        return self.runner.model

    def arguments(self, query: Score) -> Arguments:
        inputs = self.runner.inputs
        if isinstance(inputs, MultimodalInputs):
            return inputs.plain_inputs(query.input, query.continuation)
        assert isinstance(inputs, TextInputs)
        return inputs.plain_inputs(query)

    def constants(self, query: Score) -> dict[str, Any]:
        given: dict[str, Any] = {}
        if self.runner.cache_name:
            given["use_cache"] = False
        if self.runner.keeps_logits:
            given["logits_to_keep"] = len(query.target)
        return given

    def values(self, output: Any, query: Score) -> Float[Tensor, "b t"]:
        logits = output.logits[:, -len(query.target) :].float()
        targets = torch.tensor(query.target, device=logits.device)
        return self.mode(logits, repeat(targets, "t -> b t", b=len(logits)))

    def forward(self, query: Score) -> Hashable:
        return query.input.key, query.continuation


class Seq2SeqReading:
    """An encoder-decoder, whose decoder reads the answer.

    Args:
        prompts: reads prompts for the encoder.
        mode: from logits and target ids to values.
        start: the token that answers begin with, unless a query has its own.
    """

    def __init__(self, prompts: WholePrompts, mode: Mode, start: int):
        self.prompts, self.mode, self.start = prompts, mode, start

    @property
    def model(self) -> Any:
        return self.prompts.model

    def arguments(self, query: Score) -> Arguments:
        start = self.start if query.start is None else query.start
        answer = torch.tensor([[start, *query.continuation]], device=self.prompts.device)
        return {**self.prompts.arguments([query.input]), "decoder_input_ids": answer}

    def constants(self, query: Score) -> dict[str, Any]:
        return {"use_cache": False}

    def values(self, output: Any, query: Score) -> Float[Tensor, "b t"]:
        logits = output.logits.float()
        targets = torch.tensor(query.target, device=logits.device)
        return self.mode(logits, repeat(targets, "t -> b t", b=len(logits)))

    def forward(self, query: Score) -> Hashable:
        return query.input.key, query.continuation, query.start


class ClassifierReading:
    """A classifier, whose output has one number for each class.

    Args:
        prompts: reads prompts for the model.
        mode: from logits and class indices to values.
        logits: of the model's output, a number for each class.
    """

    def __init__(self, prompts: WholePrompts, mode: Mode, logits: Callable[[Any], Float[Tensor, "b v"]]):
        self.prompts, self.mode, self.logits = prompts, mode, logits

    @property
    def model(self) -> Any:
        return self.prompts.model

    def arguments(self, query: Classify) -> Arguments:
        return self.prompts.arguments([query.input])

    def constants(self, query: Classify) -> dict[str, Any]:
        return {}

    def values(self, output: Any, query: Classify) -> Float[Tensor, "b t"]:
        logits = self.logits(output).float()
        classes = torch.tensor(query.classes, device=logits.device)
        return self.mode(repeat(logits, "b v -> b t v", t=len(classes)), repeat(classes, "t -> b t", b=len(logits)))

    def forward(self, query: Classify) -> Hashable:
        return query.input.key


class PositionReading:
    """A model with an output for each position of a text.

    Args:
        prompts: reads prompts for the model.
        mode: from logits and class indices to values.
        logits: of the model's output, a row of classes for each position.
    """

    def __init__(self, prompts: WholePrompts, mode: Mode, logits: Callable[[Any], Float[Tensor, "b l v"]]):
        self.prompts, self.mode, self.logits = prompts, mode, logits

    @property
    def model(self) -> Any:
        return self.prompts.model

    def arguments(self, query: ClassifyAt) -> Arguments:
        return self.prompts.arguments([query.input])

    def constants(self, query: ClassifyAt) -> dict[str, Any]:
        return {}

    def values(self, output: Any, query: ClassifyAt) -> Float[Tensor, "b t"]:
        logits = self.logits(output)[:, list(query.positions)].float()
        classes = torch.tensor(query.classes, device=logits.device)
        return self.mode(logits, repeat(classes, "t -> b t", b=len(logits)))

    def forward(self, query: ClassifyAt) -> Hashable:
        return query.input.key
