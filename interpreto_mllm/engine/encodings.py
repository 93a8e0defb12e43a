"""Images and clips as a language model reads them: each distinct state is encoded once and kept while there is room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from interpreto_mllm.engine.batches import Batches
from interpreto_mllm.engine.decoder_hooks import reach
from interpreto_mllm.media.state import State
from interpreto_mllm.prompts.processing import TYPES, Processing

ROOM = 2**30
"""Bytes of encodings that are kept."""


@dataclass(frozen=True, eq=False)
class Encoding:
    """What the encoders make of one state.

    Args:
        state: which it is of.
        embeddings: what stands in the place of its tokens.
        layers: for models that add to the first layers' hidden states too, what each adds.
        facts: whole-number inputs of the model, such as the size of a grid, that positions depend on.
        placed: whether the model computes positions of its own where there are images.
    """

    state: State
    embeddings: Float[Tensor, "k d"]
    layers: tuple[Float[Tensor, "k d"], ...]
    facts: dict[str, Shaped[Tensor, "..."]]
    placed: bool

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(tensor.numel() * tensor.element_size() for tensor in (self.embeddings, *self.layers))


class Encodings:
    """Encodes states through the model's own forward, up to its language model.

    Args:
        model: the multimodal model.
        processing: its processor.
        batches: how many states go together.
    """

    def __init__(self, model: Any, processing: Processing, batches: Batches):
        self.model, self.processing, self.batches = model, processing, batches
        self.encoded = 0
        self._kept: OrderedDict[bytes, Encoding] = OrderedDict()

    def __call__(self, states: Iterable[State]) -> dict[bytes, Encoding]:
        """The encodings of these states, by key."""
        wanted = {state.key: state for state in states}
        found = {key: self._kept[key] for key in wanted if key in self._kept}
        missing = [state for key, state in wanted.items() if key not in found]
        for modality in dict.fromkeys(state.medium.modality for state in missing):
            alike = [state for state in missing if state.medium.modality == modality]
            by_size: dict[Any, list[State]] = {}
            for state in alike:
                by_size.setdefault(state.size, []).append(state)
            for group in by_size.values():
                for batch, encodings in self.batches.run(group, self._encode):
                    found |= {state.key: encoding for state, encoding in zip(batch, encodings, strict=True)}
        for key, encoding in found.items():
            self._kept[key] = encoding
            self._kept.move_to_end(key)
        self._make_room()
        return found

    def _make_room(self) -> None:
        used = sum(encoding.size for encoding in self._kept.values())
        while used > ROOM and len(self._kept) > 1:
            used -= self._kept.popitem(last=False)[1].size

    def _encode(self, states: list[State]) -> list[Encoding]:
        """Encode states of one modality and size, each alone in a row of its own."""
        given = self.processing.bare([[state] for state in states])
        arguments = {name: self.processing.moved(tensor) for name, tensor in given.items()}
        reached = reach(self.model, arguments)
        self.encoded += len(states)
        soft = arguments["input_ids"] == self.processing.soft_ids[states[0].medium.modality]
        counts = soft.sum(1).tolist()
        embeddings = reached["inputs_embeds"][soft].split(counts)
        layers = [layer.split(counts) for layer in reached.get("deepstack_visual_embeds") or ()]
        facts = [self._facts(arguments, row, len(states)) for row in range(len(states))]
        placed = reached.get("position_ids") is not None
        return [
            Encoding(state, embeddings[row].clone(), tuple(layer[row].clone() for layer in layers), facts[row], placed)
            for row, state in enumerate(states)
        ]

    @staticmethod
    def _facts(arguments: dict[str, Tensor], row: int, rows: int) -> dict[str, Tensor]:
        """The row's whole-number tensors, other than those with a number per token."""
        known = {"input_ids", "attention_mask", *TYPES}
        return {
            name: tensor.tensor_split(rows)[row]
            for name, tensor in arguments.items()
            if name not in known and not tensor.is_floating_point() and len(tensor) % rows == 0
        }


def merged(
    encodings: Sequence[Encoding], ids: Int[Tensor, "b l"], soft_ids: dict[str, int], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """The keyword arguments of a language model with these encodings, in reading order, in the places that wait for them.

    Raises:
        ValueError: when there are more places than embeddings, or fewer.
    """
    filled = {**kwargs, "inputs_embeds": kwargs["inputs_embeds"].clone()}
    for modality, soft_id in soft_ids.items():
        mine = [encoding for encoding in encodings if encoding.state.medium.modality == modality]
        places = (ids == soft_id).to(filled["inputs_embeds"].device)
        count = sum(len(encoding.embeddings) for encoding in mine)
        if int(places.sum()) != count:
            raise ValueError(f"The prompt has room for {int(places.sum())} embeddings of {modality}, it comes with {count}.")
        if mine:
            embeddings = torch.cat([encoding.embeddings for encoding in mine])
            filled["inputs_embeds"][places] = embeddings.to(filled["inputs_embeds"])
        if mine and mine[0].layers:
            filled["visual_pos_masks"] = places
            filled["deepstack_visual_embeds"] = [torch.cat(level) for level in zip(*(e.layers for e in mine), strict=True)]
    return filled
