"""A given call as a chat template writes it, in place of the model's answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import regex

from interpreto_mllm.calls.parse import Span
from interpreto_mllm.calls.tool_call import ToolCall
from interpreto_mllm.core.shown import shown

Message = dict[str, Any]
Render = Callable[[Sequence[Message], bool], str]
"""From the messages that follow those of the chat, and whether the answer begins after them, to the rendered chat."""

MARKER = "qzPLACEzq"
"""Stands for a piece of a call, to find where the template writes it."""

EMPTY_THOUGHTS = regex.compile(r"\s*(?:<(\w+)>\s*</\1>)?\s*")
"""White space, and thoughts that a template writes empty, before a call."""

CALL_ID = "callAAAA0"
"""Nine letters and digits, as Mistral's templates want them."""


@dataclass(frozen=True)
class WrittenAnswer:
    """A text that may come after a prompt, and the part of it that is scored.

    Args:
        text: all of it.
        span: the characters that are scored.
    """

    text: str
    span: Span


def rendered_call(
    call: ToolCall, render: Render, thinks: Callable[[str], bool], as_text: Sequence[bool] = (False, True)
) -> WrittenAnswer:
    """The call as it follows the prompt, and the part of it that is scored.

    Args:
        call: it.
        render: renders the chat with further messages.
        thinks: whether a prompt ends where thoughts begin.
        as_text: the ways to give arguments that are tried: as a mapping, as JSON.

    Raises:
        ValueError: where the template writes no calls, or writes what comes before them in another way when one follows; and
            where the model's thoughts come first.
    """
    prompt = render([], True)
    if thinks(prompt):
        raise ValueError(
            f"The prompt ends where the model's thoughts begin, {shown(prompt[-40:])}, and {call} would stand among them: turn "
            "thinking off, as by Chat(..., template={'enable_thinking': False}), or give the text of the call as "
            "Reasoned(answer=...)."
        )
    for form in _forms(as_text):
        text = _after_prompt(call, form, render, prompt)
        if text is not None and any(piece in text for piece in _pieces(call)):
            return WrittenAnswer(text, _span(call, form, render, prompt, text))
    raise ValueError(
        f"The chat template does not write tool calls after this chat, so {call} cannot be scored as it would: give the text "
        "that the model writes for it as the target, or set a tokenizer.chat_template that writes tool_calls."
    )


def _pieces(call: ToolCall) -> list[str]:
    """What is in a call that was written: its name, or all of an argument."""
    value = call.given.get(call.argument or "")
    return [str(call.name), *([value] if isinstance(value, str) and value else [])]


Form = Callable[[str, dict[str, Any]], Message]
"""From the name and the arguments of a call to a message that makes it."""


def _forms(ways: Sequence[bool]) -> Iterator[Form]:
    """The ways in which templates take a call."""
    for as_text in ways:
        for content in ("", None):

            def form(name: str, arguments: dict[str, Any], as_text: bool = as_text, content: Any = content) -> Message:
                return call_message(name, arguments, content, as_text)

            yield form


def call_message(name: str, arguments: dict[str, Any], content: str | None = None, as_text: bool = True) -> Message:
    """The assistant's message that makes a call; servers take arguments as text."""
    given = json.dumps(arguments, ensure_ascii=False) if as_text else arguments
    function = {"name": name, "arguments": given}
    return {"role": "assistant", "content": content, "tool_calls": [{"type": "function", "id": CALL_ID, "function": function}]}


def _after_prompt(call: ToolCall, form: Form, render: Render, prompt: str) -> str | None:
    """What the template writes for the call after the prompt; None where it does not take the message."""
    try:
        whole = render([form(str(call.name), call.given)], False)
        ended = render([{"role": "assistant", "content": MARKER}], False)
        before = render([], False)
    except Exception:  # a template fails in its own ways on messages that it does not know
        return None
    answered, found, ending = ended.rpartition(MARKER)
    if whole.startswith(prompt):
        text = whole[len(prompt) :]
    elif whole.startswith(before):
        text = whole[len(before) :]
        text = text[_shared(text, answered[len(before) :] if answered.startswith(before) else "") :]
    else:
        return None
    return text.removesuffix(ending) if found and ending.strip() else text.rstrip()


def _shared(one: str, other: str) -> int:
    """How many characters both begin with."""
    return next((index for index, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _span(call: ToolCall, form: Form, render: Render, prompt: str, text: str) -> Span:
    """The part of the text that is scored."""
    if call.argument is not None:
        return _found(replace(call, arguments={**call.given, call.argument: MARKER}), form, render, prompt, text)
    if call.scores_name:
        return _found(replace(call, name=MARKER, part="name"), form, render, prompt, text)
    unthought = EMPTY_THOUGHTS.match(text)
    assert unthought is not None
    return unthought.end(), len(text.rstrip())


def _found(marked: ToolCall, form: Form, render: Render, prompt: str, text: str) -> Span:
    """Where the text has what the marked one has a marker for."""
    skeleton = _after_prompt(marked, form, render, prompt) or ""
    before, found, after = skeleton.partition(MARKER)
    for first, last in ((before, after), (before[:-1], after[1:]), (before[:-2], after[2:])):  # without quotes, escaped ones
        if found and text.startswith(first) and text.endswith(last) and len(first) + len(last) < len(text):
            return len(first), len(text) - len(last)
    raise ValueError(f"The chat template writes {shown(text)} for this call, and it cannot be found in it where {marked!r} is.")
