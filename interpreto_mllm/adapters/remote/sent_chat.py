"""Chats for a server as ids, one per character, and where each text of them is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from interpreto_mllm.adapters.remote.entries import (
    DOCUMENTS,
    FIELD,
    MESSAGE,
    NEXT,
    REQUEST,
    TOOLS,
    deciding,
    head,
    texts_in,
)
from interpreto_mllm.adapters.remote.messages import MEDIUM, ROLE, TEXT, Characters
from interpreto_mllm.chats.chat import Chat
from interpreto_mllm.chats.parts import NAME_OF_KEY, OWN, Path
from interpreto_mllm.chats.places import Place
from interpreto_mllm.chats.thoughts import told_apart
from interpreto_mllm.media.state import Medium, State
from interpreto_mllm.prompts.chat import Message, parts_of, texts_of
from interpreto_mllm.prompts.granularity import Granularity, Span, Splitter
from interpreto_mllm.prompts.mixed import Mixed
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.prompts.regions import Key, regions_of, regions_told
from interpreto_mllm.prompts.splitter import Region
from interpreto_mllm.prompts.tokens import Tokens


@dataclass
class _Ids:
    """Ids that are written one after the other, and the text that shows them.

    Attributes:
        spans: where the texts of the chat are, by their paths.
    """

    text: str = ""
    ids: list[int] = field(default_factory=list)
    offsets: list[Span] = field(default_factory=list)
    spans: dict[Path, Span] = field(default_factory=dict)
    media: int = 0

    def mark(self, *ids: int) -> None:
        """Ids that are part of no text."""
        self.ids += ids
        self.offsets += [(0, 0)] * len(ids)

    def write(self, content: str, path: Path) -> None:
        """A text of the chat."""
        self.spans[path] = len(self.text), len(self.text) + len(content)
        self.offsets += [(index, index + 1) for index in range(*self.spans[path])]
        self.ids += Characters().encode(content)
        self.text += content

    def entry(self, kind: str, given: dict[str, Any], path: Path) -> None:
        """A tool, a document, or the fields of a message; `path` leads to it in the chat."""
        self.mark(*head(kind, given))
        shown: object = None
        for number, part in enumerate(texts_in(kind, given)):
            self.mark(NEXT)
            self.text += " " if number else ""
            if kind == MESSAGE and (part.part or part.entry) != shown:
                shown = part.part or part.entry
                self.text += f"{part.part or (part.label or '').partition(' · ')[0]}: "
            self.write(part.content, (*path, *part.path[2:]))
            self.text += ":" if part.path[-1] in (NAME_OF_KEY, "name") else ""
        self.mark(FIELD)

    def message(self, message: Message, turn: int, headed: bool) -> None:
        """A message: its role, its other fields, its content."""
        self.mark(*(ROLE + ord(character) for character in message["role"]), ROLE)
        self.text += f"{message['role']}: " if headed else ""
        content = message.get("content")
        fields = {name: value for name, value in message.items() if name not in ("role", "content", *OWN)}
        if fields or content is None:
            self.entry(
                MESSAGE,
                {"role": message["role"], **({"content": None} if content is None else {}), **fields},
                ("messages", turn),
            )
        for number, part in enumerate(parts_of([message])):
            if part.kind != "text":
                self.mark(MEDIUM + self.media)
                self.media += 1
                continue
            self.mark(*([TEXT] if isinstance(content, list) else []))
            apart = number or (fields and self.text[-2:] != ": ")
            self.text += "\n" if apart and self.text[-1:] not in ("", "\n") else ""
            self.write(part.content, ("messages", turn, *part.path[2:]))
        self.text += "\n" if headed else ""


@dataclass(frozen=True, eq=False)
class SentChat:
    """A chat that a server renders.

    Args:
        chat: what is sent.
        processing: of the server.
        headed: whether the text shows roles before their messages.
    """

    chat: Chat
    processing: Processing
    headed: bool = True
    notes: ClassVar[tuple[str, ...]] = ()
    entries: ClassVar[tuple[Path, ...]] = ()
    """A tool or document of which nothing is present is left out where the ids are read."""

    @cached_property
    def _ids(self) -> _Ids:
        ids, chat = _Ids(), self.chat
        beside = {"documents": DOCUMENTS, "tools": TOOLS}
        request: dict[str, Any] = {"chat_template_kwargs": dict(chat.template or {})} if chat.template else {}
        if chat.continue_final_message:
            request |= {"continue_final_message": True, "add_generation_prompt": False}
        if request:
            ids.entry(REQUEST, request, ())
        for name, entries in (("tools", chat.tools), ("documents", chat.documents)):
            for index, entry in enumerate(entries or ()):
                ids.text += f"{name}: "
                ids.entry(beside[name], {key: value for key, value in entry.items() if key not in OWN}, (name, index))
                ids.text += "\n"
        for turn, message in enumerate(chat.messages):
            ids.message(message, turn, self.headed)
        return ids

    @cached_property
    def tokens(self) -> Tokens:
        """The ids, and the text that shows them."""
        ids = np.asarray(self._ids.ids, dtype=np.int64)
        return Tokens(self._ids.text, ids, tuple(self._ids.offsets), ids >= ROLE)

    @cached_property
    def _pieces(self) -> dict[Key, Span]:
        """Where the texts are, then the parameters and arguments, then whole tools, documents and calls."""
        parts = texts_of(self.chat)
        spans = {index: self._ids.spans[part.path] for index, part in enumerate(parts) if part.path in self._ids.spans}
        found: dict[Key, Span] = {}
        counts: Counter[int] = Counter()
        for place, _ in told_apart(self._places, parts):
            found["text", place.text, counts[place.text]] = place.span
            counts[place.text] += 1
        members: dict[Key, list[Span]] = {}
        entries: dict[Key, list[Span]] = {}
        for index, span in spans.items():
            part = parts[index]
            if part.entry is not None:
                entries.setdefault(("entry", part.entry), []).append(span)
                if part.member is not None:
                    members.setdefault(("member", part.entry, part.member), []).append(span)
        for key, held in (*members.items(), *entries.items()):
            found[key] = held[0][0], held[-1][1]
        return found

    @cached_property
    def _places(self) -> list[Place]:
        """Where the texts are."""
        spans = [(index, self._ids.spans.get(part.path)) for index, part in enumerate(texts_of(self.chat))]
        return [Place(index, (0, span[1] - span[0]), (*range(span[0], span[1] + 1),)) for index, span in spans if span]

    def check(self, roles: Collection[str]) -> None:
        """A server's template is not known."""

    def regions(self, granularity: Granularity | Splitter | list[Span]) -> list[Region | None]:
        """The pieces that are cut into features. A tool's name is there where anything of the tool is."""
        parts = texts_of(self.chat)
        found = regions_of(parts, self._pieces, granularity)
        told = regions_told(found, self._places, parts, self._ids.text)
        if granularity is Granularity.TURN:
            return told
        sent = [index for index, part in enumerate(parts) if part.path in self._ids.spans]
        kept = {sent[index] for index in deciding([parts[index] for index in sent])}
        return [region if key[0] != "text" or key[1] in kept else None for key, region in zip(found, told, strict=True)]

    def mixed(self, media: tuple[Medium, ...], regions: Sequence[Region | None]) -> Mixed:
        """The chat with these images and clips; its spans are those of the pieces that are regions."""
        spans = [region and span for region, span in zip(regions, self._pieces.values(), strict=True)]
        return _Sent(self.processing, lambda *_: (self.tokens.text, spans), media, False, whole=self.tokens)

    def of_texts(self, media: tuple[Medium, ...]) -> Mixed:
        """The same, but its spans are those of whole texts."""
        spans = [self._ids.spans.get(part.path, (0, 0)) for part in texts_of(self.chat)]
        return _Sent(self.processing, lambda *_: (self.tokens.text, spans), media, False, whole=self.tokens)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Sent(Mixed):
    """A chat whose images and clips are single ids among its characters.

    Args:
        whole: the tokens with all images and clips.
    """

    whole: Tokens

    def _tokens(self, states: Sequence[State], unlisted: tuple[int, ...]) -> tuple[Tokens, None, Sequence[Span | None]]:
        dropped = [index for index, state in enumerate(states) if state.dropped]
        kept = ~np.isin(self.whole.ids, [MEDIUM + index for index in dropped])
        text, spans = self.render(dropped, unlisted)
        offsets = tuple(offset for offset, there in zip(self.whole.offsets, kept, strict=True) if there)
        return Tokens(text, self.whole.ids[kept], offsets, self.whole.special[kept]), None, spans
