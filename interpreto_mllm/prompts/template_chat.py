"""Templates in the messages of a chat."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from interpreto_mllm.core.shown import shown
from interpreto_mllm.media.state import Medium, State
from interpreto_mllm.prompts.chat import Chat, Message, parts_of
from interpreto_mllm.prompts.conversation import Conversation
from interpreto_mllm.prompts.granularity import Span
from interpreto_mllm.prompts.mixed import Mixed
from interpreto_mllm.prompts.template import Template
from interpreto_mllm.prompts.template_prompt import Filled


def templates_of(messages: Sequence[Message]) -> list[Template]:
    """The templates in the messages: in place of a message's text, or of that of a part.

    Example:
        >>> greeting = Template("Hello {name}", {"name": "Ada"}, {"name": "you"})
        >>> [template.text for template in templates_of([{"role": "user", "content": greeting}])]
        ['Hello {name}']
    """
    return [part for message in messages for part in map(_text_of, _contents(message)) if isinstance(part, Template)]


def with_texts(messages: Sequence[Message], texts: Sequence[str]) -> list[Message]:
    """The messages with these texts in place of the templates."""
    left, written = iter(texts), []
    for message in messages:
        content = message.get("content")
        if isinstance(content, Template):
            content = next(left)
        elif isinstance(content, list):
            content = [_with_text(part, left) if isinstance(_text_of(part), Template) else part for part in content]
        written.append({**message, "content": content} if "content" in message else message)
    return written


def joined(templates: Sequence[Template]) -> Template:
    """The slots of several templates as those of one; a slot of one name is one slot.

    Raises:
        ValueError: where values or baselines of a slot differ, or baselines of different kinds cannot be put together.
    """
    first = templates[0]
    if len(templates) == 1:
        return first
    if any((other.draws, other.seed) != (first.draws, first.seed) for other in templates):
        raise ValueError("Baselines of all templates of a chat are drawn together: give them the same draws and seed.")
    text, values = "\n".join(template.text for template in templates), _united([one.values for one in templates], "value")
    mappings = [one.baselines for one in templates if isinstance(one.baselines, Mapping)]
    if len(mappings) == len(templates):
        return Template(text, values, _united(mappings, "baselines"), first.draws, first.seed)
    rows = [one.baseline_rows for one in templates]
    if mappings or len({len(each) for each in rows}) > 1:
        raise ValueError(
            "The templates of a chat have baselines that cannot be put together: give each a mapping from slot to baselines, "
            "or each a list of equally many mappings."
        )
    united = [_united(each, "baseline") for each in zip(*rows, strict=True)]
    return Template(text, values, united, first.draws, first.seed)


@dataclass(frozen=True, eq=False)
class ChatFrame:
    """A chat with templates in it; all else is always there.

    Args:
        chat: with the templates.
        mixed: from the chat with texts in place of these to what the model reads.
        media: the images and clips.
        conversation: the chat with all values.
    """

    chat: Chat
    mixed: Callable[[Chat], Mixed]
    media: tuple[Medium, ...]
    conversation: Conversation

    def filled(self, row: Mapping[str, Any]) -> Filled:
        """The chat with these in the slots."""
        given = self.chat.messages
        templates = templates_of(given)
        written = [template.written({slot: row[slot] for slot in template.slots}) for template in templates]
        messages = with_texts(given, [text for text, _ in written])
        tokens, types, places = self.mixed(self.chat.saying(messages)).tokens([State.whole(medium) for medium in self.media])
        parts = [part for part in parts_of(messages) if part.kind == "text"]
        whose = [_text_of(part) for message in given for part in _contents(message)]
        texts = [one for one in whose if isinstance(one, (str, Template))]
        spans: dict[str, list[Span]] = {}
        of_message: dict[str, list[tuple[str, int | None]]] = {}
        following = iter(written)
        for one, part, place in zip(texts, parts, places, strict=False):
            if not isinstance(one, Template) or place is None:
                continue
            text, slots = next(following)
            for slot, within in slots.items():
                spans.setdefault(slot, []).extend(_moved(span, text, place) for span in within)
                of_message.setdefault(slot, []).append((part.role, part.turn))
        return Filled(tokens, spans, types, of_message)


def _moved(span: Span, text: str, place: Span) -> Span:
    """Where a stretch of a message's text lies in the chat, whose template may have stripped the message."""
    start, end = place
    before = len(text) - len(text.lstrip()) if end - start < len(text) else 0
    low, high = (min(max(start + edge - before, start), end) for edge in span)
    return low, high


def _contents(message: Message) -> list[Any]:
    """A message's text, or its parts."""
    content = message.get("content")
    return list(content) if isinstance(content, list) else [content]


def _text_of(part: Any) -> Any:
    """What stands as the text of a part; None for an image or a clip."""
    if isinstance(part, Mapping):
        return part.get("text") if part.get("type") == "text" else None
    return part


def _with_text(part: Any, texts: Any) -> Any:
    return {**part, "text": next(texts)} if isinstance(part, Mapping) else next(texts)


def _united(mappings: Sequence[Mapping[str, Any]], what: str) -> dict[str, Any]:
    """One mapping of several, which must agree where they have the same slot."""
    united: dict[str, Any] = {}
    for mapping in mappings:
        for slot, given in mapping.items():
            if slot in united and united[slot] != given:
                raise ValueError(
                    f"The slot {slot!r} is in several messages, with the {what} {shown(united[slot])} and {shown(given)}: a "
                    "slot of one name is one feature, so give it the same ones, or another name."
                )
            united[slot] = given
    return united
