"""Texts with slots: each slot is a feature, and an absent one is filled with a baseline."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import lcm, prod
from typing import Any

import numpy as np

from interpreto_mllm.core.numbers import is_number
from interpreto_mllm.core.shown import shown


@dataclass(frozen=True)
class Template:
    """A text with named slots, the values they have, and the baselines they fall back to.

    Args:
        text: with slots in braces, such as `"{name} lives in {place}"`; a format, as in `"{price:.2f}"`, applies to the value
            and to the baselines. `{{` and `}}` write braces.
        values: the value of each slot, a text or a number.
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
    values: Mapping[str, Any]
    baselines: Mapping[str, Any] | Sequence[Mapping[str, Any]]
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
            if not is_number(given) and not isinstance(given, str) and not (isinstance(given, Sequence) and given):
                raise ValueError(f"The slot {slot!r} has no baselines: give a text, or a list of at least one.")
        for row in (self.values, *self.baseline_rows):
            self.written(row)

    @cached_property
    def pieces(self) -> list[tuple[str, str | None, str, str]]:
        """Literal text, and the slot after it (None at the end) with its conversion and format.

        Raises:
            ValueError: for braces that open or close nothing, and for slots that are no names.
        """
        try:
            parsed = list(string.Formatter().parse(self.text))
        except ValueError as error:
            raise ValueError(
                f"The template {shown(self.text)} cannot be read ({error}): write {{{{ and }}}} for braces that are no slots."
            ) from error
        for _, slot, spec, _ in parsed:
            if slot is not None and (not slot.isidentifier() or "{" in (spec or "")):
                raise ValueError(
                    f"The template {shown(self.text)} has the slot {{{slot}}}: a slot has a name, such as {{name}}, and "
                    "nothing within it; write {{ and }} for braces."
                )
        return [(literal, slot, conversion or "", spec or "") for literal, slot, spec, conversion in parsed]

    def written(self, row: Mapping[str, Any]) -> tuple[str, dict[str, list[tuple[int, int]]]]:
        """The text with these in its slots, and where each slot lies in it.

        Raises:
            TypeError: for what is neither a text nor a number.
            ValueError: where a format does not fit.
        """
        text, spans = "", {}
        for literal, slot, conversion, spec in self.pieces:
            text += literal
            if slot is None:
                continue
            if not isinstance(row[slot], str) and not is_number(row[slot]):
                raise TypeError(f"What stands in the slot {slot!r} is a text or a number; got {shown(row[slot])}.")
            try:
                formatter = string.Formatter()
                filled = formatter.format_field(formatter.convert_field(row[slot], conversion or None), spec)
            except ValueError as error:
                form = f"{{{slot}{'!' if conversion else ''}{conversion}{':' if spec else ''}{spec}}}"
                raise ValueError(f"{shown(row[slot])} cannot be written as {form!r}: {error}.") from error
            spans.setdefault(slot, []).append((len(text), len(text) + len(filled)))
            text += filled
        return text, spans

    @cached_property
    def slots(self) -> list[str]:
        """Names of the slots in order of appearance."""
        return list(dict.fromkeys(slot for _, slot, _, _ in self.pieces if slot))

    @cached_property
    def baseline_rows(self) -> list[dict[str, Any]]:
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

    def _listed(self, slot: str) -> list[Any]:
        """The baselines of a slot, where they are given by slot."""
        given = self.baselines[slot]  # type: ignore[call-overload]
        return [given] if isinstance(given, str) or is_number(given) else list(given)

    @cached_property
    def _combinations(self) -> int:
        return prod(len(self._listed(slot)) for slot in self.slots)

    @cached_property
    def _count(self) -> int:
        """How many combinations are drawn: `draws`, or the next number for which each baseline is drawn equally often."""
        even = lcm(*(len(self._listed(slot)) for slot in self.slots))
        return -(-self.draws // even) * even if -(-self.draws // even) * even <= 2 * self.draws else self.draws

    def rows(self, present: Sequence[bool]) -> list[dict[str, Any]]:
        """What stands in the slots for a coalition of them, one mapping per baseline."""
        present_values = {slot: self.values[slot] for slot, keep in zip(self.slots, present, strict=True) if keep}
        return [{**row, **present_values} for row in self.baseline_rows]

    def filled(self, present: Sequence[bool]) -> list[str]:
        """The texts for a coalition of slots, one per baseline."""
        return [self.written(row)[0] for row in self.rows(present)]


def _balanced(choices: int, count: int, generator: np.random.Generator) -> list[int]:
    """A random order in which every choice comes equally often, or one more time than others where that cannot be."""
    whole, left = divmod(count, choices)
    every = np.concatenate([np.tile(np.arange(choices), whole), generator.permutation(choices)[:left]])
    return generator.permutation(every).tolist()
