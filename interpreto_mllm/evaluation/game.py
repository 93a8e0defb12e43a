"""What the evaluation loop needs to know of a game."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.feature import Feature


@runtime_checkable
class Game(Protocol):
    """A game that can be sampled: that of a prompt on a model, or a plain callable."""

    @property
    def n(self) -> int:
        """Number of features."""
        ...

    @property
    def features(self) -> list[Feature]:
        """The features."""
        ...

    def completed(self, evaluations: Evaluations) -> Evaluations:
        """The evaluations with everything else that the game knows of them, such as answers and the values of each repeat."""
        ...

    def of_answers(self, evaluations: Evaluations) -> Evaluations:
        """The evaluations with the tokens of each answer as one target."""
        ...
