"""The model's own call in its answer."""

from __future__ import annotations

from dataclasses import replace

from interpreto_mllm.calls.parse import Span, WrittenCall, calls_in
from interpreto_mllm.calls.rendered import WrittenAnswer
from interpreto_mllm.calls.tool_call import ToolCall
from interpreto_mllm.core.shown import shown


def own_call(wanted: ToolCall, answer: str) -> WrittenAnswer:
    """An answer, and the part of its first call that is wanted.

    Raises:
        ValueError: for an answer that is no call, or a call without the argument that is wanted.

    Example:
        >>> answer = 'Well, {"name": "weather", "arguments": {"city": "Oslo"}}'
        >>> written = own_call(ToolCall(argument="city"), answer)
        >>> answer[slice(*written.span)]
        'Oslo'
    """
    call = _first(answer)
    return WrittenAnswer(answer, _part(wanted, call))


def call_made(wanted: ToolCall, answer: str) -> ToolCall:
    """The first call in an answer, of which the same is scored as of the wanted one.

    Raises:
        ValueError: for an answer that is no call, or a call without the argument that is wanted.
    """
    call = _first(answer)
    _part(wanted, call)
    return replace(wanted, name=call.name, arguments=call.arguments, part="name" if wanted.scores_name else wanted.part)


def _first(answer: str) -> WrittenCall:
    """The first call in an answer."""
    calls = calls_in(answer)
    if not calls:
        raise ValueError(
            f"The model's answer is no tool call that can be read: {shown(answer)}. Give the call to explain, ToolCall(name, "
            "arguments), or leave the target out to explain this answer."
        )
    return calls[0]


def _part(wanted: ToolCall, call: WrittenCall) -> Span:
    if wanted.argument is None:
        return call.name_span if wanted.scores_name else call.span
    if wanted.argument not in call.argument_spans:
        known = ", ".join(map(repr, call.argument_spans)) or "none"
        raise ValueError(
            f"The model calls {call.name!r} without an argument {wanted.argument!r}; the arguments of its call are {known}."
        )
    return call.argument_spans[wanted.argument]
