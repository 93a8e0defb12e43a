"""A chat as its template writes it, with the place of every text in it, whatever the template does with them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from interpreto_mllm.chats import tools
from interpreto_mllm.chats.chat import Chat
from interpreto_mllm.chats.margins import stripped
from interpreto_mllm.chats.marks import Marked, Origin, chunks, dealt, equal
from interpreto_mllm.chats.parts import LISTED, OWN, Part, Path, rewritten, without
from interpreto_mllm.chats.places import Place, lost, places
from interpreto_mllm.core.shown import shown
from interpreto_mllm.prompts.chat import MEDIA_KEYS, texts_of
from interpreto_mllm.prompts.processing import Processing


@dataclass(frozen=True, eq=False)
class Rendering:
    """A chat as its template writes it.

    The chat is rendered a second time with marks in place of most characters of its texts. They show what of a text is where,
    even if the template strips it, escapes it, leaves some of it out, or the text repeats another one.

    Args:
        chat: what is rendered.
        processing: the tokenizer or processor with the chat template.
        dropped: indices, among the images and clips, of those to leave out.
        unlisted: paths of the tools and documents to leave out.
        fixed: indices of messages whose texts are not looked for.
        generation_prompt: whether the text goes on to where the model's answer begins.
        calls_as_text: whether the template is given the arguments of calls as JSON rather than as mappings.
    """

    chat: Chat
    processing: Processing
    dropped: Collection[int] = ()
    unlisted: Collection[Path] = ()
    fixed: Collection[int] = ()
    generation_prompt: bool = True
    calls_as_text: bool = False

    def with_calls_read(self) -> Rendering:
        """The same, with the arguments of calls as JSON if the template would write a mapping as Python does."""
        calls = [call for message in self.chat.messages for call in message.get("tool_calls") or ()]
        given = [tools.function_of(call)[0].get("arguments") for call in calls]
        return replace(self, calls_as_text=True) if any(one and str(one) in self.text for one in given) else self

    @cached_property
    def parts(self) -> list[Part]:
        """The texts of the chat."""
        return texts_of(self.chat)

    @cached_property
    def text(self) -> str:
        """The rendered chat."""
        return self._rendered({})

    @cached_property
    def places(self) -> list[Place]:
        """Where the texts are, in the order of the rendering."""
        texts = [part.content for part in self.parts]
        return places(self._found, texts, self.text, self._stripped)

    def check(self, explained: Collection[str]) -> None:
        """Raise a ValueError where the template changes or leaves out a text of these roles.

        Args:
            explained: roles.
        """
        for index, told in self._unfollowed.items():
            if self.parts[index].role in explained:
                raise ValueError(told)
        for entry, gone in self._gone:
            if entry[0] in LISTED or self.parts[gone[0]].role in explained:
                raise ValueError(
                    f"The chat template leaves out {self._whose(gone[0])}: {shown(self.parts[gone[0]].content)} is nowhere in "
                    "the prompt, so the model does not read it. Take it out of the chat, or its role out of roles."
                )

    @property
    def notes(self) -> tuple[str, ...]:
        """What the template leaves out."""
        told = {index: self._whose(index) for index, part in enumerate(self.parts) if self._plays(index)}
        losses = (
            (index, lost([place for place in self.places if place.text == index], self.parts[index].content)) for index in told
        )
        return tuple(
            f"The chat template leaves out {shown(' … '.join(gone))} of {told[index]}, so the model does not read that."
            for index, gone in losses
            if gone and index not in self._unfollowed
        )

    @property
    def _gone(self) -> Iterator[tuple[Path, list[int]]]:
        """The messages, tools and documents of which nothing is written, and the texts in each."""
        written = {place.text for place in self.places} | {index for index in range(len(self.parts)) if not self._plays(index)}
        whole: dict[Path, list[int]] = {}
        for index, part in enumerate(self.parts):
            if part.content.strip():
                whole.setdefault(part.path[:2], []).append(index)
        return ((path, texts) for path, texts in whole.items() if not written & set(texts))

    @cached_property
    def _traced(self) -> tuple[dict[int, Origin], dict[int, str]]:
        """The characters of the rendering that are known, and the texts that cannot be followed, with the reason."""
        texts = [part.content if self._plays(index) else "" for index, part in enumerate(self.parts)]
        found: dict[int, Origin] = {}
        failed: dict[int, str] = {}
        for chunk in chunks(texts):
            chosen = [index for index in chunk if texts[index].strip()]
            known = self._followed(texts, chosen)
            if isinstance(known, str):
                for group in equal(texts, chosen):
                    alone = self._followed(texts, group[:1], group)
                    if isinstance(alone, str):
                        failed |= dict.fromkeys(group, alone)
                    else:
                        found |= dealt(alone, group)
            else:
                found |= known
        return found, failed

    @property
    def _found(self) -> dict[int, Origin]:
        return self._traced[0]

    @property
    def _unfollowed(self) -> dict[int, str]:
        return self._traced[1]

    def _followed(self, texts: Sequence[str], chosen: Sequence[int], alike: Sequence[int] = ()) -> dict[int, Origin] | str:
        """The known characters of some texts; what is wrong where the template treats marks otherwise than the texts.

        Args:
            texts: all of them.
            chosen: which are marked.
            alike: those that are equal to the single one that is marked, and are marked in the same way.
        """
        marked = Marked.of(texts, chosen)
        given = {index: marked.texts[index] for index in chosen}
        if alike:
            given = dict.fromkeys(alike, marked.texts[chosen[0]])
        try:
            rendered = self._rendered({self.parts[index].path: text for index, text in given.items()})
        except ValueError:
            rendered = ""
        found = marked.found(rendered)
        first = self.parts[chosen[0]].content if chosen else ""
        if len(rendered) != len(self.text) or any(
            code != there for place, (code, there) in enumerate(zip(rendered, self.text, strict=True)) if place not in found
        ):
            return (
                f"The chat template renders these messages differently from others: it asks what is in {shown(first)}, so the "
                "words of that cannot be found in the prompt."
            )
        wrong = [place for place, (index, at) in found.items() if texts[index][at] != self.text[place]]
        if wrong:
            index = found[wrong[0]][0]
            mine = [place for place, origin in found.items() if origin[0] == index]
            written = self.text[min(mine) : max(mine) + 1]
            return (
                f"The chat template rewrites the message {shown(texts[index])}: it writes {shown(written)}, so the words of "
                "that cannot be found in the prompt."
            )
        return found

    @cached_property
    def _stripped(self) -> tuple[set[int], set[int]]:
        """The texts off whose beginning the template takes white space, and those off whose end."""
        texts = [part.content for part in self.parts]
        spaced = [index for index, text in enumerate(texts) if self._plays(index) and text.strip() not in ("", text)]
        return stripped(texts, spaced, lambda new: self._rendered({self.parts[index].path: new[index] for index in new}))

    def _plays(self, index: int) -> bool:
        """Whether a text is looked for."""
        part = self.parts[index]
        return part.turn not in self.fixed and not (part.entry is not None and part.entry in self.unlisted)

    def _whose(self, index: int) -> str:
        """What a text is of, in words."""
        part = self.parts[index]
        if part.turn is None:
            return part.label or part.role
        return f"message {part.turn} ({part.role}{', ' + part.part if part.part else ''})"

    def _rendered(self, texts: Mapping[Path, str]) -> str:
        """The chat with these texts in place of its own; images and clips as parts, or as placeholders for a plain template."""
        chat = self.chat
        filled = _Media(self.processing, self.dropped).filled(chat.messages)
        messages = [rewritten(message, texts, ("messages", turn)) for turn, message in enumerate(filled)]
        given = tools.with_arguments_as_text(messages) if self.calls_as_text else messages
        plain = [_written(message, self.processing.takes_parts) for message in given]
        listed = {
            field: without([_bare(one) for one in rewritten(entries or [], texts, (field,))], field, self.unlisted)
            for field, entries in zip(LISTED, (chat.tools, chat.documents), strict=True)
        }
        fields = {**{field: entries for field, entries in listed.items() if entries}, **(chat.template or {})}
        if chat.continue_final_message:
            fields["continue_final_message"] = True
        return self.processing.chat(plain, self.generation_prompt, fields)


def _bare(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in OWN}


@dataclass(frozen=True)
class _Media:
    """The images and clips of messages, without some: as they are, or as placeholders for a plain template."""

    processing: Processing
    dropped: Collection[int]

    def filled(self, messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The messages with a part of None for each that is left out."""
        count, made = 0, []
        for message in messages:
            content = message.get("content")
            parts = []
            for part in content if isinstance(content, list) else ():
                if isinstance(part, str):
                    parts.append(part)
                elif (kind := part["type"]) in MEDIA_KEYS:
                    stands = _bare(part) if self.processing.takes_parts else {"text": self.processing.placeholder(kind)}
                    parts.append(None if count in self.dropped else stands)
                    count += 1
                else:
                    parts.append(part["text"])
            made.append({**message, "content": parts} if isinstance(content, list) else dict(message))
        return made


def _written(message: Mapping[str, Any], in_parts: bool) -> dict[str, Any]:
    """A message as the template takes it: its content in parts, or in one text."""
    bare = _bare(message)
    content = bare.get("content")
    if content is None:
        return bare
    given = [content] if isinstance(content, str) else [part for part in content if part is not None]
    parts = [{"type": "text", "text": part} if isinstance(part, str) else part for part in given]
    return {**bare, "content": parts if in_parts else "".join(part["text"] for part in parts)}
