"""Which characters of a text each token stands for, where the tokenizer does not say so."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import regex

from interpreto_mllm.prompts.granularity import Granularity, Span

PREFIXES, SUFFIXES = ("##", "▁", "Ġ"), ("@@", "</w>")
"""What tokenizers write before or after the text of a token to say that a word begins, goes on or ends."""

REACH = 40
"""How many characters an unknown token may stand for, beyond which only its whole word is considered."""

STATES, MARGIN = 48, 8.0
"""How many alignments are kept at each token, and how much worse than the best one they may be."""

UNKNOWN, REWRITTEN, WITHOUT_TEXT, INSIDE_WORD, SKIPPED, SKIPPED_INVISIBLE = 1.0, 2.0, 3.0, 0.3, 1.0, 0.1
"""Costs: a token that matches nothing, because it is unknown, or rewritten; one that gets no text; one that ends inside a word;
a character without a token, and one that is invisible."""


@dataclass(frozen=True)
class Piece:
    """A token, or several that make up one character.

    Args:
        forms: texts that it may stand for, likeliest first; none for white space.
        unknown: whether it may stand for anything.
    """

    forms: tuple[str, ...]
    unknown: bool = False

    @classmethod
    def of(cls, token: str, decoded: str, unknown: bool) -> Piece:
        """From the token's name in the vocabulary, and its text when it is decoded alone."""
        if unknown:
            return cls((), True)
        forms = dict.fromkeys((decoded, bare(decoded), bare(token))) if decoded else ()
        return cls(tuple(form for form in forms if form.strip(" ▁")))


def bare(token: str) -> str:
    """A token without the marks of where its word begins, goes on or ends.

    Example:
        >>> bare("##ing"), bare("app@@"), bare("▁the"), bare("##")
        ('ing', 'app', 'the', '##')
    """
    for prefix in PREFIXES:
        token = token[len(prefix) :] if token.startswith(prefix) and len(token) > len(prefix) else token
    for suffix in SUFFIXES:
        token = token[: -len(suffix)] if token.endswith(suffix) and len(token) > len(suffix) else token
    return token


@dataclass(frozen=True)
class Aligned:
    """Spans of pieces, empty where a piece owns no text.

    Args:
        spans: of each piece.
        cost: 0 where every piece was found and no character is left over.
        certain: for each piece whether its span was found, or follows from its neighbours.
    """

    spans: list[Span]
    cost: float
    certain: list[bool]


def align(pieces: Sequence[Piece], text: str) -> Aligned:
    """Align tokens with a text, although the tokenizer may have normalised it.

    Case, compatibility forms (NFKC) and, where that fits better, accents do not matter. Unknown and rewritten tokens get what
    is left between their neighbours, a word each where there are as many words as tokens.

    Example:
        >>> align([Piece(("naive",)), Piece((), True), Piece(("fi",)), Piece(("ne",))], "Naïve 🙂 ﬁne").spans
        [(0, 5), (6, 7), (8, 9), (9, 11)]
    """
    exact = _Alignment(text, _decomposed).run(pieces)
    if exact.cost == 0:
        return exact
    return min(exact, _Alignment(text, _without_accents).run(pieces), key=lambda aligned: aligned.cost)


def align_words(pieces: Sequence[Piece], ids: Sequence[int], text: str, encode: Callable[[str], list[int]]) -> Aligned:
    """Like `align`, word by word where the ids of the words, one after the other, are those of the text."""
    words = [match.span() for match in regex.finditer(r"\s*\S+", text)]
    known: dict[str, list[int]] = {}
    each = [known.setdefault(text[a:b], known.get(text[a:b]) or encode(text[a:b])) for a, b in words]
    if [token for word in each for token in word] != list(ids):
        return align(pieces, text)
    spans, cost, place = [], 0.0, 0
    for (start, end), word in zip(words, each, strict=True):
        aligned = align(pieces[place : place + len(word)], text[start:end])
        spans += [(start + a, start + b) for a, b in aligned.spans]
        cost, place = cost + aligned.cost, place + len(word)
    return Aligned(spans, cost, [True] * len(spans))


def filled(spans: Sequence[Span], written: Sequence[bool], text: str) -> list[Span]:
    """The spans, where written tokens without text get white space beside them, or share the text of a neighbour.

    Example:
        >>> filled([(0, 3), (3, 3), (4, 7)], [True] * 3, "the sky")
        [(0, 3), (3, 4), (4, 7)]
    """
    held = [index for index, (start, end) in enumerate(spans) if end > start]
    own = [index for index in held if written[index]]
    result = list(spans)
    for index, (start, end) in enumerate(spans):
        if end > start or not written[index] or not own:
            continue
        low = max((spans[other][1] for other in held if other < index), default=0)
        high = min((spans[other][0] for other in held if other > index), default=len(text))
        before = [spans[other] for other in own if other < index][-1:]
        after = [spans[other] for other in own if other > index][:1]
        blank = low < high and text[low:high].isspace()
        result[index] = (low, high) if blank else (before or after)[0] if text[:low].strip() else (after or before)[0]
    return result


def _decomposed(character: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", character).casefold() if not c.isspace() and c != "▁")


def _without_accents(character: str) -> str:
    return "".join(c for c in _decomposed(character) if unicodedata.category(c) != "Mn")


class _Alignment:
    """The cheapest alignment of pieces with one text.

    Args:
        text: the text.
        fold: maps a character to what is compared.
    """

    def __init__(self, text: str, fold: Callable[[str], str]):
        self.text, self.fold = text, fold
        folded = [(part, index) for index, character in enumerate(text) for part in fold(character)]
        self.folded = "".join(part for part, _ in folded)
        self.source = [index for _, index in folded]

    @cached_property
    def boundaries(self) -> set[int]:
        """Places in the folded text where a word begins or ends."""
        edges = {edge for span in Granularity.WORD.split(self.text) for edge in span}
        first = [place for place, index in enumerate(self.source) if not place or self.source[place - 1] != index]
        return {place for place in first if self.source[place] in edges} | {0, len(self.folded)}

    @cached_property
    def word_ends(self) -> list[int]:
        """For each place in the folded text the end of the stretch without white space around it."""
        ends = [len(self.folded)] * (len(self.folded) + 1)
        for place in range(len(self.folded) - 2, -1, -1):
            between = self.text[self.source[place] + 1 : self.source[place + 1]]
            ends[place] = place + 1 if any(map(str.isspace, between)) else ends[place + 1]
        return ends

    def run(self, pieces: Sequence[Piece]) -> Aligned:
        states: dict[int, float] = {0: 0.0}
        back: list[dict[int, tuple[int, int, bool]]] = []
        for piece in pieces:
            reached: dict[int, tuple[float, int, int, bool]] = {}
            limit = min(states.values()) + MARGIN
            for place, cost in sorted(states.items(), key=lambda item: item[1])[:STATES]:
                if cost > limit:
                    break
                for end, start, price, found in self._steps(piece, place):
                    if end not in reached or cost + price < reached[end][0] - 1e-9:
                        reached[end] = (cost + price, place, start, found)
            states = {end: step[0] for end, step in reached.items()}
            back.append({end: step[1:] for end, step in reached.items()})
        final = {place: cost + self._skipped(place, len(self.folded)) for place, cost in states.items()}
        place = min(final, key=final.__getitem__)
        cost, steps = final[place], []
        for reached_from in reversed(back):
            previous, start, found = reached_from[place]
            steps.append((start, place, found))
            place = previous
        steps.reverse()
        return Aligned([self._span(start, end) for start, end, _ in steps], cost, self._certain(steps))

    def _steps(self, piece: Piece, place: int) -> list[tuple[int, int, float, bool]]:
        """Where the piece may end and start, what that costs, and whether its text was found."""
        forms = ["".join(map(self.fold, form)) for form in piece.forms]
        if not piece.unknown and not any(forms):
            return [(place, place, 0.0, True)]
        for form in forms:
            if form and self.folded.startswith(form, place):
                return [(place + len(form), place, 0.0, True)]
        price = UNKNOWN if piece.unknown else REWRITTEN
        steps = [(place, place, WITHOUT_TEXT, False)]
        for form in filter(None, forms):
            start = self.folded.find(form, place, place + REACH + len(form))
            if start >= 0:
                steps.append((start + len(form), start, self._skipped(place, start), True))
        if place < len(self.folded):
            last = self.word_ends[place]
            for end in {*range(place + 1, min(last, place + REACH) + 1), last}:
                inside = 0.0 if end in self.boundaries else INSIDE_WORD
                steps.append((end, place, price + inside + 0.01 * (end - place), False))
        return steps

    def _skipped(self, start: int, end: int) -> float:
        invisible = [unicodedata.category(c) in ("Cc", "Cf", "Mn") for c in self.folded[start:end]]
        return float(sum(SKIPPED_INVISIBLE if c else SKIPPED for c in invisible))

    def _span(self, start: int, end: int) -> Span:
        if end > start:
            return (self.source[start], self.source[end - 1] + 1)
        place = self.source[start - 1] + 1 if start else 0
        return (place, place)

    def _certain(self, steps: Sequence[tuple[int, int, bool]]) -> list[bool]:
        """Unfound tokens are certain one at a time, within one word, or where there is a word for each.

        None is certain if more letters and digits are left over than were found.
        """
        covered = {place for start, end, _ in steps for place in range(start, end)}
        left = sum(c.isalnum() for place, c in enumerate(self.folded) if place not in covered)
        if left > sum(end - start for start, end, found in steps if found):
            return [False] * len(steps)
        certain: list[bool] = []
        for found, run in groupby(steps, key=lambda step: step[2]):
            count = len(list(run))
            low = steps[len(certain) - 1][1] if certain else 0
            high = steps[len(certain) + count][0] if len(certain) + count < len(steps) else len(self.folded)
            words = 1 + sum(low < edge < high for edge in self.boundaries)
            certain += [found or count == 1 or words in (1, count)] * count
        return certain
