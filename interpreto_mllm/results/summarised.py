"""What matters over many prompts: which words, regions, roles, sources or modalities their answers come from."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interpreto_mllm.core.feature import Feature
from interpreto_mllm.core.shown import shown
from interpreto_mllm.core.which import about
from interpreto_mllm.results.folding import KEYS
from interpreto_mllm.results.record import Record
from interpreto_mllm.results.whole import whole_answer

FEWEST, RESAMPLES = 5, 2000
"""Prompts from which intervals are given, and samples of the bootstrap."""

TRIMMED = " \t\n.,;:!?\"'()[]{}«»“”‘’…"


def plain_word(feature: Feature) -> str:
    """The text of a feature as it is counted: in lower case, without what surrounds a word; the name of a region.

    Example:
        >>> plain_word(Feature(" Paris,")), plain_word(Feature("?"))
        ('paris', '?')
    """
    text = feature.text.strip()
    return text.strip(TRIMMED).casefold() or text


GROUPS: dict[str, Callable[[Feature], Hashable]] = {"feature": plain_word, **KEYS}


@dataclass(frozen=True)
class Entry:
    """What one word, region, role, … did over the prompts.

    Args:
        name: as it is counted.
        scores: in each prompt that has it, the sum of the scores of its features.
        share: the mean over all prompts of |score| over Σ|φ|.
        share_interval: of it, by the bootstrap over prompts; None for fewer than five prompts.
        mean: of `scores`.
        mean_interval: of it.
    """

    name: Hashable
    scores: tuple[float, ...]
    share: float
    share_interval: tuple[float, float] | None
    mean: float
    mean_interval: tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class SummarisedResults:
    """Results of many prompts by what their features have in common.

    Args:
        results: one for each prompt; of each the whole answer, or its only target.
        by: "feature" (its text, or the name of its region), or what `Attribution.by` folds by: "source", "turn", "role",
            "modality", "trust", "part".
        relative: whether scores are shares of their prompt's Σ|φ|, so that all prompts count alike.
        level: of the intervals.
        seed: of the bootstrap.

    Raises:
        ValueError: for no results, one with several classes, or an unknown `by`.
    """

    results: Sequence[Record]
    by: str = "feature"
    relative: bool = True
    level: float = 0.95
    seed: int = 0
    rows: tuple[Record, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.by not in GROUPS:
            raise ValueError(f"by is {', '.join(map(repr, GROUPS))}; got {shown(self.by)}.")
        if isinstance(self.level, bool) or not 0 < self.level < 1:
            raise ValueError(f"level must lie between 0 and 1, such as 0.95; got {shown(self.level)}.")
        if isinstance(self.results, Record) or not self.results:
            raise ValueError("Summary(explanations) takes a list of results, one for each prompt.")
        rows = []
        for index, result in enumerate(self.results):
            with about("results", index, len(self.results)):
                rows.append(_one_row(result))
        object.__setattr__(self, "rows", tuple(rows))

    @cached_property
    def entries(self) -> list[Entry]:
        """All of them, the largest share first."""
        names, scores, there = self._table
        sizes = torch.stack([row.attributions[0].double().abs().sum() for row in self.rows])
        shares = scores.abs() / sizes.where(sizes > 0, 1.0)[:, None]
        scores = scores / sizes.where(sizes > 0, 1.0)[:, None] if self.relative else scores
        means = scores.sum(0) / there.sum(0)
        draws = self._resampled(len(self.rows))
        ends: list[Tensor | None] = [None, None]
        if draws is not None:
            seen = draws @ there.double()
            ends = [self._ends(draws @ shares / len(self.rows)), self._ends(draws @ scores / seen)]
        found = [
            Entry(
                name,
                tuple(scores[there[:, place], place].tolist()),
                float(shares[:, place].mean()),
                _pair(ends[0], place),
                float(means[place]),
                _pair(ends[1], place),
            )
            for place, name in enumerate(names)
        ]
        return sorted(found, key=lambda entry: -entry.share)

    @property
    def _table(self) -> tuple[list[Hashable], Float[Tensor, "prompts names"], Bool[Tensor, "prompts names"]]:
        """The sum of the scores of each name in each prompt, and whether the prompt has it."""
        key, places = GROUPS[self.by], dict[Hashable, int]()
        for row in self.rows:
            for feature in row.features:
                places.setdefault(key(feature), len(places))
        scores = torch.zeros(len(self.rows), len(places), dtype=torch.float64)
        there = torch.zeros(scores.shape, dtype=torch.bool)
        for prompt, row in enumerate(self.rows):
            columns = torch.tensor([places[key(feature)] for feature in row.features])
            scores[prompt].index_add_(0, columns, row.attributions[0].double())
            there[prompt, columns] = True
        return list(places), scores, there

    def _resampled(self, prompts: int) -> Float[Tensor, "resamples prompts"] | None:
        """How often each prompt is in each sample of the bootstrap."""
        if prompts < FEWEST:
            return None
        generator = torch.Generator().manual_seed(self.seed)
        drawn = torch.randint(prompts, (RESAMPLES, prompts), generator=generator)
        return torch.zeros(RESAMPLES, prompts, dtype=torch.float64).scatter_add_(1, drawn, torch.ones(drawn.shape).double())

    def _ends(self, means: Float[Tensor, "resamples names"]) -> Float[Tensor, "2 names"]:
        """Of the interval; samples without a name say nothing of it."""
        tail = (1 - self.level) / 2
        return means.nanquantile(torch.tensor([tail, 1 - tail], dtype=torch.float64), dim=0)


def _pair(ends: Float[Tensor, "2 names"] | None, place: int) -> tuple[float, float] | None:
    return None if ends is None else (float(ends[0, place]), float(ends[1, place]))


def _one_row(result: Record) -> Record:
    """The whole answer of a result, or its only target.

    Raises:
        ValueError: for several targets that are no one answer.
    """
    whole = result if result.t == 1 else whole_answer(result)
    if whole is None:
        raise ValueError(f"This result has {result.t} targets that are no single answer: explain one target for each prompt.")
    return whole
