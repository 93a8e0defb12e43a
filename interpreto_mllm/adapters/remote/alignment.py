"""Which of a server's tokens belong to the answer, and where in it each ends."""

from __future__ import annotations

import re
from itertools import accumulate

BYTES = re.compile(r"^(?:bytes:(?:\\x[0-9a-f]{2})+|<0x[0-9A-F]{2}>)$")
"""How servers write a token that is bytes of a character."""

TokenLogProbs = list[tuple[str, float | None]]
"""The text of each token, and its log-probability if it has one."""


def align(tokens: TokenLogProbs, answer: str, before: str = "") -> list[tuple[int, float]]:
    """Where each token of the answer ends in it, and its log-probability.

    Args:
        tokens: those of a text that ends with the answer.
        answer: the answer.
        before: the last character of the prompt, if it is known.

    A token that starts before the answer and ends in it belongs to it. If the texts of the tokens lack their white space, only
    visible characters are compared. Tokens that are bytes of a character may be given without text, as U+FFFD, or as
    `bytes:\\xe4` or `<0xE4>`; each but the last of a character then ends where it starts.

    Raises:
        ValueError: when the tokens do not end with the answer, or one of its tokens has no value, or it is not clear which
            bytes belong to the answer.

    Example:
        >>> align([("is", None), (" a", -0.5), (" red", -1.0), (" one", -2.0)], " red one")
        [(4, -1.0), (8, -2.0)]
        >>> align([("is", None), ("a", -0.5), ("red", -1.0), ("one", -2.0)], " red one")
        [(4, -1.0), (8, -2.0)]
        >>> align([("is", None), (" \ufffd", -0.5), ("\ufffd", -1.0), ("b", -2.0)], " 你b")
        [(1, -0.5), (2, -1.0), (3, -2.0)]
    """
    tokens = _with_characters([(BYTES.sub("\ufffd", token), value) for token, value in tokens], answer, before.isascii())
    for characters, positions in ((str, _every_end), (_visible, _visible_ends)):
        ends = _ends_in_answer(
            [characters(token) for token, _ in tokens], characters(answer), not answer.lstrip()[:1].isascii()
        )
        if ends is None:
            continue
        position = positions(answer)
        values = [value for _, value in tokens[len(tokens) - len(ends) :]]
        if any(value is None for value in values):
            raise ValueError(
                "The server gives the first token of a text no probability, and with features absent that is one of the "
                "answer: pin a feature at the start, or use Replace(...) as the occlusion."
            )
        return [(position[end], float(value)) for end, value in zip(ends, values, strict=True) if value is not None]
    ending = "".join(token for token, _ in tokens[-8:])
    raise ValueError(
        f"The server's tokens do not spell the answer {answer!r} at the end of the prompt; they end with {ending!r}. Its chat "
        "template may rewrite or close the last message."
    )


def _with_characters(tokens: TokenLogProbs, answer: str, apart: bool) -> TokenLogProbs:
    """The tokens with the characters that bytes (U+FFFD) stand for in the last token of each run of them.

    Args:
        tokens: with U+FFFD for bytes.
        answer: the answer.
        apart: whether the prompt ends with a character of one byte, so that all bytes at the start belong to the answer.
    """
    if not any("\ufffd" in token for token, _ in tokens) or "\ufffd" in answer:
        return tokens
    texts = [token for token, _ in tokens]
    fits: list[tuple[int, list[str]]] = []
    for start in range(len(texts) - 1, -1, -1):
        filled = _filled(texts[start:], answer)
        if filled is not None:
            fits.append((start, filled))
        elif fits or len("".join(texts[start:]).replace("\ufffd", "")) > len(answer) + len(texts[start]):
            break
    if not fits:
        return tokens
    fits = [fit for place, fit in enumerate(fits) if not place or "\ufffd" in texts[fit[0]]]
    if len(fits) > 1 and not apart:
        raise ValueError(
            f"The server gives bytes of characters without their text, and it is not clear which of them begin the answer "
            f"{answer!r} and which end the prompt: let the prompt end, or the answer begin, with a space or a letter of ASCII."
        )
    start, filled = fits[-1]
    return [*tokens[:start], *zip(filled, [value for _, value in tokens[start:]], strict=True)]


def _filled(texts: list[str], answer: str) -> list[str] | None:
    """The texts with characters of the answer in place of bytes, if they spell it; the first may start before it."""
    pattern, runs = "", 0
    for place, text in enumerate(texts):
        pieces = re.split("(\ufffd+)", text)
        for index, piece in enumerate(pieces):
            going = index == 0 and not piece and place > 0 and texts[place - 1].endswith("\ufffd")
            if piece.startswith("\ufffd"):
                continues = index == 1 and not pieces[0] and place > 0 and texts[place - 1].endswith("\ufffd")
                pattern += "" if continues else "([^\\x00-\\x7f]+)"
                runs += not continues
            elif not going:
                pattern += re.escape(piece)
    before = texts[0].split("\ufffd")[0]
    for cut in range(len(before) + 1):
        found = re.fullmatch(pattern[len(re.escape(before[:cut])) :], answer)
        if found is not None:
            return _in_last(texts, list(found.groups()))
    return None


def _in_last(texts: list[str], characters: list[str]) -> list[str]:
    """The texts, each run of bytes replaced by its characters in the last token that it touches."""
    filled, left = [], iter(characters)
    for place, text in enumerate(texts):
        goes_on = text.endswith("\ufffd") and place + 1 < len(texts) and texts[place + 1].startswith("\ufffd")
        kept = text.rstrip("\ufffd") if goes_on else text
        filled.append(re.sub("\ufffd+", lambda _: next(left), kept))
    return filled


def merge(values: list[tuple[int, float]], ends: list[int]) -> list[float]:
    """Values of the parts of the answer that end at `ends`, from tokens that may end elsewhere.

    Args:
        values: where each token ends, and its log-probability.
        ends: where each part ends.

    Raises:
        ValueError: where a part is some bytes of a character, and the tokens cut that character differently.

    Example:
        >>> merge([(3, -1.0), (4, -0.5), (8, -2.0)], [4, 8])
        [-1.5, -2.0]
    """
    mine, theirs = _spans(ends), _spans([end for end, _ in values])
    same = next(
        size
        for size in range(min(len(mine), len(theirs)), -1, -1)
        if theirs[len(theirs) - size :] == mine[len(mine) - size :] and all(_begins(spans, size) for spans in (mine, theirs))
    )
    head, rest = ends[: len(ends) - same], values[: len(values) - same]
    if any(end == start for start, end in mine[: len(head)]):
        raise ValueError(
            "Without some features the server cuts the answer's first character into other bytes than with all of them, so "
            "its parts cannot be compared: let the prompt end, or the answer begin, with a space."
        )
    sums = [0.0] * len(head) + [value for _, value in values[len(rest) :]]
    for (start, _), (end, value) in zip([(0, 0.0), *rest], rest, strict=False):
        place = max(end, start + 1)  # a token that ends where it starts is a part of the next character
        sums[next(index for index, last in enumerate(ends) if place <= last)] += value
    return sums


def _spans(ends: list[int]) -> list[tuple[int, int]]:
    """Start and end of each token; empty for a part of a character that is not its last one."""
    return list(zip([0, *ends], ends, strict=False))


def _begins(spans: list[tuple[int, int]], size: int) -> bool:
    """Whether the last `size` tokens begin with a whole character."""
    before = spans[: len(spans) - size]
    return not before or before[-1][1] > before[-1][0]


def _ends_in_answer(tokens: list[str], answer: str, split: bool) -> list[int] | None:
    """Where the last tokens end in the answer; None when they do not spell it.

    Args:
        tokens: their texts.
        answer: the answer.
        split: whether its first character may be several tokens."""
    tail, start = "", len(tokens)
    while start and len(tail) < len(answer):
        start -= 1
        tail = tokens[start] + tail
    while split and start and not tokens[start - 1]:
        start -= 1
    if not answer or not tail.endswith(answer):
        return None
    before = len(tail) - len(answer)
    return [max(end - before, 0) for end in accumulate(map(len, tokens[start:]))]


def _visible(text: str) -> str:
    return "".join(text.split())


def _every_end(answer: str) -> list[int]:
    """For each number of characters, where they end."""
    return list(range(len(answer) + 1))


def _visible_ends(answer: str) -> list[int]:
    """For each number of visible characters, where they end; the last one includes the space after it."""
    ends = [index + 1 for index, character in enumerate(answer) if not character.isspace()]
    return [0, *ends[:-1], len(answer)]
