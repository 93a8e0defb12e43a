"""Language models that see and hear: each image and clip encoded once, the rest as for any causal model."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.engine.batches import Batches
from interpreto_mllm.engine.causal import CausalEngine
from interpreto_mllm.engine.decoder_hooks import filled, language_model, reach
from interpreto_mllm.engine.encodings import Encoding, Encodings, merged
from interpreto_mllm.engine.queries import Mode, Query, Scored
from interpreto_mllm.prompts.processing import TYPES, Processing

ANSWER_TYPES = {"paligemma": 1}
"""By model type, the type of an answer's tokens where it is not 0: PaliGemma reads type 0 both ways, as a prompt."""

logger = logging.getLogger(__name__)


class MultimodalEngine(CausalEngine):
    """Scores answers to prompts with images and clips.

    The model's encoders are run by themselves, once per distinct state, and their outputs put where they reach the language
    model. Prompts whose values are then not those of the plain path (the processor's tensors and one forward per row; checked
    on the first use for each number of images and clips) are run plainly.

    Args:
        model: the multimodal model, already on its device.
        mode: from logits and target ids to values.
        batch_size: rows in a forward.
        share_prefixes: False for the plain path, which is what the fast path is checked against.
        processing: the model's processor.
    """

    def __init__(self, model: Any, mode: Mode, batch_size: int, share_prefixes: bool = True, *, processing: Processing):
        super().__init__(model, mode, batch_size, share_prefixes)
        self.processing = processing
        self._encodings = Encodings(model, processing, Batches(batch_size))
        self._encodes = share_prefixes and language_model(model) is not None
        self._merges: dict[tuple[str, ...], bool] = {}
        self._types_name = next((name for name in TYPES if name in inspect.signature(model.forward).parameters), None)
        self._heads: dict[bytes, int] = {}

    @property
    def encoded(self) -> int:
        """Images and clips that went through an encoder."""
        return self._encodings.encoded

    def score(self, queries: list[Query]) -> Iterator[Scored]:
        """Values of the target tokens of each query, batch by batch."""
        self._heads.clear()
        plain = [index for index, query in enumerate(queries) if not self._fits(query)]
        for index in plain:
            yield [index], self._outright(queries[index])
        rest = sorted(set(range(len(queries))) - set(plain))
        for indices, values in super().score([queries[index] for index in rest]):
            yield [rest[index] for index in indices], values

    def _fits(self, query: Query) -> bool:
        """Whether encoding its images and clips by themselves gives the plain path's values; known from the first of a kind."""
        if not query.reading.media:
            return True
        kind = tuple(state.medium.modality for state in query.reading.media)
        if kind not in self._merges:
            self._merges[kind] = self._encodes and self._merges_exactly(query)
        return self._merges[kind]

    def _symbols(self, query: Query) -> Int[np.ndarray, "l"]:
        """As for text; what is read up to the last image or clip is shared as a whole or not at all.

        Where nothing comes after it, it is not: its last token predicts the answer, which is never part of a beginning.
        """
        symbols = super()._symbols(query)
        if query.reading.media:
            soft = np.flatnonzero(np.isin(query.reading.ids, list(self.processing.soft_ids.values())))
            head = int(soft[-1]) + 1
            key = symbols[:head].tobytes() + b"".join(state.key for state in query.reading.media)
            key += len(self._heads).to_bytes(8, "little") if head == len(symbols) else b""
            known = self._heads.setdefault(key, len(self._heads))
            symbols = np.concatenate([np.full(head, -1 - known), symbols[head:]])
        return symbols

    def _run(self, rows: list[Query], start: int, arguments: dict[str, Any]) -> Any:
        if not start:
            arguments |= self.types(rows, arguments["input_ids"].shape[1])
        if not any(row.reading.media for row in rows):
            return super()._run(rows, start, arguments)
        found = self._encodings(state for row in rows for state in row.reading.media)
        encodings = [[found[state.key] for state in row.reading.media] for row in rows]
        ids = arguments["input_ids"]
        positions = self._positions(rows, encodings, start, ids.shape[1])
        if positions is not None:
            arguments["position_ids"] = positions
        if start:
            return super()._run(rows, start, arguments)
        flat = [encoding for row in encodings for encoding in row]
        with filled(self.model, lambda kwargs: merged(flat, ids, self.processing.soft_ids, kwargs)):
            return super()._run(rows, start, arguments)

    def types(self, rows: list[Query], length: int) -> dict[str, Tensor]:
        """The type of each token, where the processor or the model tells types apart."""
        of_answers = ANSWER_TYPES.get(self.model.config.model_type, 0)
        if self._types_name is None or not (of_answers or any(row.reading.segments is not None for row in rows)):
            return {}
        types = torch.full((len(rows), length), of_answers)
        for index, row in enumerate(rows):
            segments = np.zeros_like(row.reading.ids) if row.reading.segments is None else row.reading.segments
            types[index, : len(segments)] = torch.from_numpy(segments)[:length]
        return {self._types_name: types.to(self._device)}

    def _positions(
        self, rows: list[Query], encodings: list[list[Encoding]], start: int, length: int
    ) -> Int[Tensor, "... b l"] | None:
        """Positions as the model itself counts them, for models that count otherwise than 0, 1, 2, …."""
        if not any(encoding.placed for row in encodings for encoding in row):
            return None
        each = [self._row_positions(row, known) for row, known in zip(rows, encodings, strict=True)]
        axes = next(positions.shape[:-1] for positions in each if positions is not None)
        plain = torch.arange(start + length, device=self._device).expand(*axes, -1)
        fitted = [_fitted(plain if positions is None else positions, start, length) for positions in each]
        return torch.cat(fitted, dim=-2)

    def _row_positions(self, row: Query, encodings: list[Encoding]) -> Int[Tensor, "... 1 l"] | None:
        """None where they are 0, 1, 2, …."""
        ids = torch.tensor([[*row.reading.ids.tolist(), *row.target[:-1]]], device=self._device)
        facts: dict[str, list[Tensor]] = {}
        for encoding in encodings:
            for name, tensor in encoding.facts.items():
                facts.setdefault(name, []).append(tensor)
        arguments = {name: torch.cat(tensors) for name, tensors in facts.items()}
        arguments |= self.types([row], ids.shape[1])
        reached = reach(self.model, {"input_ids": ids, "attention_mask": torch.ones_like(ids), **arguments})
        return reached.get("position_ids")

    def _outright(self, query: Query) -> Float[Tensor, "1 t"]:
        """The values of one query by one call of the processor and one forward of the model."""
        arguments = self.outright(query)
        self._encodings.encoded += len(query.reading.media)
        self.forwards += 1
        self.tokens += arguments["input_ids"].numel()
        logits = self.model(**arguments).logits[:, len(query.reading.ids) - 1 :]
        return self.mode(logits.float(), torch.tensor([query.target], device=logits.device)).float().cpu()

    def outright(self, query: Query) -> dict[str, Any]:
        """What the plain path gives the model: the prompt as the processor made it, and the target but for its last token."""
        ids = torch.tensor([[*query.reading.ids.tolist(), *query.target[:-1]]], device=self._device)
        media = self.processing.media([query.reading.media]) if query.reading.media else {}
        arguments = {"input_ids": ids, **media, **self.types([query], ids.shape[1])}
        mask = torch.ones_like(ids)
        if query.reading.seen is not None:
            arguments |= self._kept_positions({**arguments, "attention_mask": mask})
            mask[0, : len(query.reading.seen)] = torch.from_numpy(query.reading.seen)
        return {**arguments, "attention_mask": mask}

    def _kept_positions(self, arguments: dict[str, Any]) -> dict[str, Tensor]:
        """Positions as the model counts them with nothing hidden, for models that would skip what is."""
        positions = reach(self.model, arguments).get("position_ids") if language_model(self.model) is not None else None
        return {} if positions is None else {"position_ids": positions}

    def _merges_exactly(self, query: Query) -> bool:
        """Whether encoding by itself gives the plain path's numbers; logged where not."""
        plain = MultimodalEngine._outright(self, query)
        try:
            merging = self._answer([(0, None)], [query])
        except Exception as error:  # a model may refuse to be cut at its seam in any way it likes
            logger.info("%s cannot be given encoded media (%s): using plain forwards.", type(self.model).__name__, error)
            return False
        return self._agrees(merging, plain, "takes encoded media")


def _fitted(positions: Int[Tensor, "... 1 k"], start: int, length: int) -> Int[Tensor, "... 1 l"]:
    """The positions from `start` on, continued to `length`."""
    cut = positions[..., start : start + length]
    more = length - cut.shape[-1]
    if not more:
        return cut
    return torch.cat([cut, cut[..., -1:] + torch.arange(1, more + 1, device=cut.device)], dim=-1)
