"""Chats that come as text: which of it the chat template writes, and which messages are in between."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import regex

from interpreto_mllm.prompts.granularity import Span
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.prompts.splitter import Region
from interpreto_mllm.prompts.tokens import special_ids

CONVERSATIONS = (
    ("user",),
    ("system", "user"),
    ("developer", "user"),
    ("user", "assistant", "user", "assistant"),
    ("system", "user", "assistant", "user"),
    ("user", "tool", "assistant"),
)
"""Roles of the chats whose renderings show what a template writes before, between and after messages."""

RENDERED = (
    "the prompt is a rendered chat: its markup and what the template writes are always present, and its messages are explained "
    "by their roles; the messages themselves, [{'role': 'user', 'content': ...}], are accepted as well"
)
"""A note on results of chats that came as text."""

DATE = regex.compile(r"\d{1,2} \p{L}+ \d{4}")
"""A date as templates write it into their system text."""


@dataclass(frozen=True)
class Markup:
    """What a chat template writes around messages.

    Args:
        beginnings: texts with which a chat may begin, and the role of the message after each.
        literals: other texts, and the role of the message that follows, None if it is not known.
        marked: those of them that hold a special token, by which a rendered chat is known.
    """

    beginnings: dict[str, str | None]
    literals: dict[str, str | None]
    marked: frozenset[str] = frozenset()

    @classmethod
    def of(cls, processing: Processing) -> Markup:
        """From renderings of short chats, as text and as the tokenizer decodes them; empty without a chat template."""
        beginnings: dict[str, str | None] = {}
        whole: dict[str, str | None] = {}
        parts: dict[str, str | None] = {}
        special = _special(processing) if processing.templater is not None else None
        if special is None:
            return cls({}, {})
        for pieces, roles in _renderings(processing):
            for index, (piece, role) in enumerate(zip(pieces, roles, strict=True)):
                if not index and piece.strip():
                    _add(beginnings, piece, role)
                for found in special.finditer(piece):
                    _add(whole, piece[found.start() :], role)
                    opened = "system" if not index and special.sub("", piece[: found.end()]).strip() else None
                    parts.setdefault(piece[: found.end()], opened)
                if index and piece.strip():
                    _add(whole, piece, role)
        literals = {**parts, **whole}
        return cls(beginnings, literals, frozenset(filter(special.search, literals)))

    @cached_property
    def _pattern(self) -> regex.Pattern[str]:
        """A group for each of the literals, the longest first; they may hold other dates than today's."""
        escaped = [regex.escape(literal, literal_spaces=True) for literal in self._ordered]
        return regex.compile("|".join(f"({DATE.sub(lambda _: DATE.pattern, literal)})" for literal in escaped))

    @cached_property
    def _ordered(self) -> list[str]:
        return sorted(self.literals, key=len, reverse=True)

    def messages(self, text: str) -> list[Region] | None:
        """The messages in a rendered chat, without what the template wrote; None for a text that is no such chat.

        Their turns are their numbers, as in the chat that was rendered.
        """
        if not self.literals:
            return None
        edges: list[tuple[int, int, str | None]] = []
        known = False
        begun = max((literal for literal in self.beginnings if text.startswith(literal)), key=len, default="")
        if begun:
            edges.append((0, len(begun), self.beginnings[begun]))
            known = self.beginnings[begun] is not None
        for found in self._pattern.finditer(text, len(begun)):
            literal = self._ordered[(found.lastindex or 1) - 1]
            edges.append((*found.span(), self.literals[literal]))
            known = known or (literal in self.marked and self.literals[literal] is not None)
        if not known:
            return None
        regions = [Region((0, edges[0][0]))] if edges[0][0] else []
        turn = -1
        for (_, start, role), (end, *_) in zip(edges, [*edges[1:], (len(text),)], strict=True):
            turn += role is not None
            regions.append(Region((start, end), role, turn if role is not None else None))
        return [region for region in regions if text[slice(*region.span)].strip()]


def within(region: Region, gaps: Sequence[Span]) -> list[Region]:
    """The parts of a region in these spans."""
    start, end = region.span
    cut = [(max(start, low), min(end, high)) for low, high in gaps]
    return [replace(region, span=(low, high)) for low, high in cut if low < high or low == high == start == end]


def message_around(place: Span, messages: Sequence[Region]) -> tuple[str | None, int | None]:
    """Role and turn of the message that a placeholder is in."""
    return next(((m.role, m.turn) for m in messages if m.span[0] <= place[0] and place[1] <= m.span[1]), (None, None))


def no_role(roles: Collection[str], messages: Sequence[Region]) -> str:
    """The error about a rendered chat without a message to explain."""
    present = sorted({str(region.role) for region in messages})
    return (
        "The text is a rendered chat, and no message in it has a role to explain: "
        f"roles={sorted(roles)}, the text has {present}."
    )


def _add(literals: dict[str, str | None], text: str, role: str | None) -> None:
    """Remember the role that a text opens, None if it opens several."""
    literals[text] = role if literals.get(text, role) == role else None


def _special(processing: Processing) -> regex.Pattern[str] | None:
    """The texts of the special tokens."""
    tokens = processing.tokenizer.convert_ids_to_tokens(sorted(special_ids(processing.tokenizer)))
    texts = sorted((token for token in tokens if token), key=len, reverse=True)
    return regex.compile("|".join(map(regex.escape, texts))) if texts else None


def _renderings(processing: Processing) -> Iterator[tuple[list[str], list[str | None]]]:
    """Pieces of rendered chats between their messages, and the role of the message after each."""
    tokenizer = processing.tokenizer
    for roles in CONVERSATIONS:
        markers = [f"\u2983{index}\u2984" for index in range(len(roles))]
        for answered in (True, False):
            try:
                text = processing.chat(_messages(roles, markers, processing.takes_parts), answered)
            except Exception:  # a template fails in its own ways on roles that it does not know
                continue
            decoded = str(
                tokenizer.decode(tokenizer.encode(text, add_special_tokens=False), clean_up_tokenization_spaces=False)
            )
            for form in dict.fromkeys((text, decoded)):
                pieces = regex.split("\u2983\\d\u2984", form)
                if len(pieces) == len(roles) + 1:
                    yield pieces, [*roles, "assistant" if answered else None]


def _messages(roles: Sequence[str], texts: Sequence[str], in_parts: bool) -> list[dict[str, object]]:
    contents = [[{"type": "text", "text": text}] if in_parts else text for text in texts]
    return [{"role": role, "content": content} for role, content in zip(roles, contents, strict=True)]
