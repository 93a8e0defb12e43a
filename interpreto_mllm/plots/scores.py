"""The scores of a result, target by target, as plots show them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from interpreto_mllm.plots.areas import overlaps
from interpreto_mllm.plots.number_scale import NumberScale
from interpreto_mllm.results.record import Record
from interpreto_mllm.results.whole import whole_answer

QUANTILE = 1.96
"""Of the normal distribution, for intervals of 95 %."""


@dataclass(frozen=True)
class TargetScores:
    """The scores of one target by entry: first the features, then the sums of features that overlap in an image or clip."""

    label: str
    scores: list[float]
    errors: list[float] | None
    empty: float
    full: float
    sums: list[float]
    scale: float = 0.0
    """The largest score of others that are shown on the same scale."""

    @cached_property
    def bound(self) -> float:
        """The largest absolute score or sum: the end of every colour scale."""
        return max(map(abs, [*self.scores, *self.sums, self.scale]))

    def value(self, entry: int) -> float:
        """The score of a feature, or an overlap's sum."""
        return self.scores[entry] if entry < len(self.scores) else self.sums[entry - len(self.scores)]

    def share(self, entry: int) -> float:
        """A score or sum as a fraction of the bound, from -1 to 1."""
        return self.value(entry) / self.bound if self.bound else 0.0

    def strongest(self, count: int) -> list[int]:
        """Indices of the features with the largest absolute scores, largest first."""
        return sorted(range(len(self.scores)), key=lambda feature: -abs(self.scores[feature]))[:count]

    def text(self, entry: int) -> str:
        """A score as text, with its standard error if there is one and the score is not exact. That of a sum is not known."""
        error = 0.0 if self.errors is None or entry >= len(self.scores) else self.errors[entry]
        return f"{self.value(entry):+.3g}" + (f" ± {error:.2g}" if error > 0 else "")

    @cached_property
    def open_signs(self) -> frozenset[int]:
        """The features whose 95 % interval holds zero, or whose error is not known; none where no errors are known at all."""
        if self.errors is None or not any(self.errors):
            return frozenset()
        pairs = enumerate(zip(self.scores, self.errors, strict=True))
        return frozenset(feature for feature, (score, error) in pairs if not abs(score) > QUANTILE * error)

    def classes(self, entry: int) -> str:
        """The style classes of what shows an entry: its sign, and whether that is open."""
        return ("unsettled " if entry in self.open_signs else "") + ("against" if self.share(entry) < 0 else "towards")

    def readable(self, entry: int) -> str:
        """A score as pages write it: with three digits of the strongest one, its standard error, and one kind of minus sign."""
        scale, error = NumberScale(self.bound), 0.0 if self.errors is None or entry >= len(self.scores) else self.errors[entry]
        return scale.signed(self.value(entry)) + ("" if error == 0 else f" ± {scale.error(error)}")

    @property
    def ends(self) -> str:
        """The values of nothing and of the whole prompt."""
        scale = NumberScale(max(abs(self.empty), abs(self.full), 1e-300))
        return f"v(∅) {scale.plain(self.empty)} → v(N) {scale.plain(self.full)}"

    def signed(self, value: float) -> str:
        """A number on the scale of the scores, with its sign."""
        return NumberScale(self.bound).signed(value)

    def short(self, entry: int) -> str:
        """A score in few characters, with as many decimals as the largest score needs for two digits."""
        decimals = max(0, 1 - math.floor(math.log10(self.bound))) if self.bound else 0
        text = f"{self.value(entry):+.{decimals}f}"
        return (text if float(text) else text[1:]).replace("-", "−")


def target_scores(attribution: Record, target: int) -> TargetScores:
    """The scores of one target."""
    errors = attribution.standard_errors
    scores = attribution.attributions[target].tolist()
    return TargetScores(
        label=attribution.targets[target],
        scores=scores,
        errors=None if errors is None else errors[target].tolist(),
        empty=attribution.empty[target].item(),
        full=attribution.full[target].item(),
        sums=[sum(scores[feature] for feature in cover) for cover in overlaps(attribution)],
    )


def shown_scores(attribution: Record) -> list[TargetScores]:
    """The scores of each target, preceded by those of the whole answer when the targets are its tokens and can be summed."""
    each = [target_scores(attribution, target) for target in range(attribution.t)]
    whole = whole_answer(attribution)
    return each if whole is None else [target_scores(whole, 0), *each]
