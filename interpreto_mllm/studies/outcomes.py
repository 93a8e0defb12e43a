"""What comes of explaining one sample, as a worker sends it to the process that writes the artifacts."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["done", "failed"]


@dataclass(frozen=True)
class Failure:
    """An error, without what cannot be sent.

    Args:
        kind: its class.
        message: what it says.
        traceback: where it was raised, from the work on the sample inwards.

    Example:
        >>> try:
        ...     raise ValueError("no such column")
        ... except ValueError as error:
        ...     failure = Failure.of(error)
        >>> failure.kind, failure.message, failure.traceback.splitlines()[0]
        ('ValueError', 'no such column', 'Traceback (most recent call last):')
    """

    kind: str
    message: str
    traceback: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """That of an error that was caught."""
        return cls(type(error).__name__, str(error), "".join(traceback.format_exception(error)))


@dataclass(frozen=True)
class Outcome:
    """What became of a sample.

    Args:
        identity: of the sample.
        content: what its file in `samples/` holds: scores and metrics, or the failure.
        archive: the whole result with its evaluations, as `Attribution.save` writes it; None where there is none.
        costs: seconds, evaluations paid, forwards and tokens: what differs from one execution to the next.
        unusable: why no sample of this run can be explained, such as a model that does not load.
    """

    identity: str
    content: Mapping[str, Any] = field(default_factory=dict)
    archive: bytes | None = None
    costs: Mapping[str, Any] = field(default_factory=dict)
    unusable: Failure | None = None

    @property
    def status(self) -> Status:
        """Whether there is a result."""
        return "done" if self.archive is not None else "failed"


def failed(identity: str, failure: Failure, costs: Mapping[str, Any] | None = None) -> Outcome:
    """The outcome of a sample that could not be explained."""
    error = {"type": failure.kind, "message": failure.message, "traceback": failure.traceback}
    return Outcome(identity, {"identity": identity, "status": "failed", "error": error}, costs=costs or {})
