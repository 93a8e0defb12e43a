"""The cosine of tf–idf vectors, with the word frequencies of a fixed corpus."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from interpreto_mllm.similarity.texts import TextMeasure

Made = TypeVar("Made", bound="TfIdfCosine")


@dataclass(frozen=True)
class TfIdfCosine(TextMeasure):
    """The cosine of the tf–idf vectors of two texts, from 0 to 1: shared words count, rare ones most.

    The weight of a word is its count in the text times ln((1 + D) / (1 + d)) + 1, with d of the corpus' D texts holding it
    (Salton & Buckley 1988, smoothed). The corpus is fixed beforehand: the value of one answer never depends on which others
    there are. Words that the corpus lacks have the largest weight. `TfIdf()` is the measure without a corpus.

    Args:
        documents: number of texts in the corpus.
        frequencies: in how many of them each word is, in lower case.

    Raises:
        ValueError: for a corpus without texts.

    Example:
        >>> measure = TfIdfCosine.of(["the apple is red", "the sky is blue", "the car is red"])
        >>> round(measure("the sky is blue", "the sky is red"), 3), round(measure("the sky is blue", "the car is blue"), 3)
        (0.685, 0.629)
    """

    documents: int
    frequencies: Mapping[str, int]

    def __post_init__(self) -> None:
        if self.documents < 1:
            raise ValueError("TfIdfCosine needs a corpus of at least one text, whose words it weighs by how rare they are.")

    @classmethod
    def of(cls: type[Made], texts: Iterable[str]) -> Made:
        """With the frequencies of these texts."""
        documents, frequencies = 0, Counter[str]()
        for text in texts:
            documents += 1
            frequencies.update(set(words(text)))
        return cls(documents, dict(sorted(frequencies.items())))

    def __call__(self, original: str, response: str) -> float:
        if original == response:
            return 1.0
        a, b = self._vector(original), self._vector(response)
        product = sum(weight * b[word] for word, weight in a.items() if word in b)
        lengths = math.hypot(*a.values()) * math.hypot(*b.values())
        return product / lengths if lengths else 0.0

    def _vector(self, text: str) -> dict[str, float]:
        return {word: count * self._rarity(word) for word, count in Counter(words(text)).items()}

    def _rarity(self, word: str) -> float:
        return math.log((1 + self.documents) / (1 + self.frequencies.get(word, 0))) + 1

    def __repr__(self) -> str:
        return f"TfIdfCosine(a corpus of {self.documents:,} texts with {len(self.frequencies):,} words)"


def words(text: str) -> list[str]:
    """The words of a text, in lower case.

    Example:
        >>> words("It's red!")
        ['it', 's', 'red']
    """
    return re.findall(r"\w+", text.lower())
