"""Text from a prompt, made fit for labels and terminals."""

from __future__ import annotations


def visible(text: str) -> str:
    """The text on one line, with visible line ends and control characters.

    Example:
        >>> visible(" Paris\\n")
        'Paris↵'
    """
    shown = text.strip(" ").replace("\n", "↵").replace("\t", "⇥") or "␣" * len(text)
    return "".join(character if character.isprintable() else "�" for character in shown)


def shortened(text: str, length: int) -> str:
    """The text cut to at most so many characters.

    Example:
        >>> shortened("constitution", 6)
        'const…'
    """
    return text if len(text) <= length else text[: length - 1] + "…"


def printable(text: str) -> str:
    """The text without control characters, which a terminal would execute.

    Example:
        >>> printable("\x1b[31mred")
        '�[31mred'
    """
    return "".join(character if character.isprintable() or character in "\n\t" else "�" for character in text)
