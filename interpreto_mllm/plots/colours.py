"""The two colours of every picture: red pushes towards the target, blue against it."""

from __future__ import annotations

TOWARDS = (214, 62, 50)
AGAINST = (47, 111, 196)
PAPER = (250, 250, 250)


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
    """As drawing libraries and style sheets spell it.

    Example:
        >>> hexadecimal((214, 62, 50))
        '#d63e32'
    """
    return "#{:02x}{:02x}{:02x}".format(*colour)
