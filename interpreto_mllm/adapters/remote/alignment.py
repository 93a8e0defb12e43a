"""Which of a server's tokens are those of the answer, and where in it each ends."""

from __future__ import annotations

from itertools import accumulate

Told = list[tuple[str, float | None]]
"""The tokens of a text as a server names them, each with its log-probability where it has one."""


def aligned(told: Told, answer: str) -> list[tuple[int, float]]:
    """Where in the answer each of its tokens ends, and its log-probability, from the tokens of a text that ends with it.

    A token that begins before the answer and ends in it belongs to it. Servers that name tokens without their white space are
    read by what is visible.

    Raises:
        ValueError: when these tokens do not spell the answer, or one of its tokens has no value.

    Example:
        >>> aligned([("is", None), (" a", -0.5), (" red", -1.0), (" one", -2.0)], " red one")
        [(4, -1.0), (8, -2.0)]
        >>> aligned([("is", None), ("a", -0.5), ("red", -1.0), ("one", -2.0)], " red one")
        [(4, -1.0), (8, -2.0)]
    """
    for read, places in ((str, _every), (_visible, _seen)):
        ends = _tail([read(token) for token, _ in told], read(answer), not answer.lstrip()[:1].isascii())
        if ends is None:
            continue
        place = places(answer)
        values = [value for _, value in told[len(told) - len(ends) :]]
        if any(value is None for value in values):
            raise ValueError(
                "The server gives the first token of a text no probability, and with features absent that is one of the "
                "answer: pin a feature at the start, or use Replace(...) as the occlusion."
            )
        return [(place[end], float(value)) for end, value in zip(ends, values, strict=True) if value is not None]
    names = "".join(token for token, _ in told[-8:])
    raise ValueError(
        f"The server's tokens do not spell the answer {answer!r} at the end of what it read; they end with {names!r}. Its chat "
        "template may rewrite or close the last message."
    )


def joined(told: list[tuple[int, float]], ends: list[int]) -> list[float]:
    """Values of the stretches of the answer that end at `ends`, from tokens that may end elsewhere.

    Example:
        >>> joined([(3, -1.0), (4, -0.5), (8, -2.0)], [4, 8])
        [-1.5, -2.0]
    """
    if [end for end, _ in told] == ends:  # tokens that are bytes of one character end in one place and stay apart
        return [value for _, value in told]
    sums = [0.0] * len(ends)
    for end, value in told:
        sums[next(index for index, last in enumerate(ends) if end <= last)] += value
    return sums


def _tail(tokens: list[str], answer: str, split: bool) -> list[int] | None:
    """Where the last tokens end in the answer that they spell; `split` where its first character may have several."""
    said, start = "", len(tokens)
    while start and len(said) < len(answer):
        start -= 1
        said = tokens[start] + said
    while split and start and not tokens[start - 1]:
        start -= 1
    if not answer or not said.endswith(answer):
        return None
    before = len(said) - len(answer)
    return [max(end - before, 0) for end in accumulate(map(len, tokens[start:]))]


def _visible(text: str) -> str:
    return "".join(text.split())


def _every(answer: str) -> list[int]:
    """For each number of characters where they end."""
    return list(range(len(answer) + 1))


def _seen(answer: str) -> list[int]:
    """For each number of visible characters where they end; the last include the space after them."""
    places = [index + 1 for index, character in enumerate(answer) if not character.isspace()]
    return [0, *places[:-1], len(answer)]
