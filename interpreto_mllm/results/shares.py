"""How much of an explanation falls on the text, the images and the audio."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from interpreto_mllm.results.folding import columns_by
from interpreto_mllm.results.record import Record


@dataclass(frozen=True, eq=False)
class Shares(Mapping[str, float]):
    """The share of Σ|φ| of each modality, summing to 1, with standard errors where the scores have them; reads as a mapping.

    Example:
        >>> shares = Shares({"text": 0.25, "image": 0.75}, {"text": 0.02, "image": 0.02})
        >>> shares["image"], shares
        (0.75, {text: 0.25 ± 0.02, image: 0.75 ± 0.02})
        >>> Shares({"text": 0.25, "image": 0.75}, {"text": 0.0, "image": 0.0})
        {text: 0.25, image: 0.75; exact}
    """

    shares: dict[str, float]
    standard_errors: dict[str, float] | None

    def __getitem__(self, modality: str) -> float:
        return self.shares[modality]

    def __iter__(self) -> Iterator[str]:
        return iter(self.shares)

    def __len__(self) -> int:
        return len(self.shares)

    def __repr__(self) -> str:
        errors = self.standard_errors or dict.fromkeys(self.shares, math.nan)
        entries = (
            f"{modality}: {share:.2f}" + (f" ± {errors[modality]:.1g}" if errors[modality] > 0 else "")
            for modality, share in self.shares.items()
        )
        return "{" + ", ".join(entries) + ("" if any(error != 0 for error in errors.values()) else "; exact") + "}"


def modality_shares(record: Record, target: int | None) -> Shares:
    """Σ|φ| of each modality over Σ|φ| of all (Parcalabescu & Frank, "MM-SHAP", ACL 2023, here with audio).

    Errors are those of the scores carried through by the delta method, as if they were independent.

    Raises:
        ValueError: when there is no such target, or every score is zero.
    """
    if target is not None:
        record.require_target(target)
    rows = slice(None) if target is None else [target]
    mass = record.attributions[rows].abs().double()
    total = mass.sum()
    if not total > 0:
        raise ValueError("Every score is zero, so there is nothing to share out among the modalities.")
    within = {
        str(name): torch.zeros(record.n, dtype=torch.bool).index_fill(0, torch.tensor(members), True)
        for name, members in columns_by(record.features, "modality").items()
    }
    shares = {name: float(mass[:, columns].sum() / total) for name, columns in within.items()}
    if record.standard_errors is None:
        return Shares(shares, None)
    errors = record.standard_errors[rows].double()
    slopes = {name: (columns.double() - shares[name]) / total for name, columns in within.items()}
    return Shares(shares, {name: float((slope * errors).square().sum().sqrt()) for name, slope in slopes.items()})
