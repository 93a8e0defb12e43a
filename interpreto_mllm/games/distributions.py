"""The divergence from what a model predicts after the whole prompt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.engine.queries import Classify, ClassifyAt, Scorer
from interpreto_mllm.games.modes import InferenceModes
from interpreto_mllm.games.targets import Question
from interpreto_mllm.prompts.model_input import ModelInput


class Predictions:
    """A mode that keeps the predictions behind the values, in the order in which they come.

    Attributes:
        seen: target ids, and the log-probabilities of the whole vocabulary (or all classes) at their places.
    """

    def __init__(self) -> None:
        self.seen: list[tuple[Int[Tensor, "b t"], Float[Tensor, "b t v"]]] = []

    def __call__(self, logits: Float[Tensor, "b t v"], targets: Int[Tensor, "b t"]) -> Float[Tensor, "b t"]:
        self.seen.append((targets, logits.log_softmax(-1)))
        return InferenceModes.LOG_SOFTMAX(logits, targets)

    def rows(self) -> Iterator[tuple[list[int], Float[Tensor, "t v"]]]:
        """The ids and predictions of each query."""
        for targets, predicted in self.seen:
            yield from zip(targets.tolist(), predicted, strict=True)


@dataclass(frozen=True, eq=False)
class Divergence:
    """KL(P ‖ Q) in nats: P is the prediction after the whole prompt and a beginning of the target, Q the one of the logits.

    Args:
        whole: P after each beginning of the targets, which decides it.
        one_place: whether there is one P for all targets, such as the classes of a classifier.

    Example:
        >>> whole = {(): torch.tensor([0.5, 0.5]).log()}
        >>> round(Divergence(whole)(torch.tensor([[[0.25, 0.75]]]).log(), torch.tensor([[0]])).item(), 4)
        0.1438
    """

    whole: dict[tuple[int, ...], Float[Tensor, "v"]]
    one_place: bool = False

    def __call__(self, logits: Float[Tensor, "b t v"], targets: Int[Tensor, "b t"]) -> Float[Tensor, "b t"]:
        values = torch.zeros(targets.shape, dtype=logits.dtype, device=logits.device)
        distinct, which = targets.unique(dim=0, return_inverse=True)
        for number, ids in enumerate(distinct.tolist()):
            beginnings = [() if self.one_place else tuple(ids[:place]) for place in range(len(ids))]
            known = [place for place, beginning in enumerate(beginnings) if beginning in self.whole]  # the others are padding
            rows = (which == number).nonzero()
            wanted = torch.stack([self.whole[beginnings[place]] for place in known]).to(logits.device)
            gaps = wanted - logits[rows, known].log_softmax(-1)
            values[rows, known] = torch.where(wanted > -torch.inf, wanted.exp() * gaps, 0.0).sum(-1)
        return values


def divergence(scorer: Scorer[Any], predictions: Predictions, question: Question[Any], whole: ModelInput) -> Divergence:
    """The divergence from what a model predicts after a whole prompt, at the places of a question's targets.

    Args:
        scorer: of the model, under the mode `predictions`.
        predictions: its mode.
        question: the targets.
        whole: the prompt.

    Raises:
        ValueError: for targets at several places of the prompt.
    """
    queries = [target.query(whole) for target in question.targets]
    if len({query.positions for query in queries if isinstance(query, ClassifyAt)}) > 1:
        raise ValueError("KL compares predictions at one place of the prompt: give a single target.")
    for query in {query.key: query for query in queries}.values():
        for _ in scorer.score([query]):
            pass
    found = {tuple(ids[:place]): row for ids, rows in predictions.rows() for place, row in enumerate(rows)}
    return Divergence(found, one_place=any(isinstance(query, Classify) for query in queries))
