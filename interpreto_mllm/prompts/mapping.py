"""Prompts as mappings: a text with placeholders, and the images and clips that they stand for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from interpreto_mllm.core.numbers import is_number
from interpreto_mllm.prompts.granularity import Span

MEDIA = {"image": "images", "audio": "audio", "video": "videos"}
"""The keys of images, clips and videos, by modality."""


def is_prompt_mapping(inputs: Mapping[str, Any]) -> bool:
    """Whether a mapping holds a text with images and clips, rather than an encoding."""
    return bool(inputs) and set(inputs) <= {"text", *MEDIA.values()}


def is_picture(inputs: Any) -> bool:
    """Whether this is an image as PIL gives it."""
    return callable(getattr(inputs, "getpixel", None))


def media_of(prompt: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The modality and the content of each image, clip and video.

    Example:
        >>> media_of({"text": "<image> and <image>", "images": ["a.png", "b.png"]})
        [('image', 'a.png'), ('image', 'b.png')]
    """
    return [
        (modality, item)
        for modality, key in MEDIA.items()
        for item in (_listed_videos if modality == "video" else _listed)(prompt.get(key))
    ]


def media_forms(modalities: Collection[str]) -> str:
    """How to write the media of these modalities, for error messages."""
    return " or ".join(f'{{"{MEDIA[modality]}": ...}}' for modality in modalities)


def in_text_order(text: str, placeholders: Sequence[str]) -> list[int]:
    """The indices of media in the order of their placeholders, of which the text holds one for each.

    Example:
        >>> in_text_order("<audio> then <image>", ["<image>", "<audio>"])
        [1, 0]
    """
    starts, searched = [], dict.fromkeys(placeholders, 0)
    for placeholder in placeholders:
        starts.append(text.index(placeholder, searched[placeholder]))
        searched[placeholder] = starts[-1] + 1
    return sorted(range(len(starts)), key=starts.__getitem__)


def places_of(text: str, placeholders: Sequence[str]) -> list[Span]:
    """Where the placeholders are, which come in this order.

    Example:
        >>> places_of("a <image> b", ["<image>"])
        [(2, 9)]
    """
    held: list[Span] = []
    for placeholder in placeholders:
        start = text.index(placeholder, held[-1][1] if held else 0)
        held.append((start, start + len(placeholder)))
    return held


def between(text: str, places: Sequence[Span]) -> list[Span]:
    """What lies between places in a text.

    Example:
        >>> between("a <image> b", [(2, 9)])
        [(0, 2), (9, 11)]
    """
    edges = [0, *(edge for span in places for edge in span), len(text)]
    return list(zip(edges[::2], edges[1::2], strict=True))


def without(text: str, held: Sequence[Span], spans: Sequence[Span], dropped: Collection[int]) -> tuple[str, list[Span]]:
    """The text without the dropped ones of some stretches, and where the given spans are in it.

    Example:
        >>> without("a <image> b", [(2, 9)], [(0, 2), (9, 11)], [0])
        ('a  b', [(0, 2), (2, 4)])
    """
    cut = [held[index] for index in sorted(dropped)]
    edges = [0, *(edge for span in cut for edge in span), len(text)]
    kept = "".join(text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True))
    shifts = [sum(end - start for start, end in cut if end <= span[0]) for span in spans]
    return kept, [(start - shift, end - shift) for (start, end), shift in zip(spans, shifts, strict=True)]


def accepted(given: object) -> str:
    """What prompts may be, for the error about one that is none."""
    return (
        f"Cannot explain an input of type {type(given).__name__}. Give a string, a chat (a list of messages with 'role' and "
        "'content', or a Chat with tools or documents), a mapping with 'text', 'images', 'audio' and 'videos', a tokenizer's "
        "encoding, a Template, a Pair, "
        "or a list of these."
    )


def _listed(given: Any) -> list[Any]:
    """One image or clip, or several in a list, as a list. A list of numbers is one clip, as is a pair (samples, rate)."""
    if given is None:
        return []
    several = isinstance(given, (list, tuple)) and not any(is_number(one) for one in given)
    return list(given) if several else [given]


def _listed_videos(given: Any) -> list[Any]:
    """One video, or several in a list, as a list. A list of images, or of images with their seconds, is one video."""
    if given is None:
        return []
    frames = isinstance(given, (list, tuple)) and all(_is_frame(one) for one in given)
    return list(given) if isinstance(given, (list, tuple)) and not frames else [given]


def _is_frame(given: Any) -> bool:
    """Whether this is an image, perhaps with its seconds, rather than a video."""
    if isinstance(given, (list, tuple)) and len(given) == 2 and is_number(given[1]):
        return True
    return is_picture(given) or getattr(given, "ndim", 0) in (2, 3)
