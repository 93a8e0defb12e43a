"""Which of a server's tokens belong to the answer, and where in it each ends."""

from __future__ import annotations

from itertools import accumulate

TokenLogProbs = list[tuple[str, float | None]]
"""The text of each token, and its log-probability if it has one."""


def align(tokens: TokenLogProbs, answer: str) -> list[tuple[int, float]]:
    """Where each token of the answer ends in it, and its log-probability.

    Args:
        tokens: those of a text that ends with the answer.
        answer: the answer.

    A token that starts before the answer and ends in it belongs to it. If the texts of the tokens lack their white space, only
    visible characters are compared.

    Raises:
        ValueError: when the tokens do not end with the answer, or one of its tokens has no value.

    Example:
        >>> align([("is", None), (" a", -0.5), (" red", -1.0), (" one", -2.0)], " red one")
        [(4, -1.0), (8, -2.0)]
        >>> align([("is", None), ("a", -0.5), ("red", -1.0), ("one", -2.0)], " red one")
        [(4, -1.0), (8, -2.0)]
    """
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


def merge(values: list[tuple[int, float]], ends: list[int]) -> list[float]:
    """Values of the parts of the answer that end at `ends`, from tokens that may end elsewhere.

    Args:
        values: where each token ends, and its log-probability.
        ends: where each part ends.

    Example:
        >>> merge([(3, -1.0), (4, -0.5), (8, -2.0)], [4, 8])
        [-1.5, -2.0]
    """
    if [end for end, _ in values] == ends:  # tokens that are bytes of one character end at the same place and stay separate
        return [value for _, value in values]
    sums = [0.0] * len(ends)
    for end, value in values:
        sums[next(index for index, last in enumerate(ends) if end <= last)] += value
    return sums


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
