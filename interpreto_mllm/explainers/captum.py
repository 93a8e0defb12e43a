"""Perturbation algorithms of captum as a perturbator and an aggregator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.core.coalitions import coalition_keys
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.perturbators.perturbator import Drawing, Perturbator

ESTIMANDS = {
    "FeatureAblation": "leave-one-out",
    "ShapleyValues": "Shapley value",
    "ShapleyValueSampling": "Shapley value",
    "KernelShap": "Shapley value",
    "Lime": "surrogate weights",
    "LimeBase": "surrogate weights",
}
EXACT = {"FeatureAblation", "ShapleyValues"}
"""Algorithms that estimate nothing from a sample."""


class CaptumAlgorithm:
    """An algorithm of captum that asks for coalitions of features in an order that their values do not change.

    Args:
        algorithm: its class.
        arguments: of its `attribute`.
        seed: of its randomness.
    """

    def __init__(self, algorithm: Callable[[Any], Any], arguments: dict[str, Any], seed: int):
        self.algorithm, self.arguments, self.seed = algorithm, arguments, seed

    @property
    def name(self) -> str:
        """Of the class."""
        return getattr(self.algorithm, "__name__", type(self.algorithm).__name__)

    def scores(self, values: Callable[[Bool[Tensor, "p n"]], Float[Tensor, "p t"]], n: int, target: int) -> Float[Tensor, "n"]:
        """What captum makes of the values of one target."""

        def forward(inputs: Float[Tensor, "p n"]) -> Float[Tensor, "p t"]:
            if not bool(((inputs == 0) | (inputs == 1)).all()):
                raise ValueError(f"{self.name} reads features that are neither absent nor present, which no coalition is.")
            return values(inputs.bool())

        whole = torch.ones(1, n, dtype=torch.float64)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            algorithm = self.algorithm(forward)
            return algorithm.attribute(whole, baselines=torch.zeros_like(whole), target=target, **self.arguments)[0].double()

    def coalitions(self, n: int) -> Bool[Tensor, "p n"]:
        """All that it asks for, in its order, repeats included."""
        asked: list[Tensor] = []

        def worthless(coalitions: Bool[Tensor, "p n"]) -> Float[Tensor, "p t"]:
            asked.append(coalitions)
            return torch.zeros(len(coalitions), 1, dtype=torch.float64)

        self.scores(worthless, n, 0)
        return torch.cat(asked)


class CaptumPerturbator(Perturbator):
    """Draws what an algorithm of captum asks for."""

    def __init__(self, algorithm: CaptumAlgorithm):
        self.algorithm = algorithm

    def draw(self, n: int, budget: int, generator: torch.Generator) -> Drawing:
        yield self.algorithm.coalitions(n)

    def minimum_budget(self, n: int) -> int:
        """All that the algorithm asks for: it cannot do with less."""
        asked = {*coalition_keys(self.algorithm.coalitions(n)), bytes(n), bytes([1] * n)}
        return len(asked)

    def default_budget(self, n: int) -> int:
        return self.minimum_budget(n)


class CaptumAggregator(Aggregator):
    """Gives an algorithm of captum the values that it asks for, target by target."""

    def __init__(self, algorithm: CaptumAlgorithm):
        self.algorithm = algorithm
        self.estimand = ESTIMANDS.get(algorithm.name, f"captum's {algorithm.name}")

    def aggregate(self, evaluations: Evaluations) -> Estimate:
        row = {key: place for place, key in enumerate(coalition_keys(evaluations.coalitions))}

        def known(coalitions: Bool[Tensor, "p n"]) -> Float[Tensor, "p t"]:
            missing = [key for key in coalition_keys(coalitions) if key not in row]
            if missing:
                raise ValueError(
                    f"captum's {self.algorithm.name} asks for coalitions that were not evaluated: draw them with the "
                    "perturbator that from_captum(...) returned beside this aggregator."
                )
            return evaluations.values[[row[key] for key in coalition_keys(coalitions)]]

        t = evaluations.values.shape[1]
        scores = torch.stack([self.algorithm.scores(known, evaluations.n, target) for target in range(t)])
        exact = self.algorithm.name in EXACT
        return Estimate(scores, torch.zeros_like(scores) if exact else None, exact)


def from_captum(
    algorithm: Callable[[Any], Any], *, seed: int = 0, **arguments: Any
) -> tuple[CaptumPerturbator, CaptumAggregator]:
    """A perturbation algorithm of captum as a perturbator and an aggregator, for `AttributionExplainer` and `play`.

    It asks for its coalitions once without a model; these are then evaluated like all others, in batches, each once, for all
    targets. Its number of samples is an argument, and the budget follows from it.

    Args:
        algorithm: a class of `captum.attr`, such as `ShapleyValueSampling`, or a function that makes one of a forward function.
        seed: of its randomness; the seed of the explainer is not used.
        arguments: of its `attribute`, such as `n_samples=100`.

    Raises:
        TypeError: for something else, such as a method that takes gradients.

    Example:
        >>> from captum.attr import FeatureAblation
        >>> from interpreto_mllm import play
        >>> either = lambda s: s.any(1).double()
        >>> play(either, *from_captum(FeatureAblation), n_features=2).attributions.tolist()
        [[0.0, 0.0]]
    """
    kinds = {kind.__name__ for kind in getattr(algorithm, "__mro__", ())}
    if not callable(algorithm) or (kinds and "PerturbationAttribution" not in kinds):
        raise TypeError(
            "from_captum takes a class of captum that perturbs its inputs (FeatureAblation, ShapleyValueSampling, KernelShap, "
            f"Lime, …); got {algorithm!r}. Methods that take gradients are classes of this library."
        )
    played = CaptumAlgorithm(algorithm, arguments, seed)
    return CaptumPerturbator(played), CaptumAggregator(played)
