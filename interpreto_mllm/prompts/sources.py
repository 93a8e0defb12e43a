"""Pieces of the prompt that an answer may come from: they are the features, and the rest is fixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from interpreto_mllm.core.numbers import is_whole
from interpreto_mllm.core.shown import shown
from interpreto_mllm.prompts.granularity import Granularity, Span

Source = str | Span
"""A text, as it stands in the prompt, or where it stands in a plain one."""


@dataclass(frozen=True)
class Sources:
    """A granularity under which some pieces of the prompt are the features, and everything else is always present.

    Of "which of these documents, or of their sentences, did the answer come from" (Cohen-Wang et al., "ContextCite", NeurIPS
    2024). Each feature has the name of its source as its `label`.

    Args:
        sources: the pieces: texts as they stand in the prompt or in a message of the chat, once each; or (start, end) in a
            plain prompt. A list, whose labels are "source 1", "source 2", …, or a mapping from labels.
        by: what each source is cut into, such as `Granularity.SENTENCE`; None leaves it whole.

    Raises:
        TypeError, ValueError: for no sources, other kinds of them, or a granularity that does not cut text.

    Example:
        >>> from interpreto_mllm import Lasso
        >>> from interpreto_mllm.testbed import load_recall
        >>> sources = Sources({"market": "the apple is red .", "sailor": "the sky is blue ."})
        >>> explainer = Lasso(*load_recall(), granularity=sources)
        >>> [explanation] = explainer("the apple is red . the sky is blue . what is the apple ?", " red")
        >>> [(feature.label, feature.text) for feature in explanation.features]
        [('market', 'the apple is red .'), ('sailor', 'the sky is blue .')]
    """

    sources: Mapping[str, Source] | Sequence[Source]
    by: Granularity | None = None

    def __post_init__(self) -> None:
        if isinstance(self.sources, str) or not isinstance(self.sources, (Mapping, Sequence)):
            raise TypeError(
                f"sources is a list of texts or spans, or a mapping from labels to them; got {shown(self.sources)}."
            )
        if not self.sources:
            raise ValueError("sources is empty: give the pieces of the prompt that are to be explained.")
        for source in self.named.values():
            if not (isinstance(source, str) and source.strip()) and not _is_span(source):
                raise TypeError(f"A source is a text, or its (start, end) in a plain prompt; got {shown(source)}.")
        if self.by is not None and self.by not in (Granularity.WORD, Granularity.SENTENCE):
            raise ValueError(f"by is Granularity.WORD, Granularity.SENTENCE or None; got {shown(self.by)}.")

    @property
    def named(self) -> dict[str, Source]:
        """The sources by their labels."""
        if isinstance(self.sources, Mapping):
            return {str(label): source for label, source in self.sources.items()}
        return {f"source {number}": source for number, source in enumerate(self.sources, start=1)}

    def __call__(self, text: str) -> list[Span]:
        """The spans of the features in a plain prompt."""
        return [span for span, _, _ in self.pieces(text, [(0, len(text))])]

    def pieces(self, text: str, regions: Sequence[Span]) -> list[tuple[Span, int, str]]:
        """The features of a prompt in order: their spans, the region each lies in, and their labels.

        Args:
            text: of the whole prompt.
            regions: the parts of it that were written, and may be explained.

        Raises:
            ValueError: for a source that is in none of them, or in several places, and for sources that overlap.
        """
        placed = sorted((*_placed(label, source, text, regions), label) for label, source in self.named.items())
        for ((_, end), _, first), ((start, _), _, second) in pairwise(placed):
            if start < end:
                raise ValueError(f"The sources {first!r} and {second!r} overlap.")
        return [(span, region, label) for whole, region, label in placed for span in self._cut(text, whole)]

    def _cut(self, text: str, whole: Span) -> list[Span]:
        start, end = whole
        if self.by is None:
            return [whole]
        return [(start + a, start + b) for a, b in self.by.split(text[start:end])]


def _placed(label: str, source: Source, text: str, regions: Sequence[Span]) -> tuple[Span, int]:
    """Where a source lies, and in which region."""
    if isinstance(source, str):
        spans = [
            ((start + at, start + at + len(source)), region)
            for region, (start, end) in enumerate(regions)
            for at in _occurrences(source, text[start:end])
        ]
    else:
        start, end = source
        spans = [((int(start), int(end)), 0)] if list(regions) == [(0, len(text))] and end <= len(text) else []
    if len(spans) == 1:
        return spans[0]
    if spans:
        raise ValueError(
            f"The source {label!r} occurs {len(spans)} times in the prompt: give a longer piece, or its (start, end)."
        )
    if isinstance(source, str):
        raise ValueError(
            f"The source {label!r} does not occur in the prompt: {shown(source)}. Give it exactly as it stands there; of a "
            "chat only messages of the explained roles are searched, the user's by default."
        )
    raise ValueError(
        f"The source {label!r} is {source}, and spans lie in a plain prompt, of {len(text)} characters here: for a "
        "chat give the text."
    )


def _occurrences(source: str, text: str) -> list[int]:
    """Where a text occurs in another one, without overlap."""
    found, at = [], text.find(source)
    while at >= 0:
        found.append(at)
        at = text.find(source, at + len(source))
    return found


def _is_span(source: Any) -> bool:
    return isinstance(source, (tuple, list)) and len(source) == 2 and all(map(is_whole, source)) and 0 <= source[0] < source[1]
