"""What a server answered, taken apart into thoughts and the answer itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from interpreto_mllm.thoughts.marks import KNOWN, ThoughtMarks

FIELDS = ("reasoning_content", "reasoning", "thinking")
"""Of a message, where servers put thoughts that they have cut off the answer."""


@dataclass(frozen=True)
class ServedPart:
    """A part of what a server answers: which one is compared, and how long the thoughts before it may be.

    Args:
        part: "answer" or "thoughts".
        marks: around thoughts that come within the answer; those of well-known models when None.
        most: tokens of thoughts at most, allowed besides those of the answer.
    """

    part: str
    marks: ThoughtMarks | None
    most: int


def taken_apart(message: Mapping[str, Any], text: str, marks: ThoughtMarks | None) -> tuple[str, str]:
    """The thoughts and the answer in a message whose text this is; no answer where the thoughts have no end.

    Example:
        >>> taken_apart({"reasoning_content": "It rains."}, "Yes.", None), taken_apart({}, "<think>It rains.</think>Yes.", None)
        (('It rains.', 'Yes.'), ('It rains.', 'Yes.'))
    """
    told = next((message[name] for name in FIELDS if isinstance(message.get(name), str) and message[name].strip()), "")
    told = told or "".join(_thinking(chunk) for chunk in message.get("content") or () if isinstance(chunk, dict))
    if told.strip():
        return told.strip(), text.strip()
    for known in KNOWN if marks is None else (marks,):
        before, end, after = text.partition(known.end)
        if end:
            return before.replace(known.start, "", 1).strip(), after.strip()
        if text.lstrip().startswith(known.start):
            return text.replace(known.start, "", 1).strip(), ""
    return "", text.strip()


def _thinking(chunk: Mapping[str, Any]) -> str:
    """What a chunk of a message's content holds of thoughts, in one piece or in several."""
    given = chunk.get("thinking") if chunk.get("type") == "thinking" else None
    if isinstance(given, list):
        given = "".join(str(piece.get("text", "")) for piece in given if isinstance(piece, dict))
    return given if isinstance(given, str) else ""
