"""jaxtyping's import hook, made to check what it leaves out where annotations are strings.

Every module of the package has `from __future__ import annotations`, so every annotation is a string, and jaxtyping 0.2

* skips the fields of dataclasses (and builds and decorates an empty function for each instance all the same);
* checks no parameter of a function one of whose annotations cannot be resolved when it is defined, such as a method that
  returns its own class, or one that names a class imported for type checkers only.

Here a name that is missing stands for Any, and everything beside it is checked; one check per dataclass is made once and kept.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, get_type_hints

import jaxtyping._decorator as decorator
from jaxtyping import install_import_hook


def install(package: str) -> None:
    """Check the shapes and types of `package`, which must not have been imported yet."""
    decorator._check_dataclass_annotations = check_fields
    decorator.get_type_hints = function_annotations
    install_import_hook(package, "beartype.beartype")


def function_annotations(function: Callable[..., Any], include_extras: bool = True) -> dict[str, Any]:
    """The annotations of a function, in place of `typing.get_type_hints`, which gives all of them or none."""
    names = inspect.unwrap(function).__globals__
    return {name: resolved(annotation, names) for name, annotation in function.__annotations__.items()}


def field_annotations(kind: type) -> dict[str, Any]:
    """The annotations of a dataclass's fields, the inherited ones resolved where they were written."""
    return {field.name: resolved(field.type, names_around(kind, field.name)) for field in dataclasses.fields(kind)}


def names_around(kind: type, field: str) -> Mapping[str, Any]:
    """The names of the module in which this field of a dataclass was written."""
    owner = next(base for base in kind.__mro__ if field in inspect.get_annotations(base))
    return vars(sys.modules[owner.__module__])


def resolved(annotation: Any, names: Mapping[str, Any]) -> Any:
    """What a string annotation says, with Any for each name that is not there."""
    return _resolved(annotation, names)[0]


def missing_names(annotation: Any, names: Mapping[str, Any]) -> list[str]:
    """The names in a string annotation that are not there, and so not checked."""
    return _resolved(annotation, names)[1]


def _resolved(annotation: Any, names: Mapping[str, Any]) -> tuple[Any, list[str]]:
    missing: list[str] = []
    while isinstance(annotation, str):
        try:
            annotation = get_type_hints(SimpleNamespace(__annotations__={"it": annotation}), {**names, "Any": Any}, None, True)[
                "it"
            ]
        except NameError as error:
            missing.append(error.name)
            known = re.sub(rf"\b{error.name}\b(\.\w+)*", "Any", annotation)
            annotation = Any if known == annotation else known  # the name is in an alias
        except TypeError:  # the name was that of a generic class, and Any takes no arguments
            annotation = Any
    return Any if "ForwardRef" in repr(annotation) else annotation, missing  # an alias that names itself


def check_fields(instance: Any, typechecker: Callable[..., Any]) -> None:
    """Hold a dataclass's fields to their annotations, and the letters of their shapes to one another.

    Raises:
        jaxtyping.TypeCheckError: for a field that is not what it is annotated as.
    """
    names, check = _fields_check(type(instance), typechecker)
    check(instance, **{name: getattr(instance, name) for name in names})


@functools.cache
def _fields_check(kind: type, typechecker: Callable[..., Any]) -> tuple[list[str], Callable[..., None]]:
    annotations = field_annotations(kind)
    parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)]
    for name, annotation in annotations.items():
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation))
    signature = inspect.Signature(parameters)
    function = decorator._make_fn_with_signature(kind.__name__, kind.__qualname__, kind.__module__, signature, output=False)
    return list(annotations), decorator.jaxtyped(function, typechecker=typechecker)
