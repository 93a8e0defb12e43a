"""Calls of tools in answers, in the syntaxes that models write them in."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import regex

Span = tuple[int, int]

DECODER = json.JSONDecoder()
ARGUMENTS = ("arguments", "parameters", "args", "input")
"""Keys under which models write arguments."""

NAMED = regex.compile(
    r"(?:functions\.)?(?P<name>[\w.\-]*\w)\s*(?:\[ARGS\]|\(|:\d+\s*<\|tool_call_argument_begin\|>|>|\s```(?:json)?\s)\s*$"
)
"""What stands before arguments that are JSON on their own: Mistral's, DeepSeek's, Kimi's, Llama's tags, and `name({...})`."""

HARMONY = regex.compile(r"to=functions\.(?P<name>[\w.\-]*\w)[^{}]{0,80}<\|message\|>\s*$")
"""The same of gpt-oss, with a channel in between."""

BARE = regex.compile(r"\s*(?P<name>[\w.\-]*\w)")
"""The same, where tokens between the name and the arguments are not shown."""

XML = regex.compile(r"<function=(?P<name>[^>\s]+)>(?P<body>.*?)</function>", regex.DOTALL)
MEMBER = regex.compile(r"<parameter=(?P<name>[^>\s]+)>\n?(?P<value>.*?)\n?</parameter>", regex.DOTALL)
OPENING = regex.compile(
    r"(?:<[|｜]?tool[_▁]calls?(?:[_▁]begin)?[|｜]?>|\[TOOL_CALLS\]|<\|python_tag\|>|functools|```json)\s*\[?\s*$"
)
CLOSING = regex.compile(r"\s*\]?\s*(?:</tool_call>|<\|call\|>|<\|/tool_call\|>|<[|｜]tool[_▁]call[_▁]end[|｜]>|```)?")


@dataclass(frozen=True)
class WrittenCall:
    """A call in a text.

    Args:
        name: of the function.
        arguments: by their names.
        span: the whole call, with the tags around it.
        name_span: where the name is.
        argument_spans: where the values of arguments are, quotes of texts left out.
    """

    name: str
    arguments: dict[str, Any]
    span: Span
    name_span: Span
    argument_spans: dict[str, Span]


def calls_in(text: str) -> list[WrittenCall]:
    """All calls in an answer; none where it is no call.

    Example:
        >>> [call] = calls_in('<tool_call>{"name": "weather", "arguments": {"city": "Oslo"}}</tool_call>')
        >>> call.name, call.arguments, call.argument_spans
        ('weather', {'city': 'Oslo'}, {'city': (54, 58)})
        >>> [call.arguments for call in calls_in('[TOOL_CALLS]weather[ARGS]{"city": "Oslo"}')]
        [{'city': 'Oslo'}]
    """
    found = [*_xml(text)] or [*_json(text)] or [*_python(text)]
    return [_with_tags(call, text) for call in found]


def _json(text: str) -> Iterator[WrittenCall]:
    start = text.find("{")
    while start >= 0:
        call = _object(text, start) or _after_name(text, start)
        if call is not None:
            yield call
        start = text.find("{", start + 1 if call is None else call.span[1])


def _object(text: str, start: int) -> WrittenCall | None:
    """A JSON object with a name and arguments."""
    members = _members(text, start)
    if members is None:
        return None
    values, spans, end = members
    if isinstance(values.get("function"), Mapping):
        inner = _object(text, spans["function"][0])
        return None if inner is None else WrittenCall(inner.name, inner.arguments, (start, end), *_places(inner))
    name = next((key for key in ("name", "function") if isinstance(values.get(key), str)), None)
    key = next((key for key in ARGUMENTS if key in values), None)
    if name is None or key is None:
        return None
    read = _arguments(text, values[key], spans[key])
    return None if read is None else WrittenCall(values[name], read[0], (start, end), _bare(text, spans[name]), read[1])


def _places(call: WrittenCall) -> tuple[Span, dict[str, Span]]:
    return call.name_span, call.argument_spans


def _arguments(text: str, value: Any, span: Span) -> tuple[dict[str, Any], dict[str, Span]] | None:
    """Arguments that are an object, or a text that holds one, and where their values are."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
        return (value, {}) if isinstance(value, dict) else None
    members = _members(text, span[0]) if isinstance(value, dict) else None
    return None if members is None else (members[0], {key: _bare(text, where) for key, where in members[1].items()})


def _after_name(text: str, start: int) -> WrittenCall | None:
    """A JSON object of arguments after the name of the function."""
    before, members = text[:start], _members(text, start)
    named = NAMED.search(before) or HARMONY.search(before) or BARE.fullmatch(before)
    if named is None or members is None:
        return None
    values, spans, end = members
    end += text[end:].startswith(")")
    where = {key: _bare(text, span) for key, span in spans.items()}
    return WrittenCall(named["name"], values, (named.start(), end), named.span("name"), where)


def _members(text: str, start: int) -> tuple[dict[str, Any], dict[str, Span], int] | None:
    """The members of the JSON object that begins here, where their values are, and where it ends; None where there is none."""
    try:
        values, end = DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict):
        return None
    spans: dict[str, Span] = {}
    place = start + 1
    while text[place := _visible(text, place)] != "}":
        key, place = DECODER.raw_decode(text, _visible(text, place))
        value = _visible(text, _visible(text, place) + 1)
        place = DECODER.raw_decode(text, value)[1]
        spans[key] = (value, place)
        place = _visible(text, place)
        place += text[place] == ","
    return values, spans, end


def _visible(text: str, place: int) -> int:
    """The next place that is no white space."""
    while text[place].isspace():
        place += 1
    return place


def _bare(text: str, span: Span) -> Span:
    """A value without its quotes."""
    start, end = span
    return (start + 1, end - 1) if end - start > 2 and text[start] in "\"'" else span


def _xml(text: str) -> Iterator[WrittenCall]:
    for found in XML.finditer(text):
        members = [*MEMBER.finditer(found["body"])]
        if found["body"].strip() and not members:
            continue
        shift = found.start("body")
        values = {member["name"]: _value(member["value"]) for member in members}
        spans = {member["name"]: (member.start("value") + shift, member.end("value") + shift) for member in members}
        yield WrittenCall(found["name"], values, found.span(), found.span("name"), spans)


def _value(text: str) -> Any:
    """A value that may be JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _python(text: str) -> Iterator[WrittenCall]:
    """Calls as Python writes them, alone or in a list."""
    start = len(text) - len(text.lstrip())
    opened = regex.match(r"(?:<\|python_tag\|>|<\|python_start\|>|```(?:python|tool_code)?\s)", text[start:])
    start += opened.end() if opened else 0
    code = regex.sub(r"(?:<\|[a-z_]+\|>|```)\s*$", "", text[start:].rstrip())
    try:
        tree = ast.parse(code, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in tree.elts if isinstance(tree, ast.List) else [tree]:
        if isinstance(node, ast.Call) and not node.args and all(keyword.arg for keyword in node.keywords):
            call = _call_of(node, code)
            if call is not None:
                yield _moved(call, start)


def _call_of(node: ast.Call, code: str) -> WrittenCall | None:
    try:
        values = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.keywords}
    except ValueError:
        return None
    spans = {str(keyword.arg): _bare(code, _place(keyword.value, code)) for keyword in node.keywords}
    name = _place(node.func, code)
    return WrittenCall(code[slice(*name)], values, _place(node, code), name, spans)


def _place(node: ast.expr, code: str) -> Span:
    """Where an expression is; Python counts bytes within lines."""
    lines = code.encode().splitlines(keepends=True)

    def characters(line: int, column: int) -> int:
        return len((b"".join(lines[: line - 1]) + lines[line - 1][:column]).decode())

    assert node.end_lineno is not None and node.end_col_offset is not None
    return characters(node.lineno, node.col_offset), characters(node.end_lineno, node.end_col_offset)


def _moved(call: WrittenCall, by: int) -> WrittenCall:
    def moved(span: Span) -> Span:
        return span[0] + by, span[1] + by

    spans = {name: moved(span) for name, span in call.argument_spans.items()}
    return WrittenCall(call.name, call.arguments, moved(call.span), moved(call.name_span), spans)


def _with_tags(call: WrittenCall, text: str) -> WrittenCall:
    """The call with the tags that stand around it."""
    start, end = call.span
    opened = OPENING.search(text[:start])
    start = opened.start() if opened else start
    closed = CLOSING.match(text, end)
    end = closed.end() if closed and closed.group().strip() else end
    return WrittenCall(call.name, call.arguments, (start, end), call.name_span, call.argument_spans)
