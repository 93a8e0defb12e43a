"""A chat with all that a template or a server takes besides its messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

from interpreto_mllm.chats.documents import documents_of
from interpreto_mllm.chats.tools import calls_read, tools_of
from interpreto_mllm.core.shown import shown

Message = dict[str, Any]

FIELDS = ("tools", "documents", "continue_final_message")
WITHIN = (
    "messages",
    "conversation",
    "tokenize",
    "add_generation_prompt",
    "return_dict",
    "return_tensors",
    "padding",
    "truncation",
)
"""Arguments of `apply_chat_template` that the library gives."""


def is_chat(inputs: object) -> TypeGuard[list[Message]]:
    """Whether this is a list of messages, each a mapping with a role."""
    return isinstance(inputs, list) and bool(inputs) and all(isinstance(m, dict) and "role" in m for m in inputs)


@dataclass(frozen=True, eq=False)
class Chat:
    """A chat with tools, documents and arguments of the chat template. A list of messages is `Chat(messages)`.

    Args:
        messages: mappings with a "role" and a "content", as `apply_chat_template` and servers take them: a text, a list of
            parts, or None beside "tool_calls". A message, tool or document may say whether it is "trusted", which templates
            are not shown.
        tools: functions with a docstring and annotated arguments, or JSON schemas of functions.
        documents: mappings with a "text", and a "title" and an "id" where there are some; or texts.
        template: further arguments of the chat template, such as {"enable_thinking": False}.
        continue_final_message: whether the answer goes on from the last message, which the assistant has begun.

    Raises:
        TypeError: for messages, tools or documents that are none.
        ValueError: for a tool without a name or a docstring, two tools of one name, two documents with one id, and a tool call
            whose arguments are no JSON.

    Example:
        >>> def weather(city: str):
        ...     '''What the weather is like.
        ...
        ...     Args:
        ...         city: Where.
        ...     '''
        >>> chat = Chat([{"role": "user", "content": "Oslo ?"}], tools=[weather], documents=["It rains in Oslo."])
        >>> chat.tools[0]["function"]["description"], chat.documents
        ('What the weather is like.', [{'text': 'It rains in Oslo.'}])
    """

    messages: Sequence[Message]
    tools: Sequence[Any] | None = None
    documents: Sequence[Any] | None = None
    template: Mapping[str, Any] | None = None
    continue_final_message: bool = False

    def __post_init__(self) -> None:
        messages = list(self.messages) if isinstance(self.messages, tuple) else self.messages
        if not is_chat(messages):
            raise TypeError(
                'The messages of a Chat are a list of mappings with a role, as in [{"role": "user", "content": "Hello"}]; got '
                f"{shown(self.messages)}."
            )
        _check_template(self.template)
        object.__setattr__(self, "messages", [calls_read(message, turn) for turn, message in enumerate(messages)])
        object.__setattr__(self, "tools", tools_of(self.tools))
        object.__setattr__(self, "documents", documents_of(self.documents))
        object.__setattr__(self, "template", dict(self.template or {}))

    @classmethod
    def of(cls, given: Chat | Sequence[Message]) -> Chat:
        """A chat as it is, or messages as a chat."""
        return given if isinstance(given, Chat) else cls(given)

    def saying(self, messages: Sequence[Message]) -> Chat:
        """The same with other messages."""
        return replace(self, messages=list(messages))

    @property
    def bare(self) -> bool:
        """Whether there is nothing in it but messages."""
        return not (self.tools or self.documents or self.template or self.continue_final_message)


def _check_template(given: Any) -> None:
    """Raise an error unless these can be arguments of a template."""
    if given is None:
        return
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise TypeError(f'template is a mapping from names of arguments, as {{"enable_thinking": False}}; got {shown(given)}.')
    taken = next((name for name in given if name in (*FIELDS, *WITHIN)), None)
    if taken is not None:
        hint = f"give Chat(..., {taken}=...)" if taken in FIELDS else "the library gives it"
        raise ValueError(f"template holds {taken!r}, which is no argument of the template: {hint}.")
