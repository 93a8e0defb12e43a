"""At which size a model reads an image."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reading:
    """What a model's processor makes of an image first: one of this size.

    Args:
        width, height: in pixels.
        filter: how pixels are averaged, as Pillow numbers it; 3 is bicubic.
    """

    width: int
    height: int
    filter: int = 3
