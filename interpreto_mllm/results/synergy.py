"""What modalities are worth together beyond what each is worth alone."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.core.coalitions import coalition_keys
from interpreto_mllm.core.modalities import holding, modalities_of
from interpreto_mllm.results.gradients import check_coalitions
from interpreto_mllm.results.record import Record


def synergy(record: Record, chosen: tuple[str, ...]) -> Float[Tensor, "t"]:
    """v(T∪I) − v(T) − v(I) + v(∅) for two modalities, v(all) − v(∅) − Σ(v(one) − v(∅)) for more; the others are absent.

    Positive: together worth more than apart.

    Raises:
        ValueError: for fewer than two modalities, unknown ones, features across several, or coalitions not evaluated.
    """
    check_coalitions(record, "synergy()")
    present = modalities_of(record.features)
    chosen = chosen or tuple(present)
    unknown = [name for name in chosen if name not in present]
    if unknown or len(set(chosen)) < max(2, len(chosen)):
        raise ValueError(
            f"Synergy is between two or more different modalities of the prompt, which has {' and '.join(present)} features; "
            f"got {', '.join(chosen)}."
        )
    if "mixed" in present:
        raise ValueError("Some features are groups across modalities, so no modality can be present alone: ungroup them.")
    alone = torch.stack([holding(record.features, (name,)) for name in chosen])
    wanted = torch.cat([alone, alone.any(0, keepdim=True)])
    row_of = {key: row for row, key in enumerate(coalition_keys(record.coalitions))}
    rows = [row_of.get(key) for key in coalition_keys(wanted)]
    if None in rows:
        raise ValueError(
            f"Synergy needs the prompt with only its {' and only its '.join(chosen)} features, and {rows.count(None)} of the "
            f"{len(rows)} coalitions this takes were not evaluated. Explain again with evaluations=[explanation] and a budget "
            f"of {len(record.coalitions) + 6} or more: a prompt of several modalities is also evaluated with each alone."
        )
    *apart, together = record.values[torch.tensor(rows)]
    return together - record.empty - torch.stack([value - record.empty for value in apart]).sum(0)
