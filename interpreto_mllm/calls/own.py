"""The model's own call in its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from interpreto_mllm.calls.parse import Span, WrittenCall, calls_in
from interpreto_mllm.calls.rendered import WrittenAnswer
from interpreto_mllm.calls.tool_call import ToolCall
from interpreto_mllm.core.shown import shown


def own_call(wanted: ToolCall, answer: str, notes: Sequence[str] = ()) -> WrittenAnswer:
    """An answer, and the part of its first call that is wanted.

    Args:
        wanted: the part.
        answer: it.
        notes: on the answer, such as that it was cut.

    Raises:
        ValueError: for an answer that is no call, or a call without the argument that is wanted.

    Example:
        >>> answer = 'Well, {"name": "weather", "arguments": {"city": "Oslo"}}'
        >>> written = own_call(ToolCall(argument="city"), answer)
        >>> answer[slice(*written.span)]
        'Oslo'
    """
    return WrittenAnswer(answer, _part(wanted, _first(answer, notes)))


def call_made(wanted: ToolCall, answer: str) -> ToolCall:
    """The first call in an answer, of which the same is scored as of the wanted one.

    Raises:
        ValueError: for an answer that is no call, or a call without the argument that is wanted.
    """
    call = _first(answer)
    _part(wanted, call)
    return replace(wanted, name=call.name, arguments=call.arguments, part="name" if wanted.scores_name else wanted.part)


def _first(answer: str, notes: Sequence[str] = ()) -> WrittenCall:
    """The first call in an answer."""
    calls = calls_in(answer)
    if not calls:
        raise ValueError(
            f"The model's answer is no tool call that can be read: {shown(answer)}. Give the call to explain, ToolCall(name, "
            f"arguments), or leave the target out to explain this answer.{''.join(f' {note}' for note in notes)}"
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
