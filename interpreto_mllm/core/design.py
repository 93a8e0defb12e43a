"""How coalitions were drawn: what a perturbator says of its draws, and an aggregator asks."""

from __future__ import annotations

from enum import Enum


class Design(Enum):
    """How coalitions were drawn. Aggregators read off it which estimates and which standard errors a sample allows.

    Attributes:
        UNKNOWN: nothing is said of it, as where a perturbator yields plain coalitions.
        FIXED: by a rule, without chance, such as every feature left out in turn.
        SAMPLE: at random; the weight of each coalition is the inverse of its inclusion probability. Those of one size are
            alike, and a coalition and its complement count as one draw.
        PAIRS: pairs (S, N∖S), those of a size alike and at random; how many of each size may depend on earlier values, and
            there are no weights.
        ORDERS: nested coalitions of random orders of the features. Weights as in a SAMPLE, but those of one order depend on one
            another.
        BLOCKS: Saltelli blocks.
        HIERARCHY: chains that follow groups of features; weights say how much a chain counts in the mean of its group.
        CHOSEN: those that a model of the game found most informative.
        SCREENED: chains that look for the features that matter, and coalitions of these with all others.

    Example:
        >>> Design.SAMPLE.independent, Design.ORDERS.independent, Design.ORDERS.unbiased, Design.HIERARCHY.alike
        (True, False, True, False)
    """

    UNKNOWN = "unknown"
    FIXED = "fixed"
    SAMPLE = "sample"
    PAIRS = "pairs"
    ORDERS = "orders"
    BLOCKS = "blocks"
    HIERARCHY = "hierarchy"
    CHOSEN = "chosen"
    SCREENED = "screened"

    @property
    def unbiased(self) -> bool:
        """Whether weights are inverse inclusion probabilities, so that weighted sums over the draws are unbiased."""
        return self in (Design.SAMPLE, Design.ORDERS)

    @property
    def weighted(self) -> bool:
        """Whether weights say how many coalitions each one stands for, even if only nearly so."""
        return self.unbiased or self is Design.CHOSEN

    @property
    def independent(self) -> bool:
        """Whether coalitions, each with its complement, were drawn by chances of their own, size by size."""
        return self in (Design.SAMPLE, Design.PAIRS)

    @property
    def alike(self) -> bool:
        """Whether all coalitions of one size may be taken to be drawn alike: certainly, or as nothing is said against it."""
        return self not in (Design.FIXED, Design.HIERARCHY, Design.SCREENED)
