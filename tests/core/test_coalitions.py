"""Operations on sets of coalitions, each against its definition."""

from __future__ import annotations

from math import comb

import pytest
import torch
from support.games import everything

from interpreto_mllm.core.coalitions import (
    coalition_keys,
    complementary_rows,
    first_occurrences,
    inverse_binomials,
    pair_numbers,
    shapley_coefficients,
    split_complements,
    whole_chains,
    with_complements,
)


def some(n: int, count: int = 40) -> torch.Tensor:
    """Coalitions of which many repeat one another."""
    few = torch.rand(count // 2, n, generator=torch.Generator().manual_seed(n)) < 0.5
    return torch.cat([few, few.flip(0), ~few[::3]])


@pytest.mark.parametrize("n", [1, 3, 8, 9, 64, 65])
def test_keys_pairs_and_first_occurrences(n: int) -> None:
    coalitions = some(n)
    rows = [tuple(row) for row in coalitions.tolist()]
    keys = coalition_keys(coalitions)
    assert all((keys[a] == keys[b]) == (rows[a] == rows[b]) for a in range(len(rows)) for b in range(len(rows)))
    assert first_occurrences(coalitions).tolist() == [place for place, row in enumerate(rows) if row not in rows[:place]]
    unordered = [frozenset([row, tuple(not one for one in row)]) for row in rows]
    seen = list(dict.fromkeys(unordered))
    assert pair_numbers(coalitions).tolist() == [seen.index(pair) for pair in unordered]


@pytest.mark.parametrize("n", [2, 8, 9, 65])
def test_complements_are_found_and_taken_apart(n: int) -> None:
    sides = some(n)[first_occurrences(some(n))]
    pairs = with_complements(sides)
    assert torch.equal(split_complements(pairs), torch.stack([sides, ~sides]))
    distinct = pairs[first_occurrences(pairs)][1:]  # one of them has lost its complement
    first, second = complementary_rows(distinct)
    assert torch.equal(distinct[first], ~distinct[second]) and (first < second).all()
    assert len(first) == len(distinct) // 2 == len(first.unique())


def test_chains_of_one_length() -> None:
    draws, chains = torch.tensor([3, 1, 4, 1, 5, 9, 2, 6]), torch.tensor([7, -1, 0, 7, 0, 2, -1, 0])
    assert whole_chains(draws, chains, 2).tolist() == [[3, 1]]
    assert whole_chains(draws, chains, 3).tolist() == [[4, 5, 6]]
    assert whole_chains(draws, chains, 4).shape == (0, 4)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_coefficients(n: int) -> None:
    coalitions = everything(n)
    sizes = coalitions.sum(1).tolist()
    expected = torch.tensor([1 / comb(n, size) for size in sizes], dtype=torch.float64)
    torch.testing.assert_close(inverse_binomials(coalitions), expected)
    by_hand = [
        [1 / (size * comb(n, size)) if there else -1 / ((n - size) * comb(n, size)) for there in row]
        for row, size in zip(coalitions.tolist(), sizes, strict=True)
    ]
    torch.testing.assert_close(shapley_coefficients(coalitions), torch.tensor(by_hand, dtype=torch.float64))
