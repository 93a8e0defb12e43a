"""The base of everything that draws points for gradients, and those that are fixed or random."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.core.points import Gradients, Points
from interpreto_mllm.perturbators.perturbator import Perturbator

DrawingPoints = Generator[Points, Gradients, None]
Rule = Literal["gauss-legendre", "riemann-left", "riemann-middle", "riemann-right", "riemann-trapezoid"]
RULES = ("gauss-legendre", "riemann-left", "riemann-middle", "riemann-right", "riemann-trapezoid")
SEEDS = 2**62
POINTS_OF_A_ROUND = 32


class GradientPerturbator(Perturbator):
    """Draws points between a baseline and the prompt, where gradients are taken, in place of coalitions.

    Its `draw` yields `Points` and is sent the `Gradients` there, as many rounds as it likes; its budget is a number of points.
    The values of the baseline and of the prompt are known anyhow, and no part of it.

    Attributes:
        start: the baseline of texts unless the user gives one: "zero", or "mean", the mean embedding.

    Example:
        >>> class Halfway(GradientPerturbator):
        ...     def draw(self, n, budget, generator):
        ...         yield Points(torch.full((1, n), 0.5))
    """

    start: str = "zero"

    @abstractmethod
    def draw(self, n: int, budget: int, generator: torch.Generator) -> DrawingPoints:  # type: ignore[override]
        """Yield points, each with a presence for all of the `n` features; points beyond the budget are an error."""

    def minimum_budget(self, n: int) -> int:
        """The fewest points that make sense."""
        return 1

    def default_budget(self, n: int) -> int:
        """How many points there are when the caller says nothing."""
        return 1


class InputPerturbator(GradientPerturbator):
    """One point, the prompt itself.

    Example:
        >>> next(InputPerturbator().draw(2, 1, torch.Generator())).presences.tolist()
        [[1.0, 1.0]]
    """

    def draw(self, n: int, budget: int, generator: torch.Generator) -> DrawingPoints:
        yield Points(torch.ones(1, n, dtype=torch.float64))


class PathPerturbator(GradientPerturbator):
    """Points on the straight line from the baseline to the prompt, with the weights of a rule of integration.

    Args:
        steps: number of points.
        rule: "gauss-legendre", exact for polynomials of degree up to 2·steps − 1, or a Riemann sum: "riemann-left",
            "riemann-middle", "riemann-right" or "riemann-trapezoid".

    Raises:
        ValueError: for no steps, or an unknown rule.

    Example:
        >>> points = next(PathPerturbator(2, "riemann-middle").draw(1, 2, torch.Generator()))
        >>> points.presences.tolist(), points.weights.tolist()
        ([[0.25], [0.75]], [0.5, 0.5])
    """

    start = "mean"

    def __init__(self, steps: int = 64, rule: Rule = "gauss-legendre"):
        self.steps, self.rule = checked_count("steps", steps), rule
        if rule not in RULES:
            raise ValueError(f"rule must be one of {', '.join(map(repr, RULES))}; got {rule!r}.")
        if rule == "riemann-trapezoid" and steps < 2:
            raise ValueError("The trapezoidal rule needs at least 2 steps, the baseline and the prompt.")

    def draw(self, n: int, budget: int, generator: torch.Generator) -> DrawingPoints:
        places, weights = self._rule(budget)
        yield Points(places[:, None].expand(-1, n).contiguous(), weights)

    def minimum_budget(self, n: int) -> int:
        return 2 if self.rule == "riemann-trapezoid" else 1

    def default_budget(self, n: int) -> int:
        return self.steps

    def _rule(self, steps: int) -> tuple[Float[Tensor, "p"], Float[Tensor, "p"]]:
        """Where the points are on [0, 1], and their weights."""
        if self.rule == "gauss-legendre":
            places, weights = np.polynomial.legendre.leggauss(steps)
            return torch.from_numpy((places + 1) / 2), torch.from_numpy(weights / 2)
        numbers = torch.arange(steps, dtype=torch.float64)
        weights = torch.full((steps,), 1 / steps, dtype=torch.float64)
        if self.rule == "riemann-trapezoid":
            weights = torch.full((steps,), 1 / (steps - 1), dtype=torch.float64)
            weights[0] = weights[-1] = weights[0] / 2
            return numbers / (steps - 1), weights
        shift = {"riemann-left": 0.0, "riemann-middle": 0.5, "riemann-right": 1.0}[self.rule]
        return (numbers + shift) / steps, weights


class NoisePerturbator(GradientPerturbator):
    """The prompt under Gaussian noise, each point with noise of its own.

    Args:
        samples: number of points.
        noise: its standard deviation, as a share of the range (largest minus smallest number) of the input.

    Raises:
        ValueError: for no samples, or noise that is not positive.

    Example:
        >>> points = next(NoisePerturbator(4, 0.1).draw(2, 4, torch.Generator().manual_seed(0)))
        >>> points.presences.shape, points.noise.tolist()
        (torch.Size([4, 2]), [0.1, 0.1, 0.1, 0.1])
    """

    adaptive = True

    def __init__(self, samples: int = 32, noise: float = 0.1):
        self.samples, self.noise = checked_count("samples", samples), checked_noise(noise)
        if not noise:
            raise ValueError("Without noise all samples are the same: give noise > 0, or use Saliency.")

    def draw(self, n: int, budget: int, generator: torch.Generator) -> DrawingPoints:
        for size in rounds(budget):
            seeds = torch.randint(SEEDS, (size,), generator=generator)
            presences = torch.ones(size, n, dtype=torch.float64)
            yield Points(presences, noise=torch.full((size,), self.noise, dtype=torch.float64), seeds=seeds)

    def default_budget(self, n: int) -> int:
        return self.samples


class UniformPerturbator(GradientPerturbator):
    """Points at random places on the lines from random baselines to the prompt, under noise if wanted.

    Args:
        samples: number of points.
        noise: see `NoisePerturbator`; none by default.

    Raises:
        ValueError: for no samples, or negative noise.

    Example:
        >>> points = next(UniformPerturbator(4).draw(2, 4, torch.Generator().manual_seed(0)))
        >>> bool((points.presences[:, 0] == points.presences[:, 1]).all()), points.chances.shape
        (True, torch.Size([4]))
    """

    adaptive = True
    start = "mean"

    def __init__(self, samples: int = 64, noise: float = 0.0):
        self.samples, self.noise = checked_count("samples", samples), checked_noise(noise)

    def draw(self, n: int, budget: int, generator: torch.Generator) -> DrawingPoints:
        for size in rounds(budget):
            places = torch.rand(size, 1, generator=generator, dtype=torch.float64)
            chances = torch.rand(size, generator=generator, dtype=torch.float64)
            noise = torch.full((size,), self.noise, dtype=torch.float64) if self.noise else None
            seeds = torch.randint(SEEDS, (size,), generator=generator) if self.noise else None
            yield Points(places.expand(-1, n).contiguous(), noise=noise, seeds=seeds, chances=chances)

    def default_budget(self, n: int) -> int:
        return self.samples


def rounds(budget: int) -> list[int]:
    """The sizes of rounds after each of which one may stop."""
    return [min(POINTS_OF_A_ROUND, budget - start) for start in range(0, budget, POINTS_OF_A_ROUND)]


def checked_count(name: str, count: object) -> int:
    """The number of points, a positive int."""
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"{name} must be a positive int: at so many points the gradient is taken; got {count!r}.")
    return count


def checked_noise(noise: object) -> float:
    """A standard deviation that is not negative."""
    if isinstance(noise, bool) or not isinstance(noise, (int, float)) or not 0 <= noise < float("inf"):
        raise ValueError(f"noise is a standard deviation, as a share of the input's range, such as 0.1; got {noise!r}.")
    return float(noise)
