"""Which features are always present: filters for the `pinned` argument."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from interpreto_mllm.core.feature import Feature

Pins = Callable[[Feature], bool] | Collection[str | int]


def punctuation(feature: Feature) -> bool:
    """Whether a feature holds no letter and no digit.

    Example:
        >>> punctuation(Feature("?!")), punctuation(Feature("why?"))
        (True, False)
    """
    return not any(character.isalnum() for character in feature.text)


@dataclass(frozen=True)
class StopPhrases:
    """Whether a feature is one of these phrases, case and surrounding space aside.

    Example:
        >>> StopPhrases("the", "of")(Feature(" The"))
        True
    """

    phrases: frozenset[str]

    def __init__(self, *phrases: str):
        object.__setattr__(self, "phrases", frozenset(_bare(phrase) for phrase in phrases))

    def __call__(self, feature: Feature) -> bool:
        return _bare(feature.text) in self.phrases


def _bare(text: str) -> str:
    return re.sub(r"\s+", " ", text.strip().lower())


def unpinned(features: Sequence[Feature], pinned: Pins) -> list[int]:
    """Indices of the features that remain players.

    Raises:
        ValueError: when a pinned text or index is not a feature of the prompt, or nothing remains to explain.
    """
    if callable(pinned):
        kept = [index for index, feature in enumerate(features) if not pinned(feature)]
    else:
        texts = [_bare(feature.text) for feature in features]
        for pin in pinned:
            if (pin not in range(len(features))) if isinstance(pin, int) else (_bare(pin) not in texts):
                raise ValueError(f"pinned names {pin!r}, which is not a feature of this prompt; its features are {texts}.")
        words = {_bare(pin) for pin in pinned if isinstance(pin, str)}
        kept = [index for index, text in enumerate(texts) if index not in pinned and text not in words]
    if not kept:
        raise ValueError("Nothing is left to explain: every feature of the prompt is pinned.")
    return kept
