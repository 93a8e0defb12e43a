"""Who brought an image, a clip or a video into a prompt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from interpreto_mllm.chats.parts import Part
from interpreto_mllm.core.feature import Feature


@dataclass(frozen=True)
class Sender:
    """Of a medium: the message that it is in; nothing is known of it outside chats.

    Args:
        role: of the message.
        turn: its index.
        source: the id of the tool result that it is in, or the name of who wrote the message.
        trusted: as the medium is marked, else as its message is.

    Example:
        >>> Sender("tool", 2, "c1", False).marked([Feature("image")])[0].trusted
        False
    """

    role: str | None = None
    turn: int | None = None
    source: str | None = None
    trusted: bool | None = None

    @classmethod
    def of(cls, part: Part) -> Sender:
        """Of a part of a chat."""
        return cls(part.role, part.turn, part.source, part.trusted)

    def marked(self, pieces: Iterable[Feature]) -> list[Feature]:
        """The pieces of the medium, which say whose they are."""
        return [replace(piece, source=self.source, trusted=self.trusted) for piece in pieces]
