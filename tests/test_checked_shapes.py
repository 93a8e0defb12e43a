"""The shapes that the package claims are checked while the tests run: of functions, and of the fields of dataclasses."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import pytest
import torch
from jaxtyping import TypeCheckError
from support.checked_shapes import missing_names, names_around, resolved

import interpreto_mllm
from interpreto_mllm import Attribution
from interpreto_mllm.aggregators import BanzhafAggregator
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.results.record import Record


class Annotation(NamedTuple):
    """What is written, and the names of the module it is written in."""

    where: str
    text: str
    names: Mapping[str, Any]


SHAPED = re.compile(r"\b(Float|Float32|Float64|Int|Int64|UInt8|Bool|Num|Shaped|Real|Complex)\[")
MODULES = [importlib.import_module(found.name) for found in pkgutil.walk_packages(interpreto_mllm.__path__, "interpreto_mllm.")]


def evaluations(**changes: Any) -> Evaluations:
    """Two coalitions of three features, or something that is none."""
    fields = {
        "coalitions": torch.tensor([[False] * 3, [True] * 3]),
        "values": torch.zeros(2, 1),
        "draws": torch.zeros(0, dtype=torch.int64),
        "weights": torch.zeros(0, dtype=torch.float64),
        "chains": torch.zeros(0, dtype=torch.int64),
    }
    return Evaluations(**{**fields, **changes})


def dataclasses_of_the_package() -> Iterator[type]:
    for module in MODULES:
        for kind in vars(module).values():
            if isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind.__module__ == module.__name__:
                yield kind


def functions_of_the_package() -> Iterator[Callable[..., Any]]:
    for module in MODULES:
        kinds = [kind for kind in vars(module).values() if isinstance(kind, type) and kind.__module__ == module.__name__]
        for member in [*vars(module).values(), *(member for kind in kinds for member in vars(kind).values())]:
            function = inspect.unwrap(getattr(member, "fget", None) or getattr(member, "__func__", member))
            if inspect.isfunction(function) and function.__code__.co_filename == module.__file__:
                yield function


def fields() -> list[Annotation]:
    return [
        Annotation(f"{kind.__module__}.{kind.__qualname__}.{field.name}", field.type, names_around(kind, field.name))
        for kind in dataclasses_of_the_package()
        for field in dataclasses.fields(kind)
    ]


def signatures() -> list[Annotation]:
    return [
        Annotation(f"{function.__module__}.{function.__qualname__}({name})", text, function.__globals__)
        for function in functions_of_the_package()
        for name, text in function.__annotations__.items()
    ]


def for_type_checkers(module: str) -> set[str]:
    """The names that a module imports under `if TYPE_CHECKING:`."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    blocks = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.Import | ast.ImportFrom)]
    return {(alias.asname or alias.name).split(".")[0] for node in imports for alias in node.names}


@pytest.mark.parametrize(
    "wrong",
    [
        {"draws": "draws"},
        {"coalitions": torch.zeros(3)},
        {"coalitions": torch.zeros(2, 3)},  # of another type
        {"values": torch.zeros(3, 1)},  # one row too many for the coalitions
        {"weights": torch.zeros(1)},  # no draw for the weight
        {"repeats": torch.zeros(4, 2, 2)},  # of two targets, where the values have one
    ],
)
def test_a_dataclass_refuses_fields_of_another_shape(wrong: dict[str, Any]) -> None:
    evaluations()
    with pytest.raises(TypeCheckError, match=next(iter(wrong))):
        evaluations(**wrong)


def test_a_dataclass_refuses_nonsense() -> None:
    with pytest.raises(TypeCheckError):
        Evaluations(torch.zeros(3), torch.zeros(3), "draws", 7, None)  # type: ignore[arg-type]


class Shown(Record):
    """A record without a field of its own."""


@pytest.mark.parametrize("kind", [Record, Shown, Attribution])
def test_inherited_fields_are_checked(kind: type[Record]) -> None:
    record = kind.from_evaluations(evaluations(), BanzhafAggregator())
    with pytest.raises(TypeCheckError):
        dataclasses.replace(record, attributions=torch.zeros(1, 3, dtype=torch.int64))  # not of floats
    with pytest.raises(TypeCheckError, match="standard_errors"):
        dataclasses.replace(record, standard_errors=torch.zeros(1, 4))  # of four features, where there are three


def test_a_method_of_its_own_class_is_checked() -> None:
    """`with_values` returns Evaluations, a name that is not there yet when the method is defined."""
    with pytest.raises(TypeCheckError):
        evaluations().with_values(torch.zeros(2))  # type: ignore[arg-type]


def test_there_are_shapes_to_check() -> None:
    """So that the next two tests cannot pass for having found nothing."""
    assert sum(SHAPED.search(str(found.text)) is not None for found in fields()) > 50
    assert sum(SHAPED.search(str(found.text)) is not None for found in signatures()) > 400


def test_no_shape_is_lost() -> None:
    """A shape that a string spells is one that the check sees."""
    shaped = [found for found in [*fields(), *signatures()] if SHAPED.search(str(found.text))]
    assert [found.where for found in shaped if "jaxtyping" not in repr(resolved(found.text, found.names))] == []


def test_every_name_in_an_annotation_is_there() -> None:
    """In its module, or imported there for type checkers: a name that was lost would not be checked, and nobody told."""
    lost = {
        f"{found.where}: {name}"
        for found in [*fields(), *signatures()]
        for name in missing_names(found.text, found.names)
        if name not in for_type_checkers(found.names["__name__"])
    }
    assert lost == set()
