"""How the rows of a forward are given to a model."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from interpreto_mllm.engine.device import input_device
from interpreto_mllm.engine.queries import Row
from interpreto_mllm.prompts.model_input import ModelInput


@runtime_checkable
class RowInputs(Protocol):
    """How the rows of a forward are given to a model, beyond their token ids."""

    def symbols(self, rows: Sequence[Row]) -> list[Int[np.ndarray, "_"]]:
        """For each row one number per token of its input; equal numbers stand for what the model reads equally."""
        ...

    def call(self, rows: Sequence[Row], start: int, arguments: dict[str, Any]) -> Any:
        """Call the model; `arguments` hold the ids of these rows from position `start` on."""
        ...

    def next_positions(self, rows: Sequence[Row]) -> Int[Tensor, "*axes b"]:
        """The position of the token that comes after each input."""
        ...

    def is_text(self, input: ModelInput) -> Bool[np.ndarray, "l"]:
        """Which tokens stand for themselves, and not for a part of an image or a clip."""
        ...

    def for_generate(self, rows: Sequence[Row], ids: Int[Tensor, "b l"]) -> dict[str, Tensor]:
        """What `model.generate` needs besides ids, the attention mask, and positions where tokens are hidden."""
        ...

    def trial(self) -> AbstractContextManager[None]:
        """A context after which nothing is remembered of what was read in it."""
        ...


class TextInputs:
    """The inputs of a language model that reads text alone."""

    def __init__(self, model: Any):
        self.model = model

    def symbols(self, rows: Sequence[Row]) -> list[Int[np.ndarray, "_"]]:
        """A number for each token and whether attention may see it."""
        return [text_symbols(row.input) for row in rows]

    def call(self, rows: Sequence[Row], start: int, arguments: dict[str, Any]) -> Any:
        """Call the model."""
        return self.model(**arguments)

    def next_positions(self, rows: Sequence[Row]) -> Int[Tensor, "b"]:
        """The lengths of the inputs."""
        return torch.tensor([len(row.input.ids) for row in rows], device=input_device(self.model))

    def is_text(self, input: ModelInput) -> Bool[np.ndarray, "l"]:
        """All of them."""
        return np.ones(len(input.ids), dtype=bool)

    def for_generate(self, rows: Sequence[Row], ids: Int[Tensor, "b l"]) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def trial(self) -> AbstractContextManager[None]:
        """Nothing is remembered of texts."""
        return nullcontext()


def text_symbols(input: ModelInput) -> Int[np.ndarray, "l"]:
    """A number for each token of a text and whether attention may see it."""
    return input.ids * 2 + (1 if input.seen is None else input.seen.astype(np.int64))
