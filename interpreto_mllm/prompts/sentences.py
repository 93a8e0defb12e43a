"""Where sentences end."""

from __future__ import annotations

from dataclasses import dataclass

import regex

Span = tuple[int, int]

CANDIDATE = regex.compile(
    r"(?P<mark>[.!?…]+)[\"'”’»)\]]*(?=\s|$)|[。！？]+[」』”]?|(?=\n)",
)
"""Where a sentence may end."""

NEVER = frozenset(
    (
        # titles and what stands before a name
        "mr mrs ms mx messrs mmes dr drs prof profs rev hon gen col maj capt cmdr lt sgt cpl "
        "adm gov sen rep pres supt insp st mt ft "
        # in the middle of a sentence
        "vs viz cf eg ie approx al incl excl ibid resp esp "
        # German, French, Spanish, Italian, Portuguese, Dutch
        "bzw ca evtl ggf vgl inkl zzgl sog bspw hr fr frl mme mmes mlle sr sra srta dña ud "
        "uds sig dott dra dhr mevr dipl ing n° nº"
    ).split()
)
"""Abbreviations after which a sentence goes on."""

BEFORE_NUMBERS = frozenset(
    (
        "fig figs eq eqs sec secs sect ch chap chaps vol vols no nos nr nrs art para pt p pp "
        "pg tab ex app ref refs ver v abb kap s "
        "jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun tel ext cap núm num pág"
    ).split()
)
"""Abbreviations after which a sentence goes on with a number."""

BEFORE_NAMES = frozenset("inc ltd co corp bros etc jr sr esq dept univ assn ave blvd rd ste est govt usw".split())
"""Abbreviations that may end a sentence: they do before a word with which sentences begin."""

BEGINNINGS = frozenset(
    (
        "a an the this that these those it he she they we i you his her its their our "
        "my your there here who what when where why how "
        "which in on at for from with by as if after before since while although because "
        "but and or so then however also moreover "
        "thus hence yet no not some many most all each every one both another such is are "
        "was were do does did can could will would "
        "should may might let please yes der die das ein eine er sie es wir ich le la les un "
        "une il elle nous je el los las una ella"
    ).split()
)
"""Words with which sentences begin, and hardly any name."""

LISTED = regex.compile(r"\(?(?:\d{1,3}|\p{L}|[ivxlIVXL]{1,5})\.")
"""The number of an item in a list, as a sentence would begin with it."""

REACH = 60
"""Characters before and after a mark that are looked at."""

INITIALS = regex.compile(r"\p{Lu}|(?:\p{L}{1,2}\.)+\p{L}{1,3}")
"""Single letters and letters with points between them: names and abbreviations such as U.S, e.g and z.B."""


def split_sentences(text: str) -> list[Span]:
    """Spans of the sentences in a text. A line break ends one; points of abbreviations, initials and list items do not.

    Example:
        >>> text = "Dr. Smith lives in the U.S. He paid No. 5 a fee of 3.50, e.g. for tea. 1. Boil water."
        >>> [text[start:end] for start, end in split_sentences(text)]
        ['Dr. Smith lives in the U.S.', 'He paid No. 5 a fee of 3.50, e.g. for tea.', '1. Boil water.']
    """
    spans: list[Span] = []
    start = 0
    for found in (*CANDIDATE.finditer(text), None):
        end = len(text) if found is None else found.end()
        if found is not None and found["mark"] and not _ends(text, start, found):
            continue
        piece = text[start:end]
        if piece.strip():
            begin = start + len(piece) - len(piece.lstrip())
            spans.append((begin, begin + len(piece.strip())))
        start = end
    return spans


def _ends(text: str, start: int, found: regex.Match[str]) -> bool:
    """Whether the mark ends the sentence that begins at `start`."""
    following = text[found.end() : found.end() + REACH].lstrip(" \t")
    if found["mark"] in ("…", "...") or len(found[0]) > len(found["mark"]):
        return not following[:1].islower()
    if found["mark"] != "." or following[:1] in ("", "\n"):
        return True
    before = text[max(start, found.start() - REACH) : found.start()]
    if LISTED.fullmatch(before.strip() + "."):
        return False
    word = regex.search(r"[\p{L}\p{M}.°º]*$", before)[0].lstrip(".")  # type: ignore[index]
    follower = regex.match(r"[\"'“‘(\[]*([\p{L}\p{M}]*)", following)[1]  # type: ignore[index]
    begins = follower.lower() in BEGINNINGS and follower[:1].isupper()
    if word.lower() in NEVER:
        return False
    if word.lower() in BEFORE_NUMBERS:
        return not regex.match(r"\(?(\d|[IVXLC]+\b|[A-Z]\b)", following)
    if word.lower() in BEFORE_NAMES:
        return begins
    if INITIALS.fullmatch(word):
        return begins
    return True


@dataclass(frozen=True)
class Sentences:
    """Sentences of a language, as a granularity: those that pySBD finds (Sadvilkar & Neumann 2020), the extra `sentences`.

    Without pySBD, English sentences are those of `Granularity.SENTENCE`, which needs no library.

    Args:
        language: its code, such as "de"; pySBD knows 22 of them.

    Raises:
        ImportError: for another language than English, without pySBD.
        ValueError: for a language that pySBD does not know.

    Example:
        >>> Sentences("en")("Dr. Smith sleeps. He snores.")
        [(0, 17), (18, 28)]
    """

    language: str = "en"

    def __post_init__(self) -> None:
        self("")

    def __call__(self, text: str) -> list[Span]:
        try:
            import pysbd
        except ImportError as error:
            if self.language == "en":
                return split_sentences(text)
            raise ImportError(f"Sentences({self.language!r}) needs pysbd: pip install interpreto_mllm[sentences]") from error
        try:
            segmenter = pysbd.Segmenter(language=self.language, clean=False)
        except ValueError as error:
            raise ValueError(f"Sentences({self.language!r}): pySBD does not know this language. {error}") from error
        spans: list[Span] = []
        for sentence in segmenter.segment(text) if text.strip() else []:
            written = sentence.strip()
            start = text.find(written, spans[-1][1] if spans else 0)
            if written and start >= 0:
                spans.append((start, start + len(written)))
        return spans
