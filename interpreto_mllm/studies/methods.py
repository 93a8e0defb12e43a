"""Methods by name: those of this library, the literature's names, entry points and import paths."""

from __future__ import annotations

import inspect
from typing import Any

from interpreto_mllm import explainers
from interpreto_mllm.explainers.base import AttributionExplainer
from interpreto_mllm.studies import aliases
from interpreto_mllm.studies.names import (
    METHODS_GROUP,
    check_arguments,
    from_entry_points,
    imported,
    is_import_path,
    loaded,
    unknown,
)
from interpreto_mllm.studies.spec import MethodSpec

METHODS: dict[str, type[AttributionExplainer]] = {
    name: kind
    for name in explainers.__all__
    if isinstance(kind := getattr(explainers, name), type) and issubclass(kind, AttributionExplainer)
}
"""Those of this library."""

OF_FIXED_COST = ("ExactShapley", "Occlusion", "Saliency", "InputXGradient", "Relevance")
"""Methods whose number of evaluations follows from the prompt, to which a sweep over budgets says nothing."""


def method_names() -> list[str]:
    """All names but import paths: of this library, of the literature, and of entry points."""
    return [*METHODS, *aliases.METHODS, *from_entry_points(METHODS_GROUP)]


def find_method(name: str) -> type[AttributionExplainer]:
    """The class of a method.

    Raises:
        ValueError: for a name that is none, with the nearest one; for an import path that leads to no method.

    Example:
        >>> find_method("limited_cc").__name__
        'ComplementaryShapley'
    """
    name = aliases.METHODS.get(name, (name, {}))[0]
    if name in METHODS:
        return METHODS[name]
    points = from_entry_points(METHODS_GROUP)
    if name not in points and not is_import_path(name):
        raise unknown("method", name, method_names(), 'a class of your own as "package.module:Name"')
    found = loaded(points[name]) if name in points else imported(name)
    if not (isinstance(found, type) and issubclass(found, AttributionExplainer)):
        raise ValueError(f"{name} is no method: a method is a class derived from interpreto_mllm.AttributionExplainer.")
    return found


def resolved_method(method: MethodSpec) -> MethodSpec:
    """The method under its name here, with the arguments that a name of the literature stands for, checked by name.

    Raises:
        ValueError: for an unknown method or argument.
        TypeError: for a method whose arguments cannot be written in a file.

    Example:
        >>> resolved_method(MethodSpec(name="standard_cc")).arguments
        {'cover_minimal': False}
    """
    kind = find_method(method.name)
    name, implied = aliases.METHODS.get(method.name, (method.name, {}))
    check_arguments(name, kind, method.arguments, ("model", "tokenizer", "self"))
    given = {**implied, **method.arguments}
    own = own_parameters(kind)
    needed = [one for one, parameter in own.items() if parameter.default is parameter.empty and one not in given]
    if needed:
        raise ValueError(f"{name} needs arguments: {', '.join(needed)}.")
    return method.model_copy(update={"name": name, "arguments": given})


def own_parameters(kind: type[Any]) -> dict[str, inspect.Parameter]:
    """The parameters of a method that are its own, by name.

    Example:
        >>> list(own_parameters(find_method("Lime")))
        ['kernel_width', 'alpha', 'distance', 'kernel', 'surrogate']
    """
    parameters = inspect.signature(kind).parameters
    return {
        name: one
        for name, one in parameters.items()
        if name not in ("model", "tokenizer") and one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
    }
