"""Where tables are printed."""

from __future__ import annotations

import sys

from rich.console import Console

WIDTH = 160
"""Where there is no terminal: enough for whole sentences."""


def console() -> Console:
    """As wide as the terminal."""
    return Console() if sys.stdout.isatty() else Console(width=WIDTH)
