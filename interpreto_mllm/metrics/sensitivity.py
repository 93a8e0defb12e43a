"""How far an explanation changes with the seed, or with the words of the prompt."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import torch

from interpreto_mllm.core.feature import Feature
from interpreto_mllm.metrics.correlations import spearman
from interpreto_mllm.metrics.rows import NotApplicable
from interpreto_mllm.results.record import Record

Numbers = dict[str, float]


def seed_sensitivity(record: Record, repeated: Sequence[Record]) -> Numbers:
    """The largest ‖φ − φ′‖ / ‖φ‖ over results φ′ of other seeds, and the mean rank correlation with them.

    The max-sensitivity of Yeh et al. 2019, over seeds in the place of neighbouring inputs.
    """
    scores = record.attributions[0].double()
    others = [one.attributions[0].double() for one in repeated]
    if any(_labels(one.features) != _labels(record.features) for one in repeated):
        raise NotApplicable("seed_sensitivity compares results of the same prompt, and these have different features.")
    length = float(scores.norm())
    distances = [float((other - scores).norm()) / length if length else math.nan for other in others]
    correlations = [spearman(scores, other) for other in others]
    return {"seed_sensitivity": max(distances), "seed_rank_correlation": math.fsum(correlations) / len(correlations)}


def paraphrase_sensitivity(record: Record, repeated: Sequence[Record]) -> Numbers:
    """The same over results of paraphrases, for the features that both have, and how many these are.

    Features are the same if their texts are, capitals and surrounding blanks aside; of those that occur several times the first
    is the first of the paraphrase, and so on. Scores of both are divided by Σ|φ| of their prompts.
    """
    found = []
    for other in repeated:
        pairs = matching(record.features, other.features)
        if not pairs:
            raise NotApplicable("The paraphrase has no feature in common with the prompt.")
        mine, theirs = zip(*pairs, strict=True)
        one, two = (_relative(result)[list(chosen)] for result, chosen in ((record, mine), (other, theirs)))
        length = float(one.norm())
        found.append((float((two - one).norm()) / length if length else math.nan, spearman(one, two), len(pairs) / record.n))
    distances, correlations, shares = zip(*found, strict=True)
    return {
        "paraphrase_sensitivity": max(distances),
        "paraphrase_rank_correlation": math.fsum(correlations) / len(found),
        "paraphrase_matched": math.fsum(shares) / len(found),
    }


def matching(first: Sequence[Feature], second: Sequence[Feature]) -> list[tuple[int, int]]:
    """Indices of the features that two prompts have in common.

    Example:
        >>> matching([Feature("The"), Feature("sky"), Feature("the")], [Feature("sky"), Feature("the")])
        [(0, 1), (1, 0)]
    """
    places = {label: index for index, label in enumerate(_labels(second))}
    return [(index, places[label]) for index, label in enumerate(_labels(first)) if label in places]


def _labels(features: Sequence[Feature]) -> list[tuple[str, str, int]]:
    """The modality and the text of each feature, and which of the equal ones it is."""
    seen: Counter[tuple[str, str]] = Counter()
    labels = []
    for feature in features:
        plain = feature.modality, feature.text.strip().casefold()
        labels.append((*plain, seen[plain]))
        seen[plain] += 1
    return labels


def _relative(record: Record) -> torch.Tensor:
    scores = record.attributions[0].double()
    return scores / scores.abs().sum().clamp_min(1e-300)
