"""Encodings from a tokenizer or processor: their prompts, and the images and clips of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from interpreto_mllm.core.numbers import is_whole
from interpreto_mllm.media.encoded import Encoded, Tensors
from interpreto_mllm.prompts.processing import TYPES, Processing

PER_TOKEN = ("input_ids", "attention_mask", "position_ids", *TYPES)
UNUSED = (
    "labels",
    "length",
    "num_truncated_tokens",
    "offset_mapping",
    "overflow_to_sample_mapping",
    "special_tokens_mask",
    "text_replacement_offsets",
)
"""Further entries that tokenizers and processors return and models do not need."""


@dataclass(frozen=True, eq=False)
class EncodedPrompt:
    """A prompt in an encoding, without its padding.

    Args:
        ids: as the tokenizer returned them; empty for a model that takes no text.
        types: a number per token that distinguishes kinds of tokens, if there is one.
        media: the images and the clips.
        seen: which tokens attention may see, where the mask hides some between others; None for all.
        positions: where the tokens stand, if that was given.
    """

    ids: Int[np.ndarray, "l"]
    types: Int[np.ndarray, "l"] | None
    media: tuple[Encoded, ...]
    seen: Bool[np.ndarray, "l"] | None = None
    positions: Int[np.ndarray, "l"] | None = None


def encoded_prompts(encoding: Mapping[str, Any], processing: Processing) -> list[EncodedPrompt]:
    """The prompts in an encoding.

    Raises:
        ValueError: for an encoding without ids or with an empty row, and when its images and clips cannot be read or cannot be
            assigned to rows.
    """
    given = {name: value for name, value in encoding.items() if name not in UNUSED}
    if not processing.reads_text:
        return _without_text(given, processing)
    if "input_ids" not in encoding:
        raise ValueError(f"An encoding needs 'input_ids'; this mapping has {sorted(encoding)}.")
    media = {name: _tensor(name, value) for name, value in given.items() if name not in PER_TOKEN}
    unread = [name for name in media if not processing.modalities or ("video" in name and not processing.video_processor)]
    if unread:
        name = type(processing.processor).__name__
        hint = "" if processing.modalities else ": give the model's processor as the second argument"
        raise ValueError(f"The encoding holds {unread[0]}, which cannot be explained with {name}{hint}.")
    texts = [_text(encoding, row) for row in range(_count(encoding["input_ids"]))]
    split: list[list[Encoded]] = [[] for _ in texts]
    for modality in processing.modalities:
        mine = {name: tensor for name, tensor in media.items() if _modality(name, processing) == modality}
        if mine:
            for row, encoded in enumerate(_split(modality, mine, texts, processing)):
                split[row].append(encoded)
    if processing.side_by_side and not all(split):
        raise ValueError("This model reads an image beside a text: give what its processor makes of both.")
    positions = [_positions(encoding, row, mine) for row, mine in enumerate(split)]
    return [
        EncodedPrompt(ids, types, tuple(mine), seen, stand)
        for (ids, _, types, seen), mine, stand in zip(texts, split, positions, strict=True)
    ]


Text = tuple[Int[np.ndarray, "_"], str, Int[np.ndarray, "_"] | None, Bool[np.ndarray, "_"] | None]
"""Ids, name and values of the types of tokens, and which tokens are seen, None for all."""


def _text(encoding: Mapping[str, Any], row: int) -> Text:
    """A row without the padding around it. Tokens within it that the mask hides stay where they are."""
    ids = _row(encoding["input_ids"], row)
    if ids.ndim != 1:
        shape = tuple(np.shape(encoding["input_ids"]))
        raise ValueError(f"'input_ids' of the encoding has the shape {shape}: give (tokens,) or (rows, tokens).")
    for name in ("attention_mask", "position_ids", *TYPES):
        if name in encoding and _row(encoding[name], row).shape != ids.shape:
            count = len(_row(encoding[name], row))
            raise ValueError(f"Row {row} of the encoding has {len(ids)} ids and {count} entries of {name!r}: they must match.")
    mask, kept = _mask(encoding, row)
    name = next((name for name in TYPES if name in encoding), "")
    return ids[kept], name, _row(encoding[name], row)[kept] if name else None, None if mask[kept].all() else mask[kept]


def _mask(encoding: Mapping[str, Any], row: int) -> tuple[Bool[np.ndarray, "_"], slice]:
    """Which tokens of a row the mask lets through, and from the first to the last of them."""
    ones = np.ones(len(_row(encoding["input_ids"], row)), dtype=bool)
    mask = _row(encoding["attention_mask"], row) > 0 if "attention_mask" in encoding else ones
    if not mask.any():
        raise ValueError(f"Row {row} of the encoding is empty: it has no ids that its attention mask lets through.")
    first, last = np.flatnonzero(mask)[[0, -1]]
    return mask, slice(first, last + 1)


def _positions(encoding: Mapping[str, Any], row: int, media: Sequence[Encoded]) -> Int[np.ndarray, "l"] | None:
    """Where the tokens of a row stand, None where that is not given.

    Raises:
        ValueError: for negative positions, and beside images and clips for others than 0, 1, 2, ….
    """
    if "position_ids" not in encoding:
        return None
    given = _row(encoding["position_ids"], row)[_mask(encoding, row)[1]]
    if given.min() < 0:
        raise ValueError(f"Row {row} of the encoding has the position {given.min()}: positions count from 0.")
    if not media:
        return given
    if (given != np.arange(len(given))).any():
        raise ValueError(
            f"Row {row} of the encoding has positions of its own beside images or clips, which take places that only the model "
            "counts: leave 'position_ids' out."
        )
    return None


def _split(modality: str, tensors: Tensors, texts: list[Text], processing: Processing) -> list[Encoded]:
    """What belongs to each row of the images, or of the clips."""
    soft = [ids == processing.soft_ids.get(modality, -1) for ids, *_ in texts]
    around = [_around(text, held) for text, held in zip(texts, soft, strict=True)]
    if len(texts) == 1:
        return [Encoded(modality, tensors, _pieces(tensors, soft[0]), around[0])]
    edges = _edges(tensors)
    alike = all(len(tensor) == len(texts) for name, tensor in tensors.items() if name not in edges)
    if not alike or any(len(ends) != len(texts) + 1 for ends in edges.values()) or not all(held.any() for held in soft):
        raise ValueError(
            f"The encoding has {len(texts)} rows, and it is not clear to which its {', '.join(tensors)} belong: explain one "
            "row at a time."
        )
    each = []
    for row in range(len(texts)):
        spans = {name: slice(*edges[name][row : row + 2]) if name in edges else slice(row, row + 1) for name in tensors}
        mine = {name: tensor[spans[name]] for name, tensor in tensors.items()}
        each.append(Encoded(modality, mine, {name: (0, len(mine[name])) for name in edges}, around[row]))
    return each


def _pieces(tensors: Tensors, soft: Bool[np.ndarray, "l"]) -> dict[str, tuple[int, ...]]:
    """Where each image or clip starts in the tensors of its row; all are one piece when that is not known.

    It is known when there is a grid for each, or as many entries as sizes or as runs of placeholder tokens.
    """
    edges = _edges(tensors)
    counts = {len(ends) - 1 for ends in edges.values()}
    runs = int(np.diff(soft.astype(int), prepend=0).clip(0).sum())
    known = {runs, *(len(tensor) for name, tensor in tensors.items() if name.endswith(("grid_thw", "image_sizes")))}
    return edges if len(counts) == 1 and counts <= known else {name: (0, ends[-1]) for name, ends in edges.items()}


def _edges(tensors: Tensors) -> dict[str, tuple[int, ...]]:
    """Where the entries of each float tensor start: one each, or as many as a grid has cells. Seconds are no pixels."""
    grid = next((tensor for name, tensor in tensors.items() if name.endswith("grid_thw")), None)
    edges = {}
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.ndim > 1 and not name.endswith("mask"):
            cells = None if grid is None else (0, *grid.prod(1).cumsum(0).tolist())
            edges[name] = cells if cells is not None and cells[-1] == len(tensor) else tuple(range(len(tensor) + 1))
    return edges


def _around(text: Text, soft: Bool[np.ndarray, "l"]) -> Tensors:
    """The tensors with a number per token, for the placeholder tokens of images or clips and the marks around them."""
    ids, name, types, _ = text
    kept = np.convolve(soft, (1, 1, 1), mode="same") > 0
    given = {"input_ids": ids, "attention_mask": np.ones_like(ids)} | ({} if types is None else {name: types})
    return {key: torch.from_numpy(values[kept])[None] for key, values in given.items()}


def _without_text(given: Mapping[str, Any], processing: Processing) -> list[EncodedPrompt]:
    """The prompts in an encoding for a model that takes no text."""
    if "input_ids" in given or not given:
        name = type(processing.processor).__name__
        raise ValueError(f"This model reads no text: give what {name} makes of an image or a clip; got {sorted(given)}.")
    tensors = {name: _tensor(name, value) for name, value in given.items()}
    count = len(next(iter(tensors.values())))
    if any(len(tensor) != count for tensor in tensors.values()):
        raise ValueError(f"The tensors {', '.join(tensors)} of the encoding have different numbers of rows.")
    each = [{name: tensor[row : row + 1] for name, tensor in tensors.items()} for row in range(count)]
    media = [Encoded(processing.modalities[0], mine, dict.fromkeys(_edges(mine), (0, 1))) for mine in each]
    return [EncodedPrompt(np.zeros(0, dtype=np.int64), None, (encoded,)) for encoded in media]


def _modality(name: str, processing: Processing) -> str:
    """The modality of a tensor: by its name if the model takes several."""
    if len(processing.modalities) == 1:
        return processing.modalities[0]
    if any(word in name for word in ("video", "second_per_grid")):
        return "video"
    return "audio" if any(word in name for word in ("audio", "feature", "input_values")) else "image"


def _tensor(name: str, value: Any) -> Tensor:
    try:
        tensor = torch.as_tensor(np.asarray(value) if isinstance(value, (list, tuple)) else value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{name!r} of the encoding cannot be read as one tensor: call the processor with return_tensors='pt'."
        ) from error
    if not tensor.ndim:
        raise ValueError(f"{name!r} of the encoding is a single number: it is not known what the model should do with it.")
    return tensor


def _count(ids: Any) -> int:
    return len(ids) if _nested(ids) else 1


def _row(values: Any, row: int) -> np.ndarray:
    one = values[row] if _nested(values) else values
    return np.asarray(one.tolist() if hasattr(one, "tolist") else list(one), dtype=np.int64)


def _nested(values: Any) -> bool:
    return values.ndim >= 2 if hasattr(values, "ndim") else bool(len(values)) and not is_whole(values[0])
