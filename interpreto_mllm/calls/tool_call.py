"""A call of a tool, as a target."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from interpreto_mllm.chats.tools import name_of
from interpreto_mllm.core.shown import shown

PARTS = ("call", "name")


@dataclass(frozen=True, eq=False)
class ToolCall:
    """A call of a tool as a target: the whole call, the name of the function, or one argument.

    A given call is scored as the chat template writes it, in place of the model's answer. The name and an argument are scored
    after what stands before them in the call.

    Args:
        name: of the function; None for the model's own call, which is read from its answer.
        arguments: of the call, as a mapping or as JSON; without them the name alone is scored.
        argument: the name of the argument whose value alone is scored.
        part: "call" or "name"; unless given, the name where there are no arguments, else the call.

    Raises:
        TypeError, ValueError: for arguments that are no mapping and do not parse, an argument that is none of them, or another
            part.

    Example:
        >>> ToolCall("weather", {"city": "Oslo"}), ToolCall("weather"), ToolCall("weather", {"city": "Oslo"}, argument="city")
        (the call weather(city='Oslo'), the name in weather(), the argument 'city' of weather(city='Oslo'))
    """

    name: str | None = None
    arguments: Mapping[str, Any] | str | None = None
    argument: str | None = None
    part: str | None = None

    def __post_init__(self) -> None:
        if not (self.name is None or (isinstance(self.name, str) and self.name.strip())):
            raise TypeError(f"The name of a ToolCall is a text, or None for the model's own call; got {shown(self.name)}.")
        if self.part not in (None, *PARTS):
            raise ValueError(f"part is 'call' or 'name', and one argument is named by argument=; got {shown(self.part)}.")
        if self.argument is not None and self.part is not None:
            raise ValueError("A ToolCall scores its part or one argument: give part= or argument=.")
        if self.name is None and self.arguments is not None:
            raise ValueError("Without a name, a ToolCall is the model's own, whose arguments are its own, too: leave them out.")
        object.__setattr__(self, "arguments", _read(self.arguments))
        if self.name is not None and self.argument is not None and self.argument not in (self.arguments or {}):
            known = ", ".join(map(repr, self.arguments or ())) or "none"
            raise ValueError(f"The call has no argument {shown(self.argument)}; its arguments are {known}.")

    @property
    def own(self) -> bool:
        """Whether it is the model's own call."""
        return self.name is None

    @property
    def given(self) -> dict[str, Any]:
        """The arguments, none where the name alone is scored."""
        return dict(self.arguments) if isinstance(self.arguments, Mapping) else {}

    @property
    def scores_name(self) -> bool:
        """Whether the name alone is scored."""
        named = self.name is not None and self.arguments is None and self.part is None
        return self.argument is None and (self.part == "name" or named)

    @property
    def text(self) -> str:
        """The call in one form whatever the template, as the calls of servers are compared.

        Example:
            >>> ToolCall("weather", {"day": 3, "city": "Oslo"}).text
            'weather({"city": "Oslo", "day": 3})'
        """
        return canonical(self.name or "", self.given)

    def __repr__(self) -> str:
        inner = ", ".join(f"{name}={value!r}" for name, value in self.given.items())
        call = "the model's own call" if self.own else f"{self.name}({inner})"
        if self.argument is not None:
            return f"the argument {self.argument!r} of {call}"
        return f"the name in {call}" if self.scores_name else call if self.own else f"the call {call}"


def check_offered(call: ToolCall, tools: Sequence[Mapping[str, Any]]) -> None:
    """Raise a ValueError for a call of a tool that is none of a chat's; a chat that lists none may have any."""
    names = [name_of(tool) for tool in tools]
    if names and not call.own and call.name not in names:
        raise ValueError(f"The chat has no tool {call.name!r}: its tools are {', '.join(map(repr, names))}.")


def canonical(name: str, arguments: Mapping[str, Any]) -> str:
    """A call in one form: its name, and its arguments as JSON by their names."""
    return f"{name}({json.dumps(dict(arguments), ensure_ascii=False, sort_keys=True)})"


def _read(given: Any) -> dict[str, Any] | None:
    """Arguments as a mapping."""
    if given is None:
        return None
    read = given
    if isinstance(given, str):
        try:
            read = json.loads(given)
        except ValueError as error:
            raise ValueError(f"The arguments of the tool call do not parse as JSON ({error}): {shown(given)}.") from error
    if not isinstance(read, Mapping) or not all(isinstance(name, str) for name in read):
        raise TypeError(f"The arguments of a tool call are a mapping from their names, or its JSON; got {shown(given)}.")
    return dict(read)
