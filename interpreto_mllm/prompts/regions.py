"""Which pieces of a chat are cut into features: its texts, or whole tools, documents, calls and parameters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int

from interpreto_mllm.chats.parts import LISTED, Part, Path
from interpreto_mllm.chats.places import Place
from interpreto_mllm.chats.thoughts import told_apart
from interpreto_mllm.prompts.granularity import Granularity, Span, Splitter
from interpreto_mllm.prompts.sentences import Sentences
from interpreto_mllm.prompts.splitter import Region
from interpreto_mllm.prompts.tokens import Tokens

Key = tuple[object, ...]
"""Names a piece: ("text", index, which of its places), ("member", entry, name) or ("entry", entry)."""


def regions_of(
    parts: Sequence[Part], found: Mapping[Key, Span], granularity: Granularity | Splitter | list[Span]
) -> dict[Key, Region | None]:
    """For each piece the region that is cut into features, None where it is in another one or has none of its own.

    Whole tools, documents and calls are one feature each where turns are, parameters and arguments where sentences are.

    Args:
        parts: the texts of the chat.
        found: where its pieces are.
        granularity: what a feature is.
    """
    coarse = granularity in (Granularity.TURN, Granularity.ALL_TOKENS)
    members = granularity is Granularity.SENTENCE or isinstance(granularity, Sentences)
    taken: set[int] = set()
    regions: dict[Key, Region | None] = dict.fromkeys(found)
    for key, span in found.items():
        kind, first, *_ = key
        if kind == "text" or not (coarse if kind == "entry" else members):
            continue
        mine = [index for index, part in enumerate(parts) if part.entry == first and (kind == "entry" or part.member == key[2])]
        taken |= set(mine)
        part = parts[mine[0]]
        label = part.label if kind == "member" else (part.label or "").partition(" · ")[0]
        regions[key] = replace(region_of(part, span), label=label, whole=True)
    for key, span in found.items():
        if key[0] == "text" and isinstance(key[1], int) and key[1] not in taken:
            regions[key] = region_of(parts[key[1]], span)
    return regions


def regions_told(
    regions: Mapping[Key, Region | None], places: Sequence[Place], parts: Sequence[Part], text: str
) -> list[Region | None]:
    """The regions with where their characters are, which of them are thoughts, and which repeat another one.

    Args:
        regions: of the pieces of a chat.
        places: of its texts.
        parts: the texts.
        text: the whole prompt.
    """
    told: dict[Key, tuple[Place, bool]] = {}
    counts: Counter[int] = Counter()
    for place, thinks in told_apart(places, parts):
        told["text", place.text, counts[place.text]] = place, thinks
        counts[place.text] += 1
    return [region and (_told(region, *told[key], parts, text) if key in told else region) for key, region in regions.items()]


def _told(region: Region, place: Place, thinks: bool, parts: Sequence[Part], text: str) -> Region:
    content = parts[place.text].content
    origin = (place.text, place.within[0])
    region = replace(region, origin=origin, part="thoughts" if thinks else region.part)
    plain = text[slice(*place.span)] == content[slice(*place.within)]
    return region if plain else replace(region, place=place, written=content)


def region_of(part: Part, span: Span) -> Region:
    """A text of a chat as a region."""
    listed = part.entry if part.entry is not None and part.entry[0] in LISTED else None
    return Region(span, part.role, part.turn, part.source, part.label, part.part, part.trusted, entry=listed)


def owned(
    entries: Sequence[Path], regions: Sequence[Region], tokens: Tokens, owner: Int[np.ndarray, "l"]
) -> tuple[Int[np.ndarray, "_"], ...]:
    """For each tool and document the positions of its tokens that belong to features."""
    starts = np.asarray([start for start, _ in tokens.offsets], dtype=np.int64)
    found = []
    for entry in entries:
        mine = np.zeros(len(owner), dtype=bool)
        for region in regions:
            if region.entry == entry:
                mine |= (region.span[0] <= starts) & (starts < region.span[1])
        found.append(np.flatnonzero(mine & (owner >= 0)))
    return tuple(found)
