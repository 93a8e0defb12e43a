"""Operations on sets of coalitions: identity, complements, chains, and their coefficients in a Shapley value."""

from __future__ import annotations

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor


def coalition_keys(coalitions: Bool[Tensor, "p n"]) -> list[bytes]:
    """One hashable key per coalition, equal exactly where the coalitions are.

    Example:
        >>> len(set(coalition_keys(torch.tensor([[True, False], [True, False], [False, True]]))))
        2
    """
    return [row.tobytes() for row in coalitions.cpu().numpy()]


def first_occurrences(coalitions: Bool[Tensor, "p n"]) -> Int[Tensor, "q"]:
    """The rows that repeat no row before them, in order.

    Example:
        >>> first_occurrences(torch.tensor([[True, False], [True, False], [False, True]])).tolist()
        [0, 2]
    """
    first, _ = _distinct(coalitions)
    return torch.from_numpy(np.sort(first))


def with_complements(sides: Bool[Tensor, "q n"]) -> Bool[Tensor, "p n"]:
    """Each coalition followed by its complement: p = 2q.

    Example:
        >>> with_complements(torch.tensor([[True, True, False]])).int().tolist()
        [[1, 1, 0], [0, 0, 1]]
    """
    return rearrange([sides, ~sides], "side pair n -> (pair side) n")


def split_complements(rows: Shaped[Tensor, "p t"]) -> Shaped[Tensor, "2 q t"]:
    """The inverse of `with_complements`, of the coalitions or of their values: the rows of S, and those of N∖S; q = p / 2.

    Example:
        >>> split_complements(torch.tensor([[1.0], [2.0], [3.0], [4.0]])).tolist()
        [[[1.0], [3.0]], [[2.0], [4.0]]]
    """
    return rearrange(rows, "(pair side) t -> side pair t", side=2)


def without_first_feature(coalitions: Bool[Tensor, "p n"]) -> Bool[Tensor, "p n"]:
    """The side of the pair {S, N∖S} of each coalition that does not hold feature 0."""
    return coalitions ^ coalitions[:, :1]


def pair_numbers(coalitions: Bool[Tensor, "p n"]) -> Int[Tensor, "p"]:
    """The number of the pair {S, N∖S} that each coalition belongs to, numbered by first appearance.

    Example:
        >>> pair_numbers(torch.tensor([[True, True, False], [True, False, False], [False, False, True]])).tolist()
        [0, 1, 0]
    """
    first, place = _distinct(without_first_feature(coalitions))
    return torch.from_numpy(first.argsort().argsort()[place])


def complementary_rows(coalitions: Bool[Tensor, "p n"]) -> tuple[Int[Tensor, "q"], Int[Tensor, "q"]]:
    """The pairs of complementary coalitions among distinct ones: the row of each that comes first, and of its complement.

    Pairs are sorted by their side without feature 0, read as a binary number.

    Example:
        >>> [rows.tolist() for rows in complementary_rows(torch.tensor([[True, False], [True, True], [False, True]]))]
        [[0], [2]]
    """
    _, place = _distinct(without_first_feature(coalitions))
    order = np.argsort(place, kind="stable")
    twins = np.flatnonzero(place[order][1:] == place[order][:-1])
    return torch.from_numpy(order[twins]), torch.from_numpy(order[twins + 1])


def whole_chains(draws: Int[Tensor, "m"], chains: Int[Tensor, "m"], length: int) -> Int[Tensor, "c {length}"]:
    """The draws of every chain of this length, in the order they were drawn; chains of -1 are none.

    Example:
        >>> whole_chains(torch.tensor([5, 6, 7, 8, 9]), torch.tensor([0, 1, 0, -1, 1]), 2).tolist()
        [[5, 7], [6, 9]]
    """
    _, number, counts = chains.unique(return_inverse=True, return_counts=True)
    whole = (chains >= 0) & (counts[number] == length)
    return rearrange(draws[whole][number[whole].argsort(stable=True)], "(chain step) -> chain step", step=length)


def inverse_binomials(coalitions: Bool[Tensor, "p n"]) -> Float[Tensor, "p"]:
    """1/C(n, s) of each coalition of s features; 0 where that is below the smallest float."""
    return torch.exp(log_inverse_binomials(coalitions))


def log_inverse_binomials(coalitions: Bool[Tensor, "p n"]) -> Float[Tensor, "p"]:
    """−log C(n, s) of each coalition of s features."""
    sizes, n = coalitions.sum(1).double(), torch.tensor(float(coalitions.shape[1]), dtype=torch.float64)
    return torch.lgamma(sizes + 1) + torch.lgamma(n - sizes + 1) - torch.lgamma(n + 1)


def shapley_coefficients(
    coalitions: Bool[Tensor, "p n"], log_weights: Float[Tensor, "p"] | None = None
) -> Float[Tensor, "p n"]:
    """The coefficient of v(S) in the Shapley value of each feature: 1/(s·C(n,s)) if present, −1/((n−s)·C(n,s)) if absent.

    With logarithms of weights, each times its weight.
    """
    sizes = coalitions.sum(1, keepdim=True)
    logs = log_inverse_binomials(coalitions)
    share = torch.exp(logs if log_weights is None else logs + log_weights)[:, None]
    return torch.where(coalitions, share / sizes.clamp_min(1), -share / (coalitions.shape[1] - sizes).clamp_min(1))


def _distinct(coalitions: Bool[Tensor, "p n"]) -> tuple[np.ndarray, np.ndarray]:
    """The first row of each distinct coalition, sorted as binary numbers, and the place of each row among them."""
    packed = np.packbits(coalitions.numpy(), axis=1)
    keys = np.ascontiguousarray(packed).view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    return first, place.ravel()
