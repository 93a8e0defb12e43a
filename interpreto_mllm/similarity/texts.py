"""Measures of similarity between the texts of responses."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass


class TextMeasure(ABC):
    """The similarity of one text to another, 1 for equal ones. It depends on these two texts alone."""

    @abstractmethod
    def __call__(self, original: str, response: str) -> float:
        """The similarity of a response to the original answer."""


class ExactMatch(TextMeasure):
    """1 if the texts are equal apart from surrounding space, else 0.

    Example:
        >>> ExactMatch()("Paris", "Paris "), ExactMatch()("Paris", "paris")
        (1.0, 0.0)
    """

    def __call__(self, original: str, response: str) -> float:
        return float(original.strip() == response.strip())


class TfIdf(TextMeasure):
    """The cosine of word counts over the vocabulary of the original answer, from 0 to 1.

    Vocabulary and weights are fixed by the original answer alone, so that the value of one response never depends on which
    others there are; every word's idf is then the same and cancels. Words that the original lacks are not counted.

    Example:
        >>> TfIdf()("the apple is red", "Red it is!"), TfIdf()("red", "blue")
        (0.7071067811865475, 0.0)
    """

    def __call__(self, original: str, response: str) -> float:
        wanted, there = (Counter(re.findall(r"\w+", text.lower())) for text in (original, response))
        shared = {word: there[word] for word in wanted if word in there}
        product = sum(count * wanted[word] for word, count in shared.items())
        lengths = math.hypot(*wanted.values()) * math.hypot(*shared.values())
        return product / lengths if lengths else 0.0


class RougeL(TextMeasure):
    """ROUGE-L, the F-measure of the longest common subsequence of words, by `rouge-score`.

    Lin: ROUGE, 2004. Needs the extra `text`.

    Args:
        stem: whether words are stemmed first.

    Raises:
        ImportError: without `rouge-score`.
    """

    def __init__(self, stem: bool = False):
        try:
            from rouge_score.rouge_scorer import RougeScorer
        except ImportError as error:
            raise ImportError("RougeL needs rouge-score: pip install 'interpreto_mllm[text]'") from error
        self.stem = stem
        self._scorer = RougeScorer(["rougeL"], use_stemmer=stem)

    def __call__(self, original: str, response: str) -> float:
        return float(self._scorer.score(original, response)["rougeL"].fmeasure)


class Bleu(TextMeasure):
    """Sentence BLEU with the original answer as the only reference, from 0 to 1, by `sacrebleu`.

    Papineni et al.: BLEU, ACL 2002; smoothing and the order of n-grams for short texts after sacrebleu. Needs the extra `text`.

    Raises:
        ImportError: without `sacrebleu`.
    """

    def __init__(self) -> None:
        try:
            from sacrebleu.metrics.bleu import BLEU
        except ImportError as error:
            raise ImportError("Bleu needs sacrebleu: pip install 'interpreto_mllm[text]'") from error
        self._scorer = BLEU(effective_order=True)

    def __call__(self, original: str, response: str) -> float:
        return float(self._scorer.sentence_score(response, [original]).score) / 100


@dataclass(frozen=True)
class OwnMeasure(TextMeasure):
    """A user's callable, from the original text and a response to a number."""

    function: Callable[[str, str], float]

    def __call__(self, original: str, response: str) -> float:
        return float(self.function(original, response))
