"""Prompts with slots: each slot is a feature, and an absent one is filled with a baseline."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import lcm, prod
from typing import Any

import numpy as np
from jaxtyping import Bool, Int
from torch import Tensor

from interpreto_mllm.core.feature import Feature
from interpreto_mllm.media.state import Medium
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.prompt import Hierarchy
from interpreto_mllm.prompts.tokens import Tokens


@dataclass(frozen=True)
class Template:
    """A text with named slots, the values they have, and the baselines they fall back to.

    Args:
        text: with slots in braces, such as `"{name} lives in {place}"`.
        values: the value of each slot.
        baselines: one of
            a mapping from slot to a text (fixed);
            a mapping from slot to a list of texts (independent: a coalition is worth the mean over all combinations of
            them, or, where there are more than `draws`, over combinations in which each text of a list comes equally often);
            a list of mappings from slot to text (joint: all absent slots come from the same mapping).
        draws: number of combinations of independent baselines that a coalition's value is averaged over if there are more; up
            to twice as many where each baseline can then come equally often. Joint ones are all used.
        seed: seed of the combinations. They are drawn once per prompt, so that a coalition has one value.

    Example:
        >>> template = Template("{name} lives in {place}", {"name": "Ada", "place": "Rome"}, {"name": "He", "place": "town"})
        >>> template.filled([True, False])
        ['Ada lives in town']
    """

    text: str
    values: Mapping[str, str]
    baselines: Mapping[str, str] | Mapping[str, Sequence[str]] | Sequence[Mapping[str, str]]
    draws: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        slots = self.slots
        if not slots:
            raise ValueError(f"The template {self.text!r} has no slots; write them in braces, such as {{name}}.")
        rows = [self.baselines] if isinstance(self.baselines, Mapping) else list(self.baselines)
        if not rows or self.draws < 1:
            raise ValueError("A template needs at least one baseline, and draws of at least 1.")
        for name, given in [("values", self.values), *(("baselines", row) for row in rows)]:
            if set(given) != set(slots):
                raise ValueError(f"The template's slots are {slots}, but {name} has {sorted(given)}.")
        for slot, given in [(slot, row[slot]) for row in rows for slot in slots]:
            if not isinstance(given, str) and not given:
                raise ValueError(f"The slot {slot!r} has no baselines: give a text, or a list of at least one.")

    @cached_property
    def slots(self) -> list[str]:
        """Names of the slots in order of appearance."""
        return list(dict.fromkeys(name for _, name, _, _ in string.Formatter().parse(self.text) if name))

    @cached_property
    def baseline_rows(self) -> list[dict[str, str]]:
        """The baselines that coalitions are averaged over, each a text for every slot."""
        if not isinstance(self.baselines, Mapping):
            return [dict(row) for row in self.baselines]
        lists = [self._listed(slot) for slot in self.slots]
        if self.enumerated:
            return [dict(zip(self.slots, row, strict=True)) for row in product(*lists)]
        generator = np.random.default_rng(self.seed)
        columns = [[texts[index] for index in _balanced(len(texts), self._count, generator)] for texts in lists]
        return [dict(zip(self.slots, row, strict=True)) for row in zip(*columns, strict=True)]

    @cached_property
    def enumerated(self) -> bool:
        """Whether coalitions are averaged over all combinations of baselines, rather than over some that are drawn."""
        return not isinstance(self.baselines, Mapping) or self._combinations <= self._count

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader of a result must know of baselines that are drawn."""
        if self.enumerated:
            return ()
        return (
            f"values are means over {self._count} of the {self._combinations} combinations of baselines, whose spread is part "
            f"of the standard errors: Template(..., draws={self._combinations}) uses all of them",
        )

    def _listed(self, slot: str) -> list[str]:
        """The baselines of a slot, where they are given by slot."""
        given = self.baselines[slot]  # type: ignore[call-overload]
        return [given] if isinstance(given, str) else list(given)

    @cached_property
    def _combinations(self) -> int:
        return prod(len(self._listed(slot)) for slot in self.slots)

    @cached_property
    def _count(self) -> int:
        """How many combinations are drawn: `draws`, or the next number for which each baseline is drawn equally often."""
        even = lcm(*(len(self._listed(slot)) for slot in self.slots))
        return -(-self.draws // even) * even if -(-self.draws // even) * even <= 2 * self.draws else self.draws

    def filled(self, present: Sequence[bool]) -> list[str]:
        """The texts for a coalition of slots, one per baseline."""
        present_values = {slot: self.values[slot] for slot, keep in zip(self.slots, present, strict=True) if keep}
        return [self.text.format(**{**row, **present_values}) for row in self.baseline_rows]


def _balanced(choices: int, count: int, generator: np.random.Generator) -> list[int]:
    """A random order in which every choice comes equally often, or one more time than others where that cannot be."""
    whole, left = divmod(count, choices)
    every = np.concatenate([np.tile(np.arange(choices), whole), generator.permutation(choices)[:left]])
    return generator.permutation(every).tolist()


@dataclass(frozen=True, eq=False)
class TemplatePrompt:
    """A template as a prompt: each coalition is filled in and tokenised as if it had been written that way.

    Args:
        template: what is filled in.
        tokenizer: the model's own.
        text: the template with all its values.
        owner: feature of each slot, or -1 where it always has its value.
        features: the players.
    """

    template: Template
    tokenizer: Any
    text: str
    owner: Int[np.ndarray, "slots"]
    features: list[Feature]

    @classmethod
    def of(cls, template: Template, tokenizer: Any) -> TemplatePrompt:
        """The prompt of a template; the features' spans are where the values lie in the filled text."""
        text, spans = "", {}
        for literal, slot, _, _ in string.Formatter().parse(template.text):
            text += literal
            if slot:
                spans.setdefault(slot, []).append((len(text), len(text) + len(template.values[slot])))
                text += template.values[slot]
        features = [Feature(template.values[slot], tuple(s for s in spans[slot] if s[0] < s[1])) for slot in template.slots]
        return cls(template, tokenizer, text, np.arange(len(features)), features)

    @property
    def media(self) -> tuple[Medium, ...]:
        """None: slots are texts."""
        return ()

    @property
    def conversation(self) -> None:
        """None: it is no chat."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader of a result must know of the baselines."""
        return self.used.notes

    @cached_property
    def used(self) -> Template:
        """The template without the baselines of slots that always have their values."""
        baselines = self.template.baselines
        if not isinstance(baselines, Mapping):
            return self.template
        pinned = {slot for slot, feature in zip(self.template.slots, self.owner.tolist(), strict=True) if feature < 0}
        left = {slot: self.template.values[slot] if slot in pinned else given for slot, given in baselines.items()}
        return replace(self.template, baselines=left)

    def inputs_for(self, coalitions: Bool[Tensor, "p n"]) -> list[list[ModelInput]]:
        with_none = np.concatenate([coalitions.cpu().numpy(), np.ones((len(coalitions), 1), dtype=bool)], axis=1)
        return [
            [ModelInput(Tokens.of_text(text, self.tokenizer).ids) for text in self.used.filled(present)]
            for present in with_none[:, self.owner].tolist()
        ]

    @property
    def token_owner(self) -> Int[np.ndarray, "l"]:
        """The feature that each token of the filled text belongs to, or -1."""
        tokens = Tokens.of_text(self.text, self.tokenizer)
        spans = [(index, span) for index, feature in enumerate(self.features) for span in feature.spans]
        of_span = tokens.owners([span for _, span in spans], [(0, len(self.text))])
        owner = np.asarray([spans[index][0] if index >= 0 else -1 for index in of_span], dtype=np.int64)
        owner[tokens.special] = -1
        return owner

    def hierarchy(self) -> Hierarchy:
        return list(range(len(self.features)))
