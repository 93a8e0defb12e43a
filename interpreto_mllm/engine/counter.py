"""What a model has cost so far."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class ForwardCounter:
    """Forward passes and tokens so far; everything that runs one model shares its counter.

    Args:
        forwards: forward passes, or requests to a server.
        tokens: tokens read and generated in them.

    Example:
        >>> counter = ForwardCounter()
        >>> counter.add(tokens=12)
        >>> counter
        ForwardCounter(forwards=1, tokens=12)
    """

    forwards: int = 0
    tokens: int = 0

    def add(self, tokens: int, forwards: int = 1) -> None:
        """Count these forwards."""
        self.forwards += forwards
        self.tokens += tokens
