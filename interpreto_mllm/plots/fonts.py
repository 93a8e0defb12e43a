"""Fonts for matplotlib that together cover most scripts."""

from __future__ import annotations

from interpreto_mllm.plots.text import shortened, visible

FONTS = ("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Hiragino Sans", "PingFang SC", "Microsoft YaHei", "Noto Emoji")


def installed_fonts() -> dict[str, str]:
    """The files of the installed ones, by name."""
    from matplotlib.font_manager import fontManager

    files = {font.name: font.fname for font in fontManager.ttflist}
    return {name: files[name] for name in FONTS if name in files}


def drawable(text: str, fonts: dict[str, str]) -> str:
    """The text, with a box for each character that no font can draw."""
    from matplotlib.font_manager import get_font

    known = [get_font(path) for path in fonts.values()]
    return "".join(c if c.isspace() or any(font.get_char_index(ord(c)) for font in known) else "□" for c in text)


def label(text: str, fonts: dict[str, str], length: int = 24) -> str:
    """A short label on one line."""
    return drawable(shortened(visible(text), length), fonts)
