"""A result in a few lines of plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from interpreto_mllm.attribution import Attribution

TARGETS_SHOWN, FEATURES_SHOWN = 6, 4


def summary(attribution: Attribution) -> str:
    """What was estimated and how, then the strongest features of the first targets."""
    by = f" by {attribution.method}" if attribution.method else ""
    lines = [
        f"Attribution: {attribution.estimand}{by}, {_count(attribution.n, 'feature')}, {_count(attribution.t, attribution.unit)}, "
        f"mode {attribution.mode}, {_count(attribution.counts.evaluations, 'evaluation')}"
    ]
    for row, target in enumerate(attribution.targets[:TARGETS_SHOWN]):
        values = f"v(∅) {attribution.empty[row].item():.4g} → v(N) {attribution.full[row].item():.4g}"
        strongest = attribution.attributions[row].abs().argsort(descending=True, stable=True)[:FEATURES_SHOWN].tolist()
        scores = ", ".join(f"{attribution.features[i].text.strip()!r} {score(attribution, row, i)}" for i in strongest)
        more = ", …" if attribution.n > FEATURES_SHOWN else ""
        lines.append(f"  {target!r}  {values}:  {scores}{more}")
    if attribution.t > TARGETS_SHOWN:
        lines.append(f"  … and {attribution.t - TARGETS_SHOWN} more")
    return "\n".join(lines)


def score(attribution: Attribution, row: int, column: int) -> str:
    """A score as read by people, with its standard error where there is one."""
    errors = attribution.standard_errors
    error = "" if errors is None else f" ± {errors[row, column].item():.2g}"
    return f"{attribution.attributions[row, column].item():+.3g}{error}"


def _count(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}es" if noun.endswith("s") else f"{number} {noun}s"
