"""The similarity of tool calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from interpreto_mllm.calls.parse import WrittenCall, calls_in
from interpreto_mllm.calls.tool_call import PARTS, ToolCall
from interpreto_mllm.core.shown import shown
from interpreto_mllm.similarity.texts import TextMeasure


@dataclass(frozen=True)
class SameCall(TextMeasure):
    """Whether a response makes the call of the original answer, in whatever syntax either is written.

    Of a whole call, half is the name of the function and half the share of arguments that are equal, of those in either call;
    another function, or no call, is worth 0. Of the name, and of one argument of the same function, it is 1 or 0.

    Args:
        part: "call" or "name".
        argument: the name of the argument that alone is compared.

    Raises:
        ValueError: for another part, or both.

    Example:
        >>> SameCall()('weather({"city": "Oslo", "day": 3})', '<tool_call>{"name": "weather", "arguments": {"city": "Oslo"}}')
        0.75
        >>> SameCall("name")('weather({"city": "Oslo"})', '[weather(city="Rome")]'), SameCall()("weather({})", "It rains.")
        (1.0, 0.0)
    """

    part: str = "call"
    argument: str | None = None

    def __post_init__(self) -> None:
        if self.part not in PARTS or (self.argument is not None and self.part != "call"):
            raise ValueError(f"SameCall compares a 'call', a 'name' or one argument=...; got {shown(self.part)}.")

    def __call__(self, original: str, response: str) -> float:
        ours, theirs = calls_in(original), calls_in(response)
        return max((self._alike(ours[0], one) for one in theirs), default=0.0) if ours else 0.0

    def _alike(self, ours: WrittenCall, theirs: WrittenCall) -> float:
        if ours.name != theirs.name:
            return 0.0
        if self.part == "name":
            return 1.0
        if self.argument is not None:
            return float(_held(ours, self.argument) == _held(theirs, self.argument))
        names = {*ours.arguments, *theirs.arguments}
        equal = sum(_held(ours, name) == _held(theirs, name) for name in names)
        return 0.5 + 0.5 * (equal / len(names) if names else 1.0)

    def check(self, asked: ToolCall) -> None:
        """Raise a ValueError where a target asks about another part of a call than this compares."""
        mine, wanted = (self.part, self.argument), ("name" if asked.scores_name else "call", asked.argument)
        if mine != wanted:
            fitting = f"argument={wanted[1]!r}" if wanted[1] is not None else f"part={wanted[0]!r}"
            raise ValueError(f"The target is {asked}, and this similarity compares something else: use SameCall({fitting}).")


def _held(call: WrittenCall, name: str) -> tuple[bool, Any]:
    """Whether a call has an argument, and its value."""
    return name in call.arguments, call.arguments.get(name)
