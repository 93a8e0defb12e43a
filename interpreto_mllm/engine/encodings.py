"""Images and clips as a language model reads them: each distinct state is encoded once and kept while there is memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from interpreto_mllm.engine.batches import Batches
from interpreto_mllm.engine.decoder_hooks import capture_decoder_inputs
from interpreto_mllm.media.state import State
from interpreto_mllm.prompts.processing import TYPES, Processing

MAX_BYTES = 2**30
"""Bytes of encodings that are kept."""


@dataclass(frozen=True, eq=False)
class Encoding:
    """What the encoders make of one state.

    Args:
        state: which it is of.
        embeddings: what stands in the places of its tokens.
        layers: for models that add to the first layers' hidden states too, what each adds.
        whole_numbers: integer inputs of the model, such as the size of a grid, that positions depend on.
        has_positions: whether the model computes positions of its own where there are images.
    """

    state: State
    embeddings: Float[Tensor, "l d"]
    layers: tuple[Float[Tensor, "l d"], ...]
    whole_numbers: dict[str, Shaped[Tensor, "..."]]
    has_positions: bool

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(tensor.numel() * tensor.element_size() for tensor in (self.embeddings, *self.layers))


class Encodings:
    """Encodes states through the model's own forward, up to its decoder.

    Args:
        model: the multimodal model.
        processing: its processor.
        batches: how many states go together.
    """

    def __init__(self, model: Any, processing: Processing, batches: Batches):
        self.model, self.processing, self.batches = model, processing, batches
        self._kept: OrderedDict[bytes, Encoding] = OrderedDict()

    def __call__(self, states: Iterable[State]) -> dict[bytes, Encoding]:
        """The encodings of these states, by key."""
        wanted = {state.key: state for state in states}
        found = {key: self._kept[key] for key in wanted if key in self._kept}
        missing = [state for key, state in wanted.items() if key not in found]
        for modality in dict.fromkeys(state.medium.modality for state in missing):
            same_size: dict[Any, list[State]] = {}
            for state in missing:
                if state.medium.modality == modality:
                    same_size.setdefault(state.size, []).append(state)
            for group in same_size.values():
                for batch, encodings in self.batches.run(group, self._encode):
                    found |= {state.key: encoding for state, encoding in zip(batch, encodings, strict=True)}
        for key, encoding in found.items():
            self._kept[key] = encoding
            self._kept.move_to_end(key)
        self._drop_oldest()
        return found

    @contextmanager
    def trial(self) -> Iterator[None]:
        """Encodings made within are forgotten: what a trial makes in batches of its own changes no later number."""
        before = self._kept.copy()
        try:
            yield
        finally:
            self._kept = before

    def _drop_oldest(self) -> None:
        used = sum(encoding.size for encoding in self._kept.values())
        while used > MAX_BYTES and len(self._kept) > 1:
            used -= self._kept.popitem(last=False)[1].size

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
                _whole_numbers(arguments, row, len(states)),
                has_positions,
            )
            for row, state in enumerate(states)
        ]


def _whole_numbers(arguments: dict[str, Tensor], row: int, rows: int) -> dict[str, Tensor]:
    """The row's integer tensors, other than those with a number per token."""
    of_tokens = {"input_ids", "attention_mask", *TYPES}
    return {
        name: tensor.tensor_split(rows)[row]
        for name, tensor in arguments.items()
        if name not in of_tokens and not tensor.is_floating_point() and len(tensor) % rows == 0
    }


def merged(
    encodings: Sequence[Encoding], ids: Int[Tensor, "b l"], soft_ids: dict[str, int], decoder_inputs: dict[str, Any]
) -> dict[str, Any]:
    """The keyword arguments of a decoder with these encodings, in reading order, in the places that wait for them.

    Raises:
        ValueError: when there are more places than embeddings, or fewer.
    """
    inputs = {**decoder_inputs, "inputs_embeds": decoder_inputs["inputs_embeds"].clone()}
    for modality, soft_id in soft_ids.items():
        of_modality = [encoding for encoding in encodings if encoding.state.medium.modality == modality]
        places = (ids == soft_id).to(inputs["inputs_embeds"].device)
        count = sum(len(encoding.embeddings) for encoding in of_modality)
        if int(places.sum()) != count:
            raise ValueError(f"The prompt has room for {int(places.sum())} embeddings of {modality}, it comes with {count}.")
        if of_modality:
            embeddings = torch.cat([encoding.embeddings for encoding in of_modality])
            inputs["inputs_embeds"][places] = embeddings.to(inputs["inputs_embeds"])
        if of_modality and of_modality[0].layers:
            inputs["visual_pos_masks"] = places
            inputs["deepstack_visual_embeds"] = [
                torch.cat(level) for level in zip(*(encoding.layers for encoding in of_modality), strict=True)
            ]
    return inputs
