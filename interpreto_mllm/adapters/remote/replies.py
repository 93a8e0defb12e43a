"""What is in a server's reply: an answer, or what went wrong in the server's own words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

from interpreto_mllm.calls.tool_call import canonical

ResponseBody = dict[str, Any]
"""The JSON of a server's reply."""

PASSING = (408, 409, 429)
"""Statuses, besides those of the server's own failures, after which a request is tried again."""

BUSY = re.compile(r"rate.?limit|too many requests|overloaded|temporarily unavailable|try again later", re.IGNORECASE)
"""What servers say in place of status 429."""

WORDS = 300
"""How many characters of a server's message are repeated."""

LONGEST_WAIT = 60.0
"""Seconds that are waited at a server's request."""


class Refused(Exception):
    """A reply that is no answer.

    Args:
        words: the server's own, as it sent them.
        status: of HTTP, or the one that a reply with status 200 names.
        parameter: the argument that it does not take, where it names one.
        wait: seconds after which it wants to be asked again.
        kind: of the client's error, where it is one to the client.
        names: the code and the type of the error, where the server gives some.
    """

    def __init__(
        self, words: str, status: int, parameter: str = "", wait: float | None = None, kind: str = "", names: str = ""
    ):
        super().__init__(words)
        self.words, self.status, self.parameter, self.wait, self.kind = words, status, parameter, wait, kind
        self.names = names

    @property
    def passes(self) -> bool:
        """Whether the same request may be answered later."""
        return (
            self.status in PASSING
            or self.status >= 500
            or (self.status != 401 and bool(BUSY.search(f"{self.words} {self.names}")))
        )


def read(text: str, status: int, headers: Mapping[str, str], kind: str = "") -> ResponseBody:
    """The body of a reply that has an answer.

    Raises:
        Refused: for any other one, whatever its status says.
    """
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    if 300 <= status < 400:
        raise Refused(f"ask {_address(headers.get('location', ''))} instead", status, kind=kind)
    error = _error(body)
    if status >= 400 or error is not None:
        code = _status(error)
        told = error if error is not None else text
        meant = status if status >= 400 else code or 400
        raise Refused(_words(told)[:WORDS], meant, _parameter(error), _wait(headers), kind, _names(error))
    if not isinstance(body, dict):
        raise Refused(f"a reply that is no JSON object: {text[:WORDS]}", status)
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Refused(f"a reply without choices: {text[:WORDS]}", status)
    if "text" not in choices[0] and not isinstance(choices[0].get("message"), dict):
        raise Refused(f"a reply without a message: {text[:WORDS]}", status)
    return body


def answer_text(body: ResponseBody) -> str:
    """The text that a server answered with, on either route, in one piece or in chunks, and the calls of tools after it.

    Example:
        >>> chunks = [{"type": "thinking", "thinking": "so"}, {"type": "text", "text": "a "}, {"type": "text", "text": "b"}]
        >>> answer_text({"choices": [{"message": {"content": chunks}}]})
        'a b'
        >>> call = {"function": {"name": "weather", "arguments": '{"day": 3, "city": "Oslo"}'}}
        >>> answer_text({"choices": [{"message": {"content": None, "tool_calls": [call]}}]})
        'weather({"city": "Oslo", "day": 3})'
    """
    message = body["choices"][0].get("message") or {}
    return raw_text(body) or str(message.get("refusal") or "")


def raw_text(body: ResponseBody) -> str:
    """The same, empty where the model refused."""
    choice = body["choices"][0]
    message = choice.get("message") or {}
    content = message.get("content", choice.get("text"))
    if isinstance(content, list):
        content = "".join(_chunk(chunk) for chunk in content)
    calls = [_call(call) for call in message.get("tool_calls") or () if isinstance(call, dict)]
    return "\n".join(filter(None, (str(content or ""), *calls)))


def _call(call: Mapping[str, Any]) -> str:
    """A call of a tool in one form, whatever the order of its arguments."""
    function = call.get("function") or call.get("custom") or {}
    given = function.get("arguments", function.get("input")) or "{}"
    try:
        arguments = json.loads(given) if isinstance(given, str) else given
    except ValueError:
        arguments = None
    name = str(function.get("name"))
    return canonical(name, arguments) if isinstance(arguments, dict) else f"{name}({given})"


def is_cut(body: ResponseBody) -> bool:
    """Whether the answer ended because no more tokens were allowed."""
    return body["choices"][0].get("finish_reason") == "length"


def _chunk(chunk: Any) -> str:
    if isinstance(chunk, str):
        return chunk
    text = chunk.get("text") if isinstance(chunk, dict) and chunk.get("type", "text") in ("text", "output_text") else None
    return text if isinstance(text, str) else ""


def _error(body: Any) -> Any:
    """What a body, or its first choice, says went wrong; None where it says nothing."""
    if not isinstance(body, dict):
        return None
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    if body.get("error") or first.get("error"):
        return body.get("error") or first["error"]
    return body if not choices and (body.get("detail") or body.get("message") or body.get("object") == "error") else None


def _words(told: Any) -> str:
    """The message in what a server says went wrong, in the forms that servers give it."""
    if isinstance(told, dict):
        inner = next((told[name] for name in ("message", "detail", "msg", "error", "title") if told.get(name)), None)
        place = ".".join(map(str, told["loc"])) + ": " if isinstance(told.get("loc"), list) else ""
        return place + (json.dumps(told) if inner is None else _words(inner))
    if isinstance(told, list):
        return "; ".join(map(_words, told))
    return re.sub(r"<[^<>]*>", " ", told) if isinstance(told, str) and told.lstrip().startswith("<") else str(told)


def _status(error: Any) -> int | None:
    """The HTTP status that an error names."""
    if not isinstance(error, dict):
        return None
    codes = [str(error.get(name)) for name in ("code", "status", "status_code")]
    return next((int(code) for code in codes if re.fullmatch("[45][0-9][0-9]", code)), None)


def _parameter(error: Any) -> str:
    found = error.get("param") if isinstance(error, dict) else None
    return found if isinstance(found, str) else ""


def _wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait: by its headers, if that is not too long."""
    asked = headers.get("retry-after", "")
    try:
        milliseconds = headers.get("retry-after-ms")
        seconds = float(milliseconds) / 1000 if milliseconds else float(asked)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(asked).timestamp() - time()
        except (TypeError, ValueError):
            return None
    return seconds if 0 < seconds <= LONGEST_WAIT else None


def _address(location: str) -> str:
    """Where a redirect leads, without user, password and query."""
    scheme, separator, rest = location.partition("://")
    rest = re.split(r"[?#]", rest if separator else scheme)[0]
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}" if separator else rest


def _names(error: Any) -> str:
    """The code and the type of an error, where they are words."""
    named = [error.get(name) for name in ("code", "type")] if isinstance(error, dict) else []
    return " ".join(name for name in named if isinstance(name, str))
