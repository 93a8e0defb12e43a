"""What modalities are worth together beyond what each is worth alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interpreto_mllm.evaluations import coalition_keys
from interpreto_mllm.feature import Feature

if TYPE_CHECKING:
    from interpreto_mllm.attribution import Attribution


def synergy(attribution: Attribution, chosen: tuple[str, ...]) -> Float[Tensor, "t"]:
    """v(T∪I) − v(T) − v(I) + v(∅) for two modalities, v(all) − v(∅) − Σ(v(one) − v(∅)) for more; the others are absent.

    Positive: together worth more than apart.

    Raises:
        ValueError: for fewer than two modalities, unknown ones, features across several, or coalitions not evaluated.
    """
    present = _modalities(attribution.features)
    chosen = chosen or tuple(present)
    unknown = [name for name in chosen if name not in present]
    if unknown or len(set(chosen)) < max(2, len(chosen)):
        raise ValueError(
            f"Synergy is between two or more different modalities of the prompt, which has {' and '.join(present)} features; "
            f"got {', '.join(chosen)}."
        )
    if "mixed" in present:
        raise ValueError("Some features are groups across modalities, so no modality can be present alone: ungroup them.")
    alone = torch.stack([_holding(attribution.features, (name,)) for name in chosen])
    wanted = torch.cat([alone, alone.any(0, keepdim=True)])
    row_of = {key: row for row, key in enumerate(coalition_keys(attribution.coalitions))}
    rows = [row_of.get(key) for key in coalition_keys(wanted)]
    if None in rows:
        raise ValueError(
            f"Synergy needs the prompt with only its {' and only its '.join(chosen)} features, and {rows.count(None)} of the "
            f"{len(rows)} coalitions this takes were not evaluated. Explain again with evaluations=[explanation] and a budget "
            f"of {len(attribution.coalitions) + 6} or more: a prompt of several modalities is also evaluated with each alone."
        )
    *apart, together = attribution.values[torch.tensor(rows)]
    return together - attribution.empty - torch.stack([value - attribution.empty for value in apart]).sum(0)


def modality_coalitions(features: Sequence[Feature]) -> Bool[Tensor, "e n"]:
    """All features of some modalities and none of the others: what `synergy` needs beside v(∅) and v(N).

    None for features of one modality, or where a group lies across several.

    Example:
        >>> modality_coalitions([Feature("a"), Feature("b"), Feature("c", modality="image")]).int().tolist()
        [[1, 1, 0], [0, 0, 1]]
    """
    present = _modalities(features)
    some = [names for size in range(1, len(present)) for names in combinations(present, size)]
    if "mixed" in present or not some:
        return torch.zeros(0, len(features), dtype=torch.bool)
    return torch.stack([_holding(features, names) for names in some])


def _modalities(features: Sequence[Feature]) -> list[str]:
    return list(dict.fromkeys(feature.modality for feature in features))


def _holding(features: Sequence[Feature], modalities: tuple[str, ...]) -> Bool[Tensor, "n"]:
    return torch.tensor([feature.modality in modalities for feature in features])
