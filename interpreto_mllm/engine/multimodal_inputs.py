"""How prompts with images and clips are given to a model: each image and clip encoded once, or all at once by the processor."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import count
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from interpreto_mllm.engine.batches import Batches
from interpreto_mllm.engine.counter import ForwardCounter
from interpreto_mllm.engine.decoder_hooks import capture_decoder_inputs, decoder_of, override_decoder_inputs
from interpreto_mllm.engine.device import input_device
from interpreto_mllm.engine.encodings import Encoding, Encodings, merged, parts_between
from interpreto_mllm.engine.packed_rows import PackedRows
from interpreto_mllm.engine.queries import Row
from interpreto_mllm.engine.signature import forward_parameters
from interpreto_mllm.engine.text_inputs import next_places, text_symbols
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.processing import TYPES, Processing

ANSWER_TYPES = {"paligemma": 1}
"""By model type, the type of an answer's tokens where it is not 0: PaliGemma reads type 0 both ways, as a prompt."""

Filled = tuple[ModelInput, list[Encoding], int, int]
"""A prompt, the encodings of its images and clips, and which part of it is read."""


class MultimodalInputs:
    """The inputs of a language model that reads images and clips too.

    The model's encoders are run by themselves, once per distinct state, and their outputs put where the decoder reads them.

    Args:
        model: the multimodal model, already on its device.
        processing: its processor.
        batch_size: images or clips that are encoded together.
        counter: counts trials, and is told what they found.
    """

    def __init__(self, model: Any, processing: Processing, batch_size: int, counter: ForwardCounter | None = None):
        self.model, self.processing = model, processing
        self.device = input_device(model)
        self._encodings = Encodings(model, processing, Batches(batch_size), ForwardCounter() if counter is None else counter)
        self._ends = count(1)
        self._types_name = next((name for name in TYPES if name in forward_parameters(model)), None)

    @property
    def can_merge(self) -> bool:
        """Whether the model has a decoder that encodings can be given to."""
        return decoder_of(self.model) is not None

    def symbols(self, rows: Sequence[Row]) -> list[Int[np.ndarray, "_"]]:
        """As for text; what is read up to the last image or clip is shared as a whole or not at all.

        Where nothing comes after it, it is not: its last token predicts the answer, which is never part of a prefix.
        """
        heads: dict[bytes, int] = {}
        return [self._symbols(row.input, heads) for row in rows]

    def _symbols(self, input: ModelInput, heads: dict[bytes, int]) -> Int[np.ndarray, "l"]:
        symbols = text_symbols(input)
        if not input.media:
            return symbols
        head = int(np.flatnonzero(~self.is_text(input))[-1]) + 1
        key = symbols[:head].tobytes() + b"".join(state.key for state in input.media)
        key += len(heads).to_bytes(8, "little") if head == len(symbols) else b""
        known = heads.setdefault(key, len(heads))
        return np.concatenate([np.full(head, -1 - known), symbols[head:]])

    def lasting(self, rows: Sequence[Row], symbols: list[Int[np.ndarray, "_"]]) -> list[Int[np.ndarray, "_"]]:
        """What is read up to the last image or clip by a number made of its content."""
        return [self._lasting(row.input, each) if row.input.media else each for row, each in zip(rows, symbols, strict=True)]

    def _lasting(self, input: ModelInput, symbols: Int[np.ndarray, "l"]) -> Int[np.ndarray, "l"]:
        read = text_symbols(input)
        ends = next(self._ends) if not self.is_text(input)[-1] else 0
        key = read[: int((symbols < 0).sum())].tobytes() + b"".join(state.key for state in input.media) + ends.to_bytes(8)
        return np.where(symbols < 0, -1 - int.from_bytes(hashlib.blake2b(key, digest_size=7).digest()), symbols)

    def is_text(self, input: ModelInput) -> Bool[np.ndarray, "l"]:
        """Those that are no placeholders of images and clips."""
        return ~np.isin(input.ids, list(self.processing.soft_ids.values()))

    def call(self, rows: Sequence[Row], start: int, arguments: dict[str, Any]) -> Any:
        """Call the model with the encodings of the rows' images and clips in their places."""
        ids = arguments["input_ids"]
        if not start:
            arguments |= self.types([row.input for row in rows], ids.shape[1])
        if not any(row.input.media for row in rows):
            return self.model(**arguments)
        encodings = self._encodings_of(rows)
        positions = self._positions(rows, encodings, start, ids.shape[1])
        if positions is not None:
            arguments["position_ids"] = positions
        return self._call(
            [(row.input, of_row, start, start + ids.shape[1]) for row, of_row in zip(rows, encodings, strict=True)], arguments
        )

    def call_packed(self, rows: PackedRows, arguments: dict[str, Any]) -> Any:
        """Call the model on rows of several prompts; what they share of images and clips stands there once."""
        queries = rows.queries
        if not rows.start:
            arguments |= self._packed_types(rows)
        if not any(query.input.media for query in queries):
            return self.model(**arguments)
        encodings = self._encodings_of(queries)
        if any(encoding.has_positions for of_query in encodings for encoding in of_query):
            arguments["position_ids"] = self._packed_positions(rows, encodings).to(self.device)
        filled: list[Filled] = []
        for owner, (query, of_query) in enumerate(zip(queries, encodings, strict=True)):
            places = rows.places[rows.owners == owner]
            filled.append((query.input, of_query, int(places.min()), int(places.max()) + 1))
        return self._call(filled, arguments)

    def _call(self, filled: Sequence[Filled], arguments: dict[str, Any]) -> Any:
        """Call the model with encodings in the places that wait for them."""
        soft_ids = self.processing.soft_ids
        parts = [
            part
            for input, encodings, start, end in filled
            for part in parts_between(input.ids, encodings, soft_ids, start, end)
        ]
        if not parts:
            return self.model(**arguments)
        with override_decoder_inputs(self.model, lambda kwargs: merged(parts, arguments["input_ids"], soft_ids, kwargs)):
            return self.model(**arguments)

    def next_positions(self, rows: Sequence[Row]) -> Int[Tensor, "*axes b"]:
        """The position of the token that comes after each input, as the model counts them."""
        lengths = torch.tensor([len(row.input.ids) for row in rows], device=self.device)
        positions = self._positions(rows, self._encodings_of(rows), 0, int(lengths.max()))
        if positions is None:
            return next_places([row.input for row in rows]).to(self.device)
        return positions[..., torch.arange(len(rows), device=self.device), lengths - 1] + 1

    def for_generate(self, rows: Sequence[Row], ids: Int[Tensor, "b l"]) -> dict[str, Tensor]:
        """The processor's tensors of images and clips, token types, and positions where tokens are hidden."""
        if not rows[0].input.media:
            return {}
        inputs = [row.input for row in rows]
        given = {**self.processing.media([input.media for input in inputs]), **self.types(inputs, ids.shape[1])}
        if any(input.seen is not None for input in inputs):
            given |= self._unmasked_positions({"input_ids": ids, "attention_mask": torch.ones_like(ids), **given})
        return given

    def reads_types(self, rows: Sequence[Row]) -> bool:
        """No: types tell images and clips from text, and an answer is text."""
        return False

    def trial(self) -> AbstractContextManager[None]:
        """A context after which the encodings are those that there were before."""
        return self._encodings.trial()

    def plain_inputs(self, input: ModelInput, continuation: Sequence[int] = ()) -> dict[str, Any]:
        """The arguments of the plain forward: the prompt as the processor made it, and what is read after it."""
        ids = torch.tensor([[*input.ids.tolist(), *continuation]], device=self.device)
        media = self.processing.media([input.media]) if input.media else {}
        arguments = {"input_ids": ids, **media, **self.types([input], ids.shape[1])}
        mask = torch.ones_like(ids)
        if input.seen is not None:
            arguments |= self._unmasked_positions({**arguments, "attention_mask": mask})
            mask[0, : len(input.seen)] = torch.from_numpy(input.seen)
        if input.positions is not None:
            arguments["position_ids"] = torch.from_numpy(input.places(len(continuation)))[None].to(self.device)
        return {**arguments, "attention_mask": mask}

    def types(self, inputs: Sequence[ModelInput], length: int) -> dict[str, Int[Tensor, "b l"]]:
        """The type of each token, under the name that the model has for it; nothing where it does not distinguish types."""
        of_answers = ANSWER_TYPES.get(self.model.config.model_type, 0)
        if self._types_name is None or not (of_answers or any(input.segments is not None for input in inputs)):
            return {}
        types = torch.full((len(inputs), length), of_answers)
        for row, input in enumerate(inputs):
            segments = np.zeros_like(input.ids) if input.segments is None else input.segments
            types[row, : len(segments)] = torch.from_numpy(segments)[:length]
        return {self._types_name: types.to(self.device)}

    def _encodings_of(self, rows: Sequence[Row]) -> list[list[Encoding]]:
        found = self._encodings(state for row in rows for state in row.input.media)
        return [[found[state.key] for state in row.input.media] for row in rows]

    def _positions(
        self, rows: Sequence[Row], encodings: list[list[Encoding]], start: int, length: int
    ) -> Int[Tensor, "*axes b l"] | None:
        """Positions as the model itself counts them, for models that count otherwise than 0, 1, 2, …."""
        if not any(encoding.has_positions for row in encodings for encoding in row):
            return None
        each = [self._row_positions(row, of_row) for row, of_row in zip(rows, encodings, strict=True)]
        axes = next(positions.shape[:-1] for positions in each if positions is not None)
        plain = torch.arange(start + length, device=self.device).expand(*axes, -1)
        fitted = [_fitted(plain if positions is None else positions, start, length) for positions in each]
        return torch.cat(fitted, dim=-2)

    def _row_positions(self, row: Row, encodings: list[Encoding]) -> Int[Tensor, "*axes 1 l"] | None:
        """None where they are 0, 1, 2, …."""
        ids = torch.tensor([[*row.input.ids.tolist(), *row.continuation]], device=self.device)
        grouped: dict[str, list[Tensor]] = {}
        for encoding in encodings:
            for name, tensor in encoding.numbers.items():
                grouped.setdefault(name, []).append(tensor)
        arguments = {name: torch.cat(tensors) for name, tensors in grouped.items()}
        arguments |= self.types([row.input], ids.shape[1])
        captured = capture_decoder_inputs(self.model, {"input_ids": ids, "attention_mask": torch.ones_like(ids), **arguments})
        return captured.get("position_ids")

    def _packed_positions(self, rows: PackedRows, encodings: list[list[Encoding]]) -> Int[Tensor, "*axes b l"]:
        """Positions of packed rows, each as the model counts it in its own prompt."""
        each = [self._row_positions(query, of_query) for query, of_query in zip(rows.queries, encodings, strict=True)]
        axes = next(positions.shape[:-2] for positions in each if positions is not None)
        plain = [torch.arange(query.length).expand(*axes, 1, -1) for query in rows.queries]
        counted = [other if positions is None else positions for positions, other in zip(each, plain, strict=True)]
        return rows.laid_out([positions[..., 0, :].cpu().numpy() for positions in counted])

    def _packed_types(self, rows: PackedRows) -> dict[str, Int[Tensor, "b l"]]:
        """The types of packed rows."""
        longest = max(query.length for query in rows.queries)
        types = self.types([query.input for query in rows.queries], longest)
        return {name: rows.laid_out(list(each.cpu().numpy())).to(self.device) for name, each in types.items()}

    def _unmasked_positions(self, arguments: dict[str, Any]) -> dict[str, Tensor]:
        """Positions as the model counts them with nothing hidden, for models that would skip what is."""
        positions = capture_decoder_inputs(self.model, arguments).get("position_ids") if self.can_merge else None
        return {} if positions is None else {"position_ids": positions}


def _fitted(positions: Int[Tensor, "*axes 1 known"], start: int, length: int) -> Int[Tensor, "*axes 1 l"]:
    """The positions from `start` on, continued to `length`."""
    cut = positions[..., start : start + length]
    more = length - cut.shape[-1]
    if not more:
        return cut
    return torch.cat([cut, cut[..., -1:] + torch.arange(1, more + 1, device=cut.device)], dim=-1)
