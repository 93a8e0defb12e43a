"""Whether an explanation finds what two modalities are worth only together."""

from __future__ import annotations

import math

import torch

from interpreto_mllm.core.modalities import modalities_of
from interpreto_mllm.metrics.curves import PERCENTAGES, ordered
from interpreto_mllm.metrics.evaluated_game import Questions
from interpreto_mllm.metrics.rows import NotApplicable
from interpreto_mllm.results.record import Record


def synergy_faithfulness(record: Record, seed: int) -> Questions:
    """F_syn: v(T∪I) − v(T) − v(I) + v(∅), the Harsanyi dividend of the strongest q % of each of two modalities.

    The mean over q = 1, 5, 10, 20, 50. Features of one modality that seem strong because the model reads the answer off them
    alone give nothing; those that work together do. After Ky, Ghamizi, Cordy, "Measuring cross-modal synergy", 2026.
    """
    modalities = modalities_of(record.features)
    if len(modalities) != 2 or "mixed" in modalities:
        raise NotApplicable(
            f"F_syn is of two modalities with features of their own, and these are of {' and '.join(modalities)}: pin the "
            "others, or ungroup them."
        )
    order = ordered(record)
    is_first = torch.tensor([feature.modality == modalities[0] for feature in record.features])[order]
    parts = torch.zeros(2, len(PERCENTAGES), record.n, dtype=torch.bool)
    for part, mine in enumerate((order[is_first], order[~is_first])):
        for place, percentage in enumerate(PERCENTAGES):
            parts[part, place, mine[: math.ceil(len(mine) * percentage / 100)]] = True
    one, other = parts
    empty, *values = (yield torch.cat([torch.zeros(1, record.n, dtype=torch.bool), one | other, one, other])).tolist()
    together, first, second = torch.tensor(values, dtype=torch.float64).reshape(3, -1)
    return {"synergy_faithfulness": float((together - first - second + empty).mean())}
