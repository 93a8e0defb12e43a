"""A kind of bad input, and what is given in the calls that show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from support import zoo

from interpreto_mllm import KernelShap

SKY = "the sky is blue"
CHAT = [{"role": "user", "content": "the sky"}]


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Args:
        given: what is given, in words.
        call: gives it.
        said: a part of the message.
        kind: of the error; None where none is raised, and what the call returns says it.
        after: whether it is found only once the model has been run, or a server been asked.
    """

    given: str
    call: Callable[[], Any]
    said: str
    kind: type[Exception] | None = ValueError
    after: bool = False


@cache
def llama() -> Any:
    return zoo.build("llama")


@cache
def bert() -> Any:
    return zoo.build("bert")


@cache
def bpe() -> Any:
    return zoo.byte_bpe()


def explain(inputs: Any, targets: Any = " x", **options: Any) -> Any:
    """A language model explained."""
    return KernelShap(llama(), bpe(), progress=False, **options)(inputs, targets)


def classify(inputs: Any, targets: Any = 0, **options: Any) -> Any:
    """A classifier explained."""
    return KernelShap(bert(), zoo.wordpiece(), progress=False, **options)(inputs, targets)
