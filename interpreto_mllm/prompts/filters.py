"""Which features are always present: filters for the `pinned` argument."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from interpreto_mllm.core.feature import Feature
from interpreto_mllm.core.numbers import is_whole
from interpreto_mllm.core.shown import shown

MODALITIES = ("text", "image", "audio", "video")

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


@dataclass(frozen=True)
class OtherModalities:
    """Whether a feature is of none of these modalities, so that only what is of one of them is explained.

    Args:
        modalities: "text", "image", "audio" or "video".
        also: another filter, whose features are pinned too.

    Raises:
        ValueError: for a modality that there is not, or for none.

    Example:
        >>> words = OtherModalities("text", also=punctuation)
        >>> words(Feature("patch", modality="image")), words(Feature("why")), words(Feature("?"))
        (True, False, True)
    """

    modalities: frozenset[str]
    also: Callable[[Feature], bool] | None = None

    def __init__(self, *modalities: str, also: Callable[[Feature], bool] | None = None):
        strange = [one for one in modalities if one not in MODALITIES]
        if strange or not modalities:
            raise ValueError(f"Modalities are {', '.join(MODALITIES)}; got {shown(strange[0] if strange else None)}.")
        object.__setattr__(self, "modalities", frozenset(modalities))
        object.__setattr__(self, "also", also)

    def __call__(self, feature: Feature) -> bool:
        return feature.modality not in self.modalities or (self.also is not None and self.also(feature))


def _bare(text: str) -> str:
    return re.sub(r"\s+", " ", text.strip().lower())


def _is_called(feature: Feature, name: object) -> bool:
    """Whether a feature has this label, or is a piece of what has it, as "document 3 · sentence 2" is of "document 3"."""
    label = feature.label
    return label is not None and isinstance(name, str) and (label == name or label.startswith(f"{name} · "))


def unpinned(features: Sequence[Feature], pinned: Pins) -> list[int]:
    """Indices of the features that remain players.

    Raises:
        ValueError: when a pinned text or index is not a feature of the prompt, or nothing remains to explain.
    """
    if callable(pinned):
        answers = [pinned(feature) for feature in features]
        if all(answer is None for answer in answers):
            raise TypeError("pinned returned None for every feature: a filter returns True for those that are always present.")
        kept = [index for index, answer in enumerate(answers) if not answer]
    else:
        texts = [_bare(feature.text) for feature in features]
        for pin in pinned:
            if not isinstance(pin, str) and not is_whole(pin):
                raise TypeError(f"pinned holds texts and indices of features; got {shown(pin)}.")
            if is_whole(pin):
                known = pin in range(len(features))
            else:
                known = _bare(str(pin)) in texts or any(_is_called(feature, pin) for feature in features)
            if not known:
                told = shown(texts) if len(texts) > 20 else texts
                raise ValueError(f"pinned names {shown(pin)}, which is not a feature of this prompt; its features are {told}.")
        words = {_bare(pin) for pin in pinned if isinstance(pin, str)}
        kept = [
            index
            for index, (text, feature) in enumerate(zip(texts, features, strict=True))
            if index not in pinned and text not in words and not any(_is_called(feature, pin) for pin in pinned)
        ]
    if not kept:
        raise ValueError("Nothing is left to explain: every feature of the prompt is pinned.")
    return kept
