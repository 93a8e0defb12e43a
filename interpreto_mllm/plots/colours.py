"""The two colours of all plots: red is towards the target, blue against it."""

from __future__ import annotations

TOWARDS = (214, 62, 50)
AGAINST = (47, 111, 196)
PAPER = (250, 250, 250)
STRENGTH = 0.78
"""Opacity of the strongest score on text and images, which must stay legible below it."""


def mixed(share: float) -> tuple[int, int, int]:
    """The colour of a score as a share of the largest one, from -1 (blue) over 0 (paper) to 1 (red).

    Example:
        >>> mixed(1.0), mixed(0.0)
        ((214, 62, 50), (250, 250, 250))
    """
    strength = min(abs(share), 1.0)
    red, green, blue = (
        round(paper + (ink - paper) * strength) for paper, ink in zip(PAPER, TOWARDS if share > 0 else AGAINST, strict=True)
    )
    return red, green, blue


def hexadecimal(colour: tuple[int, int, int]) -> str:
    """The colour as drawing libraries and style sheets write it.

    Example:
        >>> hexadecimal((214, 62, 50))
        '#d63e32'
    """
    return "#{:02x}{:02x}{:02x}".format(*colour)


def tinted(share: float) -> str:
    """The colour of a score behind text on white paper.

    Example:
        >>> tinted(0.0)
        '#ffffff'
    """
    strength = min(abs(share), 1.0) * STRENGTH
    return hexadecimal(tuple(round(255 + (c - 255) * strength) for c in (TOWARDS if share > 0 else AGAINST)))  # type: ignore[arg-type]


def ink(share: float) -> str:
    """The colour of text on the colour of a score.

    Example:
        >>> ink(0.1), ink(-1.0)
        ('#111111', '#ffffff')
    """
    return "#111111" if abs(share) < 0.75 else "#ffffff"


def style(share: float) -> str:
    """The terminal style of a score: text on its colour, or nothing when the score is nearly zero."""
    return "" if abs(share) < 0.02 else f"{ink(share)} on {hexadecimal(mixed(share))}"
