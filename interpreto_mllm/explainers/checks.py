"""What an explainer is given, checked before anything is asked of the model."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from interpreto_mllm.adapters.remote.model import RemoteModel
from interpreto_mllm.aggregators.aggregator import Aggregator
from interpreto_mllm.aggregators.gradient import GradientAggregator, RelevanceAggregator
from interpreto_mllm.attribution import Attribution
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.fingerprint import UNCHECKED, Fingerprint, differences, incomparable
from interpreto_mllm.core.shown import shown
from interpreto_mllm.engine.backward_rules import BackwardRules
from interpreto_mllm.engine.device import input_device
from interpreto_mllm.games.game import ModelGame
from interpreto_mllm.perturbators.gradient import GradientPerturbator
from interpreto_mllm.perturbators.perturbator import Perturbator


def check_parts(perturbator: object, aggregator: object, rules: BackwardRules | None = None) -> None:
    """Raise a TypeError unless these are a perturbator and an aggregator that go together, under these backward rules."""
    for name, part, base in (("perturbator", perturbator, Perturbator), ("aggregator", aggregator, Aggregator)):
        if not isinstance(part, base):
            hint = f" Give an instance: {part.__name__}()." if isinstance(part, type) else ""
            raise TypeError(f"{name} must be a {base.__name__}; got {shown(part)}.{hint}")
    points, gradients = isinstance(perturbator, GradientPerturbator), isinstance(aggregator, GradientAggregator)
    if points != gradients:
        draws, folds = ("points", "coalitions") if points else ("coalitions", "gradients at points")
        raise TypeError(
            f"{type(perturbator).__name__} draws {draws} and {type(aggregator).__name__} aggregates {folds}: combine a "
            "GradientPerturbator with a GradientAggregator, or a perturbator of coalitions with an aggregator of these."
        )
    if isinstance(aggregator, RelevanceAggregator) and (rules is None or rules.check is None):
        raise TypeError(
            "RelevanceAggregator folds gradients that follow the rules of Relevance: use Relevance(model, tokenizer), or "
            "PathAggregator for the plain gradient times the input."
        )


def check_continuation(evaluations: object, checkpoint: object, gradients: bool) -> None:
    """Raise a ValueError for both earlier evaluations and a checkpoint, and for either of them with a gradient method."""
    if evaluations is not None and checkpoint is not None:
        raise ValueError("Give either evaluations or a checkpoint to continue from, not both.")
    if gradients and (evaluations is not None or checkpoint is not None):
        raise ValueError(
            "A gradient method takes its few gradients anew: leave `evaluations` and `checkpoint` out. (Points of an "
            "interrupted call cannot be continued.)"
        )


def check_device(device: str | torch.device | None, model: Any) -> None:
    """Raise a ValueError for a device that is not the model's own, which is never moved."""
    if device is None:
        return
    if isinstance(model, RemoteModel):
        raise ValueError(f"device={str(device)!r}, but a served model is on no device of this process: leave device out.")
    try:
        wanted = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device must be one of torch's, such as 'cuda:0'; got {shown(device)}.") from error
    there = input_device(model)
    if wanted.type != there.type or (None not in (wanted.index, there.index) and wanted.index != there.index):
        raise ValueError(
            f"device={str(device)!r}, but the model is on {there} and is never moved: call model.to({str(device)!r}) before "
            "you explain it, or leave device out."
        )


@dataclass(frozen=True)
class Known:
    """What is known of a game before it is played.

    Args:
        evaluations: of an earlier play, None without one.
        verified: whether they are known to be of this game.
        notes: what a reader must know of that.
    """

    evaluations: Evaluations | None = None
    verified: bool = True
    notes: tuple[str, ...] = ()


def known_evaluations(earlier: Sequence[Attribution | Evaluations] | None, games: Sequence[ModelGame]) -> list[Known]:
    """What is known of each game from earlier results.

    Raises:
        ValueError: when the results are not of these games; the message names what differs.
    """
    if earlier is None:
        return [Known()] * len(games)
    if len(earlier) != len(games):
        raise ValueError(f"{len(games)} inputs but evaluations of {len(earlier)}: give one result (or Evaluations) per input.")
    return [_known(one, game) for game, one in zip(games, earlier, strict=True)]


def _known(earlier: Attribution | Evaluations, game: ModelGame) -> Known:
    evaluations = (earlier.evaluations if isinstance(earlier, Attribution) else earlier).of_tokens
    if not len(evaluations.coalitions):
        return Known()
    game.check(evaluations)
    if evaluations.fingerprint is None:
        return Known(game.known(evaluations), False, (UNCHECKED,))
    check_same(evaluations.fingerprint, game.fingerprint, "The earlier evaluations are of another game", game.reconciled)
    unseen = incomparable(evaluations.fingerprint, game.fingerprint)
    note = f"Earlier evaluations were taken over although this could not be compared: {', '.join(unseen)}."
    return Known(game.known(evaluations), True, (note,) if unseen else ())


def check_same(there: Fingerprint, here: Fingerprint, problem: str, free: Collection[str] = ()) -> None:
    """Raise a ValueError that names the problem and what differs, where anything but `free` does."""
    differing = differences(there, here, free)
    if differing:
        more = f"; and {len(differing) - 3} more" if len(differing) > 3 else ""
        raise ValueError(f"{problem}: {'; '.join(differing[:3])}{more}.")
