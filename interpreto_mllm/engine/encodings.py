"""Images, clips and videos as a language model reads them: each state is encoded once a call and kept while there is memory."""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from interpreto_mllm.engine.batches import Batches, Grouping, out_of_memory
from interpreto_mllm.engine.call import PerCall
from interpreto_mllm.engine.counter import ForwardCounter
from interpreto_mllm.engine.decoder_hooks import capture_decoder_inputs
from interpreto_mllm.engine.findings import finding
from interpreto_mllm.engine.rounding import tolerance
from interpreto_mllm.media.state import State
from interpreto_mllm.prompts.processing import TYPES, Processing

MAX_BYTES = 2**30
"""Bytes of encodings that are kept."""

TRIED = 8
"""States in the batch of a trial, of which the first and the last are compared with themselves alone."""

ALONE = "Images or clips in a batch influence each other in this model: each is encoded by itself."

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Encoding:
    """What the encoders make of one state.

    Args:
        state: which it is of.
        embeddings: what stands in the places of its tokens.
        layers: for models that add to the first layers' hidden states too, what each adds.
        numbers: inputs of the model other than pixels and samples, such as the size of a grid, that positions depend on.
        has_positions: whether the model computes positions of its own where there are images.
    """

    state: State
    embeddings: Float[Tensor, "l d"]
    layers: tuple[Float[Tensor, "l d"], ...]
    numbers: dict[str, Shaped[Tensor, "..."]]
    has_positions: bool

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(tensor.numel() * tensor.element_size() for tensor in (self.embeddings, *self.layers))

    def part(self, start: int, end: int) -> Encoding:
        """What stands in some of its places."""
        if (start, end) == (0, len(self.embeddings)):
            return self
        layers = tuple(layer[start:end] for layer in self.layers)
        return replace(self, embeddings=self.embeddings[start:end], layers=layers)

    def equals(self, other: Encoding, allowed: float) -> bool:
        """Whether these are the same numbers up to rounding, by the norms of their differences."""
        pairs = list(zip((self.embeddings, *self.layers), (other.embeddings, *other.layers), strict=True))
        return all(
            one.shape == two.shape and bool((one - two).float().norm() <= allowed * two.float().norm()) for one, two in pairs
        )


class Encodings:
    """Encodes states through the model's own forward, up to its decoder; each call of an explainer keeps its own encodings.

    A call that is evaluated in blocks keeps those of each block, as last digits depend on what else is encoded.

    States whose encodings depend on the batch (tried on the first use of each modality) are encoded one by one.

    Args:
        model: the multimodal model.
        processing: its processor.
        batches: how many states go together.
        counter: counts trials, and is told what they found.
    """

    def __init__(self, model: Any, processing: Processing, batches: Batches, counter: ForwardCounter):
        self.model, self.processing, self.batches, self.counter = model, processing, batches, counter
        self._kept: PerCall[OrderedDict[bytes, Encoding]] = PerCall(OrderedDict, of_block=True)

    def __call__(self, states: Iterable[State]) -> dict[bytes, Encoding]:
        """The encodings of these states, by key."""
        kept = self._kept.value
        wanted = {state.key: state for state in states}
        found = {key: kept[key] for key in wanted if key in kept}
        missing = [state for key, state in wanted.items() if key not in found]
        for modality in dict.fromkeys(state.medium.modality for state in missing):
            same_size: dict[Any, list[State]] = {}
            for state in missing:
                if state.medium.modality == modality:
                    same_size.setdefault(state.size, []).append(state)
            for group in same_size.values():
                self._try_batches(modality, group)
                for batch, encodings in self.batches.run(group, self._encode):
                    found |= {state.key: encoding for state, encoding in zip(batch, encodings, strict=True)}
        for key, encoding in found.items():
            kept[key] = encoding
            kept.move_to_end(key)
        _drop_oldest(kept)
        return found

    @contextmanager
    def trial(self) -> Iterator[None]:
        """Encodings made within are forgotten: what a trial makes in batches of its own changes no later number."""
        kept = self._kept.value
        before = kept.copy()
        try:
            yield
        finally:
            kept.clear()
            kept.update(before)

    def _try_batches(self, modality: str, states: list[State]) -> None:
        """See that states in a batch have the encodings that they have alone; let each go by itself where they have not."""
        if len(states) == 1 or self.batches.size == 1:
            return
        if not finding(self.model, ("encodings", modality), lambda: self._independent(states[:TRIED])):
            self.batches.grouping = Grouping.ALONE
            self.counter.note(ALONE)

    def _independent(self, states: list[State]) -> bool:
        self.counter.tried(3)
        try:
            some, together = next(self.batches.run(states, self._encode))
        except Exception as error:  # a model may refuse a batch in any way it likes: states alone then decide
            if out_of_memory(error):
                raise
            logger.info("%s cannot encode several images or clips at once (%s).", type(self.model).__name__, error)
            return False
        pairs = [(together[place], self._encode([some[place]])[0]) for place in (0, -1)]
        return all(one.equals(other, tolerance(self.model)) for one, other in pairs)

    def _encode(self, states: list[State]) -> list[Encoding]:
        """Encode states of one modality and size, each alone in a row of its own."""
        given = self.processing.bare([[state] for state in states])
        arguments = {name: self.processing.moved(tensor) for name, tensor in given.items()}
        captured = capture_decoder_inputs(self.model, arguments)
        soft = arguments["input_ids"] == self.processing.soft_ids[states[0].medium.modality]
        counts = soft.sum(1).tolist()
        embeddings = captured["inputs_embeds"][soft].split(counts)
        layers = [layer.split(counts) for layer in captured.get("deepstack_visual_embeds") or ()]
        has_positions = captured.get("position_ids") is not None
        return [
            Encoding(
                state,
                embeddings[row].clone(),
                tuple(layer[row].clone() for layer in layers),
                _numbers(arguments, row, len(states)),
                has_positions,
            )
            for row, state in enumerate(states)
        ]


def _drop_oldest(kept: OrderedDict[bytes, Encoding]) -> None:
    used = sum(encoding.size for encoding in kept.values())
    while used > MAX_BYTES and len(kept) > 1:
        used -= kept.popitem(last=False)[1].size


def _numbers(arguments: dict[str, Tensor], row: int, rows: int) -> dict[str, Tensor]:
    """The row's integer tensors, and those with one number for each state; not those with a number per token."""
    of_tokens = {"input_ids", "attention_mask", *TYPES}
    return {
        name: tensor.tensor_split(rows)[row]
        for name, tensor in arguments.items()
        if name not in of_tokens and (tensor.ndim == 1 or not tensor.is_floating_point()) and len(tensor) % rows == 0
    }


def parts_between(
    ids: Int[np.ndarray, "l"], encodings: Sequence[Encoding], soft_ids: dict[str, int], start: int, end: int
) -> list[Encoding]:
    """What fills the places of a prompt from `start` to `end`, in reading order.

    Args:
        ids: the tokens of the prompt.
        encodings: of its images and clips, in their order.
        soft_ids: the token that waits for each modality.
        start, end: a part of the prompt.

    Raises:
        ValueError: where the encodings are not as long as the places for them.
    """
    parts: list[Encoding] = []
    passed = Counter[int]()
    for encoding in encodings:
        soft_id, size = soft_ids[encoding.state.medium.modality], len(encoding.embeddings)
        first = int((ids[:start] == soft_id).sum()) - passed[soft_id]
        last = int((ids[:end] == soft_id).sum()) - passed[soft_id]
        if max(first, 0) < min(last, size):
            parts.append(encoding.part(max(first, 0), min(last, size)))
        passed[soft_id] += size
    for soft_id, filled in passed.items():
        if filled != (places := int((ids == soft_id).sum())):
            raise ValueError(f"encodings of {filled} places for a prompt of {places}")
    return parts


def merged(
    encodings: Sequence[Encoding], ids: Int[Tensor, "b l"], soft_ids: dict[str, int], decoder_inputs: dict[str, Any]
) -> dict[str, Any]:
    """The keyword arguments of a decoder with these encodings, in reading order, in the places that wait for them.

    Raises:
        ValueError: when there are more places than embeddings, or fewer.
    """
    inputs = {**decoder_inputs, "inputs_embeds": decoder_inputs["inputs_embeds"].clone()}
    for soft_id in dict.fromkeys(soft_ids.values()):
        mine = [encoding for encoding in encodings if soft_ids[encoding.state.medium.modality] == soft_id]
        places = (ids == soft_id).to(inputs["inputs_embeds"].device)
        count = sum(len(encoding.embeddings) for encoding in mine)
        if int(places.sum()) != count:
            kinds = " and ".join(modality for modality, other in soft_ids.items() if other == soft_id)
            raise ValueError(f"The prompt has room for {int(places.sum())} embeddings of {kinds}, it comes with {count}.")
        if mine:
            embeddings = torch.cat([encoding.embeddings for encoding in mine])
            inputs["inputs_embeds"][places] = embeddings.to(inputs["inputs_embeds"])
    layered = [encoding for encoding in encodings if encoding.layers]
    if layered:
        fed = [soft_ids[modality] for modality in dict.fromkeys(encoding.state.medium.modality for encoding in layered)]
        inputs["visual_pos_masks"] = torch.isin(ids, torch.tensor(fed, device=ids.device)).to(inputs["inputs_embeds"].device)
        inputs["deepstack_visual_embeds"] = [
            torch.cat(level) for level in zip(*(encoding.layers for encoding in layered), strict=True)
        ]
    return inputs
