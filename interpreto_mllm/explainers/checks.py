"""What an explainer is given, checked before anything is asked of the model."""

from __future__ import annotations

from collections.abc import Sequence

from interpreto_mllm.aggregators.aggregator import Aggregator
from interpreto_mllm.attribution import Attribution
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.games.game import ModelGame
from interpreto_mllm.perturbators.perturbator import Perturbator


def check_parts(perturbator: object, aggregator: object) -> None:
    """Raise a TypeError unless these are a perturbator and an aggregator."""
    for name, part, base in (("perturbator", perturbator, Perturbator), ("aggregator", aggregator, Aggregator)):
        if not isinstance(part, base):
            hint = f" Give an instance: {part.__name__}()." if isinstance(part, type) else ""
            raise TypeError(f"{name} must be a {base.__name__}; got {part!r}.{hint}")


def known_evaluations(
    earlier: Sequence[Attribution | Evaluations] | None, games: Sequence[ModelGame]
) -> list[Evaluations | None]:
    """What is known of each game from earlier results.

    Raises:
        ValueError: when the results are not of these games.
    """
    if earlier is None:
        return [None] * len(games)
    if len(earlier) != len(games):
        raise ValueError(f"{len(games)} inputs but evaluations of {len(earlier)}: give one result (or Evaluations) per input.")
    known = [one.evaluations if isinstance(one, Attribution) else one for one in earlier]
    for one, game in zip(known, games, strict=True):
        if len(one.values) and one.values.shape[1] != len(game.question.labels):
            raise ValueError(
                f"The earlier evaluations have {one.values.shape[1]} targets, this input has {len(game.question.labels)}."
            )
    return [game.known(one) if len(one.coalitions) else None for game, one in zip(games, known, strict=True)]
