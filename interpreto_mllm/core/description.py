"""What a value is, as a short text made of its content: equal for equal values, in every process."""

from __future__ import annotations

import dataclasses
import functools
import sys
import types
from collections.abc import Mapping
from enum import Enum
from typing import Any

import numpy as np
import torch
from torch import nn

from interpreto_mllm.core.fingerprint import UNKNOWN, hashed, quoted
from interpreto_mllm.core.weights import weights

DEPTH, SHORT = 8, 120
PYTHON = f"Python {sys.version_info.major}.{sys.version_info.minor}"
LIBRARY = __name__.partition(".")[0]


def describe(value: Any) -> str:
    """A value in words and digests, without any address.

    Functions are compared by their bytecode, constants, defaults and what they refer to in their own package; objects by their
    class and what they hold. `#?` stands for content that cannot be seen from Python.

    Example:
        >>> describe((1, "red", None)), describe(lambda x: x + 1) == describe(lambda x: x + 2)
        ("(1, 'red', None)", False)
    """
    return _described(value, 0, ())


def _described(value: Any, depth: int, above: tuple[int, ...]) -> str:
    if value is None or isinstance(value, (bool, int, float, complex)):
        return repr(value)
    if isinstance(value, str):
        return quoted(value)
    if depth > DEPTH or id(value) in above:
        return "…" if id(value) in above else UNKNOWN
    below = functools.partial(_described, depth=depth + 1, above=(*above, id(value)))
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, (type, types.ModuleType)):
        return value.__qualname__ if isinstance(value, type) else value.__name__
    if isinstance(value, (bytes, np.ndarray, np.generic, torch.Tensor)) or hasattr(value, "getbands"):
        return _numbers(value)
    if isinstance(value, Mapping):
        return _enclosed("{", [f"{below(key)}: {below(one)}" for key, one in value.items()], "}", ordered=False)
    if isinstance(value, (set, frozenset)):
        return _enclosed("{", [below(one) for one in value], "}", ordered=False)
    if isinstance(value, (list, tuple)):
        return _enclosed("(", [below(one) for one in value], ")")
    return _callable(value, below) or _object(value, below)


def _callable(value: Any, below: Any) -> str | None:
    """Functions, methods and partial functions; None for other objects."""
    if isinstance(value, types.FunctionType):
        if (value.__module__ or "").partition(".")[0] == LIBRARY and "<" not in value.__qualname__:
            return value.__qualname__
        return f"{value.__name__} ({PYTHON}) {hashed(_code(value, below))}"
    if isinstance(value, types.MethodType):
        return f"{below(value.__func__)} of {below(value.__self__)}"
    if isinstance(value, functools.partial):
        return f"partial({below(value.func)}, {below(value.args)}, {below(value.keywords)})"
    if isinstance(value, types.BuiltinFunctionType):
        return f"{value.__module__}.{value.__qualname__}"
    return None


def _object(value: Any, below: Any) -> str:
    kind = type(value)
    if isinstance(value, nn.Module):
        return f"{kind.__name__}({weights(value)})"
    if kind.__module__.partition(".")[0] in ("transformers", "tokenizers"):
        return kind.__name__
    ours = kind.__module__.partition(".")[0] == LIBRARY
    if dataclasses.is_dataclass(value):
        held = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    elif hasattr(value, "__dict__"):
        held = {name: one for name, one in vars(value).items() if not (ours and name.startswith("_"))}
    else:
        return f"{kind.__module__}.{kind.__qualname__} {UNKNOWN}"
    inside = _enclosed("(", [f"{name}={below(one)}" for name, one in held.items()], ")")
    return f"{kind.__name__}{inside}" if ours else f"{kind.__qualname__}{inside} ({PYTHON}) {_methods(kind, below)}"


def _methods(kind: type, below: Any) -> str:
    """A digest of the code of a class that is not this library's."""
    skipped = (LIBRARY, "builtins", "abc", "typing")
    classes = [base for base in kind.__mro__ if base.__module__.partition(".")[0] not in skipped]
    members = [one for base in classes for _, one in sorted(vars(base).items(), key=lambda item: item[0])]
    functions = [getattr(one, "__func__", getattr(one, "fget", one)) for one in members]
    return hashed(*(_code(one, below) for one in functions if isinstance(one, types.FunctionType)))


def _code(function: types.FunctionType, below: Any) -> str:
    """All that decides what a function does: its code, and what it finds outside of it in its own package."""
    code, package = function.__code__, (function.__module__ or "").partition(".")[0]
    found = [(name, function.__globals__[name]) for name in _names(code) if name in function.__globals__]
    outside = [f"{name}={_referred(one, package, below)}" for name, one in found]
    cells = [below(_content(cell)) for cell in function.__closure__ or ()]
    return "|".join([_bytecode(code, below), below(function.__defaults__), below(function.__kwdefaults__), *cells, *outside])


def _bytecode(code: types.CodeType, below: Any) -> str:
    constants = [_bytecode(one, below) if isinstance(one, types.CodeType) else below(one) for one in code.co_consts]
    return "|".join([code.co_code.hex(), *constants, *code.co_names, *code.co_varnames])


def _names(code: types.CodeType) -> list[str]:
    """The names that code, and code within it, may look up."""
    nested = [name for one in code.co_consts if isinstance(one, types.CodeType) for name in _names(one)]
    return sorted({*code.co_names, *nested})


def _referred(value: Any, package: str, below: Any) -> str:
    """What a function refers to: functions of other packages by name alone."""
    module = getattr(value, "__module__", None)
    if isinstance(value, types.FunctionType) and (module or "").partition(".")[0] != package:
        return f"{module}.{value.__qualname__}"
    return below(value)


def _content(cell: Any) -> Any:
    """What a closure holds; nothing before it is filled."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _numbers(value: Any) -> str:
    """Arrays, tensors, images and bytes by shape and digest."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes {hashed(value)}"
    if hasattr(value, "getbands"):
        return f"image of {value.width} × {value.height} {hashed(value.mode, value.tobytes())}"
    if isinstance(value, torch.Tensor):
        flat = value.detach().cpu().contiguous().flatten()
        content = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    else:
        content = np.ascontiguousarray(value).tobytes()
    kind = str(value.dtype).removeprefix("torch.")
    return f"{kind} of shape {tuple(value.shape)} {hashed(kind, content)}"


def _enclosed(opening: str, parts: list[str], closing: str, ordered: bool = True) -> str:
    """The parts of a whole, or of a long one their number and a digest."""
    parts = parts if ordered else sorted(parts)
    text = f"{opening}{', '.join(parts)}{closing}"
    if len(text) <= SHORT or UNKNOWN in text:
        return text
    return f"{opening}{len(parts)} parts{closing} {hashed(*parts)}"
