"""The tools of a chat, and calls of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from interpreto_mllm.chats.parts import NAME_OF_KEY, Part, Path, trust
from interpreto_mllm.core.shown import shown

ROLE = "tools"


def tools_of(given: Any) -> list[dict[str, Any]] | None:
    """The tools as JSON schemas.

    Raises:
        TypeError: for what is no list of functions and schemas.
        ValueError: for a function that cannot be described, a schema without a name, and two tools of one name.
    """
    if not given and (given is None or isinstance(given, Sequence)) and not isinstance(given, str):
        return None
    if isinstance(given, (str, Mapping)) or not isinstance(given, Sequence):
        raise TypeError(f"tools is a list of functions, or of their JSON schemas; got {shown(given)}.")
    tools = [_schema(one) for one in given]
    counts = Counter(map(name_of, tools))
    twice = next((name for name, count in counts.items() if count > 1), None)
    if twice is not None:
        raise ValueError(f"{counts[twice]} tools have the name {twice!r}: their scores could not be told apart.")
    return tools


def function_of(tool: Mapping[str, Any]) -> tuple[Mapping[str, Any], Path]:
    """What describes a function in a schema or a call, and the path to it there."""
    inner = tool.get("function")
    return (inner, ("function",)) if isinstance(inner, Mapping) else (tool, ())


def name_of(tool: Mapping[str, Any]) -> str:
    """The name of a tool, or of the one that is called."""
    return str(function_of(tool)[0]["name"])


def texts_of(tools: Sequence[Mapping[str, Any]]) -> Iterator[Part]:
    """The texts of tools in order: names, descriptions, and those of parameters."""
    for index, tool in enumerate(tools):
        function, inside = function_of(tool)
        entry: Path = (ROLE, index)
        name = name_of(tool)
        shared: dict[str, Any] = {"source": name, "trusted": trust(ROLE, tool), "entry": entry}
        for key in ("name", "description"):
            text = function.get(key)
            if isinstance(text, str):
                label = f"tool {name}" if key == "description" else f"tool {name} · name"
                yield Part(None, ROLE, "text", text, (*entry, *inside, key), label=label, **shared)
        under = next((key for key in ("parameters", "input_schema") if isinstance(function.get(key), Mapping)), None)
        if under is not None:
            for path, text, member in _parameters(function[under], (*entry, *inside, under)):
                yield Part(None, ROLE, "text", text, path, label=f"tool {name} · {member}", member=member, **shared)


def _parameters(schema: Mapping[str, Any], path: Path, member: str = "") -> Iterator[tuple[Path, str, str]]:
    """The names, descriptions and choices of parameters, those within parameters included."""
    properties = schema.get("properties")
    for name, inner in properties.items() if isinstance(properties, Mapping) else ():
        here, whose = (*path, "properties", name), member or f"parameter {name}"
        yield (*here, NAME_OF_KEY), str(name), whose
        if not isinstance(inner, Mapping):
            continue
        if isinstance(inner.get("description"), str):
            yield (*here, "description"), inner["description"], whose
        choices = inner.get("enum")
        for index, choice in enumerate(choices if isinstance(choices, (list, tuple)) else ()):
            if isinstance(choice, str):
                yield (*here, "enum", index), choice, whose
        yield from _parameters(inner, here, whose)
        if isinstance(inner.get("items"), Mapping):
            yield from _parameters(inner["items"], (*here, "items"), whose)


def calls_of(message: Mapping[str, Any], turn: int) -> Iterator[Part]:
    """The texts of a message's tool calls in order: names, and the names and texts of arguments."""
    for index, call in enumerate(message.get("tool_calls") or ()):
        function, inside = function_of(call)
        entry: Path = ("messages", turn, "tool_calls", index)
        name = name_of(call)
        shared: dict[str, Any] = {"source": str(call.get("id") or name), "trusted": trust(message["role"], message)}
        shared |= {"entry": entry, "label": f"call: {name}"}
        yield Part(turn, message["role"], "text", name, (*entry, *inside, "name"), **shared)
        under = next((key for key in ("arguments", "parameters") if key in function), None)
        given = function[under] if under is not None else None
        for key, value in given.items() if isinstance(given, Mapping) else ():
            path = (*entry, *inside, str(under), key)
            member = f"argument {key}"
            for at, text in ((*path, NAME_OF_KEY), str(key)), *_strings(value, path):
                told = {**shared, "label": f"call: {name} · {member}", "member": member}
                yield Part(turn, message["role"], "text", text, at, **told)


def _strings(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """The texts anywhere in a value."""
    if isinstance(value, str):
        yield path, value
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    for key, item in items:
        yield from _strings(item, (*path, key))


def calls_read(message: Mapping[str, Any], turn: int) -> dict[str, Any]:
    """A message whose calls have their arguments as mappings, where they came as JSON.

    Raises:
        ValueError: for a call without a name, and for arguments that are no JSON object.

    Example:
        >>> call = {"function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
        >>> calls_read({"role": "assistant", "tool_calls": [call]}, 0)["tool_calls"]
        [{'function': {'name': 'weather', 'arguments': {'city': 'Oslo'}}}]
    """
    calls = message.get("tool_calls")
    if not calls:
        return dict(message)
    if isinstance(calls, (str, Mapping)) or not isinstance(calls, Sequence):
        raise ValueError(f"Message {turn}: tool_calls is a list of calls; got {shown(calls)}.")
    return {**message, "tool_calls": [_call_read(call, turn) for call in calls]}


def _call_read(call: Any, turn: int) -> dict[str, Any]:
    if not isinstance(call, Mapping) or not isinstance(function_of(call)[0].get("name"), str):
        raise ValueError(
            f"Message {turn}: a tool call names its function, as in {{'type': 'function', 'function': {{'name': 'weather', "
            f"'arguments': {{'city': 'Oslo'}}}}}}; got {shown(call)}."
        )
    function, inside = function_of(call)
    given = function.get("arguments", {})
    if isinstance(given, Mapping):
        return dict(call)
    try:
        read = json.loads(given or "{}")
    except (TypeError, ValueError):
        read = None
    if not isinstance(read, dict):
        raise ValueError(
            f"Message {turn}: the arguments of the call of {function['name']!r} are no JSON object: {shown(given)}."
        )
    made = {**function, "arguments": read}
    return {**call, "function": made} if inside else made


def _schema(one: Any) -> dict[str, Any]:
    """A tool's JSON schema; that of a function is made of its docstring and annotations."""
    if isinstance(one, Mapping):
        if not isinstance(function_of(one)[0].get("name"), str):
            raise ValueError(
                "A tool is a function, or a JSON schema such as {'type': 'function', 'function': {'name': 'weather', "
                f"'description': ..., 'parameters': {{...}}}}}}; this one has no name: {shown(one)}."
            )
        return dict(one)
    if not callable(one):
        raise TypeError(f"A tool is a function, or its JSON schema; got {shown(one)}.")
    from transformers.utils.chat_template_utils import get_json_schema

    try:
        return get_json_schema(one)
    except Exception as error:  # transformers says in several ways what it misses
        raise ValueError(
            f"The function {getattr(one, '__name__', one)!r} cannot be described to the model: {error} Give its arguments "
            "types and a docstring with an 'Args:' section, or give its JSON schema."
        ) from error


def with_arguments_as_text(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with the arguments of their calls as JSON, for templates that add them to a text, as DeepSeek's do.

    Example:
        >>> with_arguments_as_text([{"tool_calls": [{"function": {"name": "clock", "arguments": {"zone": "CET"}}}]}])
        [{'tool_calls': [{'function': {'name': 'clock', 'arguments': '{"zone": "CET"}'}}]}]
    """
    return [
        {**message, "tool_calls": [_as_text(call) for call in message["tool_calls"]]} if message.get("tool_calls") else message
        for message in messages
    ]


def _as_text(call: dict[str, Any]) -> dict[str, Any]:
    function, path = function_of(call)
    given = function.get("arguments")
    if not isinstance(given, Mapping):
        return call
    told = {**function, "arguments": json.dumps(given, ensure_ascii=False)}
    return {**call, "function": told} if path else told
