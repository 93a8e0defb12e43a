"""Gradient methods written out with plain autograd, one point, one target and one number at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from interpreto_mllm import Points

Value = Callable[[torch.Tensor], torch.Tensor]
"""From the embeddings of a prompt, a row for each token, to the value of one target."""


def causal_value(model: Any, ids: Sequence[int], target: Sequence[int], place: int, mode: str = "log_softmax") -> Value:
    """The value of one token of an answer, by one plain forward over embeddings."""
    tail = model.get_input_embeddings()(torch.tensor(list(target[:-1]), dtype=torch.int64)).detach()

    def value(embeddings: torch.Tensor) -> torch.Tensor:
        logits = model(inputs_embeds=torch.cat([embeddings, tail])[None]).logits[0, len(ids) - 1 + place].float()
        return {"log_softmax": logits.log_softmax(-1), "softmax": logits.softmax(-1), "logits": logits}[mode][target[place]]

    return value


def gradient(value: Value, embeddings: torch.Tensor) -> torch.Tensor:
    leaf = embeddings.detach().clone().requires_grad_()
    [found] = torch.autograd.grad(value(leaf), leaf)
    return found


def inputs_of(points: Points, whole: torch.Tensor, start: torch.Tensor, owner: Sequence[int]) -> list[torch.Tensor]:
    """The embeddings of each point, token by token."""
    own = [place for place, feature in enumerate(owner) if feature >= 0]
    numbers = torch.cat([whole[own].flatten(), start[own].flatten()])
    spread = numbers.max() - numbers.min()
    made = []
    for row in range(len(points)):
        moved = whole.clone()
        noise = None
        if points.noise is not None:
            noise = torch.randn(whole.shape, generator=torch.Generator().manual_seed(int(points.seeds[row])))
        for place in own:
            z = float(points.presences[row, owner[place]])
            moved[place] = start[place] + z * (whole[place] - start[place])
            if noise is not None:
                moved[place] += noise[place] * float(points.noise[row]) * spread
        made.append(moved)
    return made


def by_hand(
    value: Value,
    points: Points,
    whole: torch.Tensor,
    start: torch.Tensor,
    owner: Sequence[int],
    kind: str,
    hidden: str = "sum",
    tokens: str = "sum",
) -> list[float]:
    """The score of each feature: "mean", "square", "variance" of gradients, or "difference" for gradient times difference."""
    gradients = [gradient(value, each) for each in inputs_of(points, whole, start, owner)]
    weights = torch.ones(len(points)) if points.weights is None else points.weights.float()
    weights = weights / weights.sum()
    if kind == "difference":
        gradients = [each * (whole - start) for each in gradients]
    mean = sum(weight * each for weight, each in zip(weights, gradients, strict=True))
    square = sum(weight * each**2 for weight, each in zip(weights, gradients, strict=True))
    elements = {"mean": mean, "difference": mean, "square": square, "variance": square - mean**2}[kind]
    reduce_hidden = {"sum": torch.sum, "l1": lambda row: row.abs().sum(), "l2": lambda row: (row**2).sum().sqrt()}[hidden]
    scores = []
    for feature in range(max(owner) + 1):
        each = [float(reduce_hidden(elements[place])) for place, mine in enumerate(owner) if mine == feature]
        scores.append(
            {
                "sum": sum(each),
                "mean": sum(each) / len(each),
                "max": max(each),
                "signed_max": max(each, key=abs),
            }[tokens]
        )
    return scores
