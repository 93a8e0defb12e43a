"""Measures of similarity between embedded responses."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor


class Measure(ABC):
    """The similarity of one embedded response to another; 1 for equal ones.

    `reduced` says whether the two are compared as one vector each (shape `1 d`) or token by token (shape `l d`).
    """

    reduced = True

    @abstractmethod
    def __call__(self, original: Float[Tensor, "original d"], response: Float[Tensor, "response d"]) -> float:
        """The similarity of a response to the original answer."""


class Cosine(Measure):
    """The cosine of the angle between the two vectors, from -1 to 1; 0 if one of them is zero.

    Example:
        >>> Cosine()(torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, 4.0]]))
        0.6
    """

    def __call__(self, original: Float[Tensor, "original d"], response: Float[Tensor, "response d"]) -> float:
        a, b = original.double().flatten(), response.double().flatten()
        lengths = (a.norm() * b.norm()).item()
        return (a @ b).item() / lengths if lengths else 0.0


class Euclidean(Measure):
    """1 / (1 + d) of the distance d between the two vectors, from 0 to 1.

    Example:
        >>> Euclidean()(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 0.0]]))
        0.25
    """

    def __call__(self, original: Float[Tensor, "original d"], response: Float[Tensor, "response d"]) -> float:
        return 1 / (1 + (original.double() - response.double()).norm().item())


class TokenMatch(Measure):
    """Every token matched to its most similar one in the other text: the harmonic mean of both directions' mean cosines.

    Zhang et al.: BERTScore, ICLR 2020, without its weights and rescaling. Needs an embedding of tokens; nothing is reduced.
    0 where a direction's mean is not positive.

    Example:
        >>> TokenMatch()(torch.eye(2), torch.tensor([[1.0, 0.0]])) == 2 / 3
        True
    """

    reduced = False

    def __call__(self, original: Float[Tensor, "original d"], response: Float[Tensor, "response d"]) -> float:
        a, b = (torch.nn.functional.normalize(states.double(), dim=1) for states in (original, response))
        cosines = a @ b.T
        recall, precision = cosines.amax(1).mean().item(), cosines.amax(0).mean().item()
        return 2 * precision * recall / (precision + recall) if precision > 0 and recall > 0 else 0.0
