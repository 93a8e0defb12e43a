"""jaxtyping's import hook, made to check what it leaves out where annotations are strings, and to take little time.

Every module of the package has `from __future__ import annotations`, so every annotation is a string, and jaxtyping 0.2

* skips the fields of dataclasses (and builds and decorates an empty function for each instance all the same);
* checks no parameter of a function one of whose annotations cannot be resolved when it is defined, such as a method that
  returns its own class, or one that names a class imported for type checkers only;
* makes the checks of a function inside another one anew whenever the outer one is called, binds the arguments of every call by
  name, and checks parameters a second time with what is returned: two fifths of the time of all tests.

Here annotations are resolved when a function is first called, a name that is missing then stands for Any, and everything beside
it is checked; the checks of a piece of code, and those of a dataclass, are made once and kept.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from types import CodeType, SimpleNamespace
from typing import Any, get_type_hints

import jaxtyping
import jaxtyping._decorator as decorator
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import TypeCheckError, install_import_hook
from jaxtyping._storage import pop_shape_memo, push_shape_memo, shape_str

Typechecker = Callable[..., Any]


def install(package: str) -> None:
    """Check the shapes and types of `package`, which must not have been imported yet."""
    decorator._check_dataclass_annotations = check_fields
    jaxtyping.jaxtyped = functools.partial(checked, decorator.jaxtyped)
    install_import_hook(package, "beartype.beartype")


def checked(jaxtyped: Callable[..., Any], *decorated: Any, typechecker: Typechecker) -> Any:
    """In place of jaxtyping's decorator, which is given what is no function."""
    if not decorated:
        return functools.partial(checked, jaxtyped, typechecker=typechecker)
    if not inspect.isfunction(decorated[0]):
        return jaxtyped(*decorated, typechecker=typechecker)
    return checked_function(decorated[0], typechecker)


def checked_function(function: Callable[..., Any], typechecker: Typechecker) -> Callable[..., Any]:
    """The function, whose parameters and whose result are held to their annotations.

    Raises:
        jaxtyping.TypeCheckError: when called, for one that is not what it is annotated as.
    """

    @functools.wraps(function)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        if jaxtyping.config.jaxtyping_disable:
            return function(*arguments, **options)
        checks = CHECKS.get(function.__code__)
        if checks is None:
            checks = CHECKS[function.__code__] = Checks(function, typechecker)
        memos = push_shape_memo(checks.bound(arguments, options))
        try:
            hold(checks.parameters, arguments, options, memos, checks)
            returned = function(*arguments, **options)
            hold(checks.returned, (), {"returned": returned}, memos, checks)
            return returned
        finally:
            pop_shape_memo()

    return wrapped


class Checks:
    """Of the parameters and of the result of a function, None where these may be anything."""

    parameters: Callable[..., None] | None = None
    returned: Callable[..., None] | None = None

    def __init__(self, function: Callable[..., Any], typechecker: Typechecker):
        self.signature = inspect.signature(function)
        self.names_arguments = any("{" in str(written) for written in function.__annotations__.values())
        annotations = function_annotations(function)
        result = annotations.pop("return", Any)
        if any(annotation is not Any for annotation in annotations.values()):
            named = self.signature.parameters.values()
            parameters = [one.replace(annotation=annotations.get(one.name, Any)) for one in named]
            self.parameters = check(function, parameters, typechecker)
        if result is not Any:
            self.returned = check_result(function, result, typechecker)

    def bound(self, arguments: Sequence[Any], options: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments by name, where a shape names one of them."""
        if not self.names_arguments:
            return {}
        bound = self.signature.bind(*arguments, **options)
        bound.apply_defaults()
        return bound.arguments


CHECKS: dict[CodeType, Checks] = {}


def check(named: Any, parameters: Sequence[inspect.Parameter], typechecker: Typechecker) -> Callable[..., None]:
    """A function of these parameters, named as a function or a class, that does nothing but check them."""
    names = named.__name__, named.__qualname__, named.__module__
    signature = inspect.Signature(parameters, return_annotation=Any)
    return typechecker(decorator._make_fn_with_signature(*names, signature, output=False))


def check_result(named: Any, annotation: Any, typechecker: Typechecker) -> Callable[..., None]:
    """A function that does nothing but check what another one `returned`."""

    def returned(*, returned: Any) -> Any:
        return returned

    returned.__name__, returned.__qualname__, returned.__module__ = named.__name__, named.__qualname__, named.__module__
    returned.__annotations__ = {"returned": Any, "return": annotation}
    return typechecker(returned)


def hold(
    check: Callable[..., None] | None, arguments: Sequence[Any], options: Mapping[str, Any], memos: Any, checks: Checks | None
) -> None:
    """Check these arguments; the letters of their shapes mean what they mean in `memos`."""
    if check is None:
        return
    try:
        check(*arguments, **options)
    except BeartypeCallHintViolation as violation:
        raise TypeCheckError(f"{check.__module__}: {violation}\n{shape_str(memos)}") from violation
    except TypeError:
        if checks is not None and check is checks.parameters:
            checks.signature.bind(*arguments, **options)  # says which argument is missing or not known
        raise


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


def check_fields(instance: Any, typechecker: Typechecker) -> None:
    """Hold a dataclass's fields to their annotations, and the letters of their shapes to one another.

    Raises:
        jaxtyping.TypeCheckError: for a field that is not what it is annotated as.
    """
    if jaxtyping.config.jaxtyping_disable:
        return
    names, check = _fields_check(type(instance), typechecker)
    memos = push_shape_memo({})
    try:
        hold(check, (instance,), {name: getattr(instance, name) for name in names}, memos, None)
    finally:
        pop_shape_memo()


@functools.cache
def _fields_check(kind: type, typechecker: Typechecker) -> tuple[list[str], Callable[..., None]]:
    annotations = field_annotations(kind)
    parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)]
    for name, annotation in annotations.items():
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation))
    return list(annotations), check(kind, parameters, typechecker)
