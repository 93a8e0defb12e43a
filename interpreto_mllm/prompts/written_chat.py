"""The pieces of a rendered chat that may be features: its texts, or whole tools, documents, calls and parameters."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from interpreto_mllm.chats.extents import member_around, object_around
from interpreto_mllm.chats.parts import LISTED, Path
from interpreto_mllm.chats.places import Place
from interpreto_mllm.chats.thoughts import told_apart
from interpreto_mllm.media.state import Medium
from interpreto_mllm.prompts.granularity import Granularity, Span, Splitter
from interpreto_mllm.prompts.mixed import Mixed
from interpreto_mllm.prompts.regions import Key, regions_of, regions_told
from interpreto_mllm.prompts.rendering import Rendering
from interpreto_mllm.prompts.splitter import Region

Reach = Callable[[str, Span, Span], Span]
"""From a rendering, a stretch of it and the room around that to how far it reaches."""


@dataclass(frozen=True, eq=False)
class WrittenChat:
    """A rendered chat, with some of its images and clips or tools and documents left out, or with all.

    Args:
        whole: the rendering of all of it.
    """

    whole: Rendering

    @cached_property
    def keys(self) -> list[Key]:
        """The pieces of the whole chat, texts first."""
        return list(_pieces(self.whole))

    @property
    def entries(self) -> list[Path]:
        """The tools and documents, which are left out where nothing of them is present."""
        paths = dict.fromkeys(part.entry for part in self.whole.parts if part.entry is not None)
        return [path for path in paths if path[0] in LISTED]

    def without(self, dropped: Collection[int], unlisted: Collection[int] = ()) -> tuple[str, list[Span | None]]:
        """The chat without some images and clips, and some of `entries`: its text, and the place of each of `keys`."""
        if not dropped and not unlisted:
            rendering = self.whole
        else:
            rendering = replace(self.whole, dropped=dropped, unlisted=[self.entries[index] for index in unlisted])
        found = _pieces(rendering)
        return rendering.text, [found.get(key) for key in self.keys]

    def check(self, roles: Collection[str]) -> None:
        """Raise a ValueError where the template changes or leaves out what is to be explained."""
        self.whole.check(roles)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the template leaves out."""
        return self.whole.notes

    def mixed(self, media: tuple[Medium, ...], regions: Sequence[Region | None]) -> Mixed:
        """The chat with these images and clips; its spans are those of the pieces that are regions."""

        def render(dropped: Collection[int], unlisted: Collection[int]) -> tuple[str, list[Span | None]]:
            text, spans = self.without(dropped, unlisted)
            return text, [region and span for region, span in zip(regions, spans, strict=True)]

        return Mixed(self.whole.processing, render, media, self._special)

    def of_texts(self, media: tuple[Medium, ...]) -> Mixed:
        """The same, but its spans are those of whole texts."""
        return Mixed(self.whole.processing, self.texts, media, self._special)

    @property
    def _special(self) -> bool:
        """Whether the tokenizer adds its special tokens: where there may be images or clips, and the template wrote none."""
        begins = self.whole.processing.tokenizer.bos_token
        return bool(self.whole.processing.modalities) and not (begins is not None and self.whole.text.startswith(begins))

    def texts(self, dropped: Collection[int], unlisted: Collection[int] = ()) -> tuple[str, list[Span]]:
        """The chat without some images and clips: its text, and from where to where each text of it reaches."""
        rendering = replace(self.whole, dropped=dropped) if dropped else self.whole
        spans: list[Span] = [(0, 0)] * len(rendering.parts)
        for place in reversed(rendering.places):
            spans[place.text] = place.span
        return rendering.text, spans

    def regions(self, granularity: Granularity | Splitter | list[Span]) -> list[Region | None]:
        """For each of `keys` the region that is cut into features, None where it is in another one or has none of its own."""
        found = regions_of(self.whole.parts, _pieces(self.whole), granularity)
        return regions_told(found, self.whole.places, self.whole.parts, self.whole.text)


def _pieces(rendering: Rendering) -> dict[Key, Span]:
    """The pieces of a rendering and where they are: texts, then members, then entries."""
    found: dict[Key, Span] = {}
    counts: dict[int, int] = {}
    first: dict[int, Place] = {}
    for place in rendering.places:
        first.setdefault(place.text, place)
    for place, _ in told_apart(rendering.places, rendering.parts):
        found["text", place.text, counts.get(place.text, 0)] = place.span
        counts[place.text] = counts.get(place.text, 0) + 1
    entries: dict[Path, list[int]] = {}
    members: dict[tuple[Path, str], list[int]] = {}
    for index, part in enumerate(rendering.parts):
        if part.entry is not None and index in first:
            entries.setdefault(part.entry, []).append(index)
            if part.member is not None:
                members.setdefault((part.entry, part.member), []).append(index)
    for (entry, member), mine in members.items():
        if (span := _around(rendering, first, mine, member_around)) is not None:
            found["member", entry, member] = span
    for entry, mine in entries.items():
        if (span := _around(rendering, first, mine, object_around)) is not None:
            found["entry", entry] = span
    return found


def _around(rendering: Rendering, first: dict[int, Place], mine: Sequence[int], reach: Reach) -> Span | None:
    """From the first to the last of some texts, and as far as they reach; None where others are between."""
    spans = sorted(first[index].span for index in mine)
    held = spans[0][0], max(end for _, end in spans)
    others = [place.span for index, place in first.items() if index not in mine]
    if any(start < held[1] and held[0] < end for start, end in others):
        return None
    low = max((end for _, end in others if end <= held[0]), default=0)
    high = min((start for start, _ in others if start >= held[1]), default=len(rendering.text))
    return reach(rendering.text, held, (low, high))
