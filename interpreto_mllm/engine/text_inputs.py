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
from interpreto_mllm.engine.packed_rows import PackedRows
from interpreto_mllm.engine.queries import Row
from interpreto_mllm.engine.signature import forward_parameters
from interpreto_mllm.prompts.model_input import ModelInput


@runtime_checkable
class RowInputs(Protocol):
    """How the rows of a forward are given to a model, beyond their token ids."""

    def symbols(self, rows: Sequence[Row]) -> list[Int[np.ndarray, "_"]]:
        """For each row one number per token of its input; equal numbers stand for what the model reads equally."""
        ...

    def lasting(self, rows: Sequence[Row], symbols: list[Int[np.ndarray, "_"]]) -> list[Int[np.ndarray, "_"]]:
        """The symbols of some rows as numbers that stand for the same in every round of a call."""
        ...

    def call(self, rows: Sequence[Row], start: int, arguments: dict[str, Any]) -> Any:
        """Call the model; `arguments` hold the ids of these rows from position `start` on."""
        ...

    def call_packed(self, rows: PackedRows, arguments: dict[str, Any]) -> Any:
        """Call the model on rows of several prompts."""
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

    def reads_types(self, rows: Sequence[Row]) -> bool:
        """Whether some of these come with types of tokens that are read in answers too."""
        ...

    def trial(self) -> AbstractContextManager[None]:
        """A context after which nothing is remembered of what was read in it."""
        ...


class TextInputs:
    """The inputs of a language model that reads text alone."""

    def __init__(self, model: Any):
        self.model = model
        accepted = forward_parameters(model)
        self._takes_positions, self._takes_types = "position_ids" in accepted, "token_type_ids" in accepted

    def symbols(self, rows: Sequence[Row]) -> list[Int[np.ndarray, "_"]]:
        """A number for each token, its type, where it stands, and whether attention may see it."""
        return [text_symbols(row.input) for row in rows]

    def lasting(self, rows: Sequence[Row], symbols: list[Int[np.ndarray, "_"]]) -> list[Int[np.ndarray, "_"]]:
        """They are such numbers."""
        return symbols

    def call(self, rows: Sequence[Row], start: int, arguments: dict[str, Any]) -> Any:
        """Call the model, with the types of tokens where prompts have some."""
        return self.model(**arguments, **self._types(rows, start, arguments["input_ids"].shape[1]))

    def call_packed(self, rows: PackedRows, arguments: dict[str, Any]) -> Any:
        """Call the model; prompts with types of tokens are not packed."""
        return self.model(**arguments)

    def next_positions(self, rows: Sequence[Row]) -> Int[Tensor, "b"]:
        """The lengths of the inputs, where no positions are given."""
        return next_places([row.input for row in rows]).to(input_device(self.model))

    def is_text(self, input: ModelInput) -> Bool[np.ndarray, "l"]:
        """All of them."""
        return np.ones(len(input.ids), dtype=bool)

    def for_generate(self, rows: Sequence[Row], ids: Int[Tensor, "b l"]) -> dict[str, Tensor]:
        """The types of tokens, where prompts have some."""
        return self._types(rows, 0, ids.shape[1])

    def reads_types(self, rows: Sequence[Row]) -> bool:
        """Whether some of these come with types of tokens that the model reads."""
        return self._takes_types and any(row.input.segments is not None for row in rows)

    def plain_inputs(self, row: Row) -> dict[str, Tensor]:
        """The arguments of a plain forward over one row."""
        ids = torch.tensor([[*row.input.ids.tolist(), *row.continuation]], device=input_device(self.model))
        arguments = {"input_ids": ids, **self._types([row], 0, ids.shape[1])}
        if row.input.seen is None and row.input.positions is None:
            return arguments
        if self._takes_positions:
            arguments["position_ids"] = torch.from_numpy(row.input.places(len(row.continuation)))[None].to(ids.device)
        mask = torch.ones_like(ids)
        if row.input.seen is not None:
            mask[0, : len(row.input.seen)] = torch.from_numpy(row.input.seen)
        return {**arguments, "attention_mask": mask}

    def _types(self, rows: Sequence[Row], start: int, length: int) -> dict[str, Int[Tensor, "b l"]]:
        """The types of tokens from place `start` on; those of an answer are of the type of the prompt's last token."""
        if not self.reads_types(rows):
            return {}
        each = []
        for input in (row.input for row in rows):
            types = np.zeros_like(input.ids) if input.segments is None else input.segments
            each.append(np.pad(types, (0, max(start + length - len(types), 0)), mode="edge")[start : start + length])
        return {"token_type_ids": torch.from_numpy(np.stack(each)).to(input_device(self.model))}

    def trial(self) -> AbstractContextManager[None]:
        """Nothing is remembered of texts."""
        return nullcontext()


def text_symbols(input: ModelInput) -> Int[np.ndarray, "l"]:
    """A number for each token of a text, its type, where it stands, and whether attention may see it."""
    symbols = input.ids * 2 + (1 if input.seen is None else input.seen.astype(np.int64))
    for part, bits in ((input.positions, 32), (input.segments, 56)):
        symbols = symbols if part is None else symbols + ((part + 1) << bits)
    return symbols


def next_places(inputs: Sequence[ModelInput]) -> Int[Tensor, "b"]:
    """The position of the token that comes after each text."""
    return torch.tensor([int(input.places(1)[-1]) for input in inputs])
