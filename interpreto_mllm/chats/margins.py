"""Whether a template takes white space off the texts of a chat."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import groupby

from interpreto_mllm.chats.marks import Marked

Render = Callable[[Mapping[int, str]], str]
"""From texts in place of some, by their indices, to the rendering."""


def stripped(texts: Sequence[str], spaced: Collection[int], render: Render) -> tuple[set[int], set[int]]:
    """The texts off whose beginning a template takes white space, and those off whose end.

    What is around a text is as wide without the white space if that is taken off anyway.

    Args:
        texts: of the chat.
        spaced: indices of those that begin or end with white space.
        render: the chat with other texts.

    Example:
        >>> stripped([" a ", " b"], [0, 1], lambda new: f"{new.get(0, ' a ').rstrip()}|{new.get(1, ' b').strip()}")
        ({1}, {0, 1})
    """
    if not spaced:
        return set(), set()
    marked = Marked.of(texts, spaced, ends=True)
    whole, led, followed = (
        _margins(marked.found(written), len(written))
        for written in (
            render({index: form(marked.texts[index]) for index in spaced}) for form in (str, str.lstrip, str.rstrip)
        )
    )
    known = [index for index in spaced if index in whole and index in led and index in followed]
    return (
        {index for index in known if whole[index][0] == led[index][0]},
        {index for index in known if whole[index][1] == followed[index][1]},
    )


def _margins(found: Mapping[int, tuple[int, int]], length: int) -> dict[int, tuple[int, int]]:
    """For each text how far what is known before it is, and what is known after it."""
    runs = [(index, [place for place, _ in run]) for index, run in groupby(sorted(found.items()), key=lambda one: one[1][0])]
    margins: dict[int, tuple[int, int]] = {}
    edges = [-1, *(edge for _, run in runs for edge in (run[0], run[-1])), length]
    for number, (index, run) in enumerate(runs):
        margins.setdefault(index, (run[0] - edges[2 * number], edges[2 * number + 3] - run[-1]))
    return margins
