"""Synthetic games, each drawn from a seed: callables from coalitions `Bool[p n]` to values `Float[p 1]`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Game = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Dividends:
    """Sets of features with a value each, added when the whole set is present (Harsanyi 1959).

    Args:
        sets: which features each set holds, `Bool[m n]`.
        worth: the value of each set, `Float[m 1]`.
    """

    sets: Tensor
    worth: Tensor

    def __call__(self, coalitions: Tensor) -> Tensor:
        held = coalitions.double() @ self.sets.double().T
        return (held == self.sets.sum(1)).double() @ self.worth

    def shapley(self) -> Tensor:
        """The Shapley values, `Float[n]`: each set shares its worth equally."""
        return (self.sets.double() * self.worth / self.sets.sum(1, keepdim=True).clamp(min=1)).sum(0)


def unanimity(n: int, seed: int) -> Dividends:
    """3n random sets of any size, each with a value that is added when the whole set is present."""
    generator = torch.Generator().manual_seed(seed)
    sets = torch.rand(3 * n, n, generator=generator) < torch.rand(3 * n, 1, generator=generator)
    return Dividends(sets, torch.randn(3 * n, 1, generator=generator).double())


def low_order(n: int, seed: int) -> Dividends:
    """Main effects, and values of pairs and triples."""
    generator = torch.Generator().manual_seed(seed)
    main = torch.randn(n, 1, generator=generator).double()
    members = [torch.randperm(n, generator=generator)[: 2 + k % 2] for k in range(4 * n)]
    sets = torch.stack([torch.zeros(n, dtype=torch.bool).scatter(0, m, True) for m in members])
    worth = torch.randn(4 * n, 1, generator=generator).double() / 2
    return Dividends(torch.cat([torch.eye(n, dtype=torch.bool), sets]), torch.cat([main, worth]))


def few_sets(n: int, seed: int, strong: int, weak: float) -> Dividends:
    """Some single features, pairs and triples in turn with values from 1 to 2 or −2 to −1, and weak effects of all features."""
    generator = torch.Generator().manual_seed(seed)
    members = [torch.randperm(n, generator=generator)[: 1 + k % 3] for k in range(strong)]
    sets = torch.stack([torch.zeros(n, dtype=torch.bool).scatter(0, m, True) for m in members])
    worth = (1 + torch.rand(strong, generator=generator)) * (2 * (torch.rand(strong, generator=generator) < 0.7) - 1)
    effects = weak * torch.randn(n, generator=generator)
    return Dividends(torch.cat([sets, torch.eye(n, dtype=torch.bool)]), torch.cat([worth, effects])[:, None].double())


def sparse(n: int, seed: int) -> Game:
    """Three features matter, through an arbitrary table; the others have small effects."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(n, generator=generator)[:3]
    table = torch.randn(8, 1, generator=generator).double()
    rest = 0.05 * torch.randn(n, 1, generator=generator).double()
    return lambda coalitions: table[coalitions[:, chosen].long() @ torch.tensor([4, 2, 1])] + coalitions.double() @ rest


def dense(n: int, seed: int) -> Game:
    """A wide random network: interactions of every order."""
    generator = torch.Generator().manual_seed(seed)
    inner = torch.randn(n, 64, generator=generator).double() * (2 / n**0.5)
    bias = torch.randn(64, generator=generator).double()
    outer = torch.randn(64, 1, generator=generator).double() / 8
    return lambda coalitions: torch.tanh(coalitions.double() @ inner + bias) @ outer


def log_softmax(n: int, seed: int) -> Game:
    """The log-probability of one class among twenty whose logits are random bilinear forms of the features."""
    generator = torch.Generator().manual_seed(seed)
    main = torch.randn(n, 20, generator=generator).double()
    pairs = torch.randn(20, n, n, generator=generator).double() / n**0.5

    def game(coalitions: Tensor) -> Tensor:
        present = coalitions.double()
        logits = present @ main + torch.einsum("pi,cij,pj->pc", present, pairs, present)
        return logits.log_softmax(1)[:, :1]

    return game


def log_sigmoid(n: int, seed: int) -> Game:
    """The log-probability of a yes whose evidence is a sum of features and pairs, and saturates."""
    generator = torch.Generator().manual_seed(seed)
    main = torch.randn(n, 1, generator=generator).double() * (3 / n**0.5) + 0.5
    pairs = torch.randn(n, n, generator=generator).double() / n

    def game(coalitions: Tensor) -> Tensor:
        present = coalitions.double()
        evidence = present @ main - 3 + ((present @ pairs) * present).sum(1, keepdim=True)
        return torch.nn.functional.logsigmoid(evidence)

    return game


GAMES: dict[str, Callable[[int, int], Game]] = {
    "unanimity": unanimity,
    "low order": low_order,
    "sparse": sparse,
    "dense": dense,
    "log-softmax": log_softmax,
    "log-sigmoid": log_sigmoid,
}
