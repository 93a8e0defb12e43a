"""Complementary pairs of coalitions, drawn size by size without replacement."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.core.evaluations import Draw
from interpreto_mllm.perturbators.inclusion import shares as inclusion_shares
from interpreto_mllm.perturbators.subsets import expected_counts, pairs_of_size, rounded, smaller_sides


def draw_stratified_pairs(n: int, pairs: int, shares: Float[Tensor, "sizes"], generator: torch.Generator) -> Draw:
    """`pairs` distinct pairs (S, N∖S), divided among the sizes 1 … n/2 in proportion to `shares`.

    Each size gets a whole number of pairs with a known expectation; a size whose share covers all of it is enumerated.
    The weight of a coalition is the inverse of its inclusion probability: given the number drawn of its size, unless
    that number may be 0. Each pair is one chain. More pairs from the same seed extend fewer, up to one a size.
    """
    sizes = range(1, n // 2 + 1)
    streams = [
        torch.Generator().manual_seed(seed) for seed in torch.randint(2**62, (len(sizes),), generator=generator).tolist()
    ]
    capacities = [pairs_of_size(n, size) for size in sizes]
    expected = expected_counts(capacities, shares, min(pairs, sum(capacities)))
    sides, existing, drawn = [torch.zeros(0, n, dtype=torch.bool)], list[int](), list[int | float]()
    counts = rounded(expected, generator)
    for size, capacity, mean, count, stream in zip(sizes, capacities, expected.tolist(), counts, streams, strict=True):
        count = min(count, capacity)
        if count:
            sides.append(smaller_sides(n, size, count, stream))
            existing += [capacity] * count
            drawn += [count if mean >= 1 - 1e-9 else mean] * count
    weights, log_weights = inclusion_shares(existing, drawn)
    return Draw.of_pairs(torch.cat(sides), weights, log_weights=log_weights)
