"""The base of the named methods."""

from __future__ import annotations

from typing import Any, Unpack

from interpreto_mllm.aggregators.aggregator import Aggregator
from interpreto_mllm.explainers.base import AttributionExplainer
from interpreto_mllm.explainers.options import Options
from interpreto_mllm.perturbators.perturbator import Perturbator


class Method(AttributionExplainer):
    """A named pair of a perturbator and an aggregator, both given as attributes.

    A method with arguments of its own has an `__init__` that makes these parts of them and then calls this one.

    Args:
        model, tokenizer, options: see `AttributionExplainer`.

    Example:
        >>> from interpreto_mllm.aggregators import LimeAggregator
        >>> from interpreto_mllm.perturbators import BernoulliPerturbator
        >>> class CoinFlips(Method):
        ...     perturbator = BernoulliPerturbator()
        ...     def __init__(self, model: Any, tokenizer: Any = None, *, width: float = 0.25, **options: Unpack[Options]):
        ...         self.aggregator = LimeAggregator(width)
        ...         super().__init__(model, tokenizer, **options)
        >>> from interpreto_mllm.testbed import load_recall
        >>> [explanation] = CoinFlips(*load_recall(), width=0.5, budget=40)("the apple is red .", " red")
        >>> explanation.method
        'CoinFlips'
    """

    perturbator: Perturbator
    aggregator: Aggregator

    def __init__(self, model: Any, tokenizer: Any = None, **options: Unpack[Options]):
        super().__init__(model, tokenizer, perturbator=self.perturbator, aggregator=self.aggregator, **options)
