"""Attributions other than Shapley values: Banzhaf values, occlusion and Sobol indices."""

from __future__ import annotations

from typing import Any, Literal, Unpack

from interpreto_mllm.aggregators import BanzhafAggregator, LeaveOneOutAggregator, SobolAggregator
from interpreto_mllm.explainers.method import Method
from interpreto_mllm.explainers.options import Options
from interpreto_mllm.perturbators import BernoulliPerturbator, OcclusionPerturbator, SobolPerturbator


class Banzhaf(Method):
    """Banzhaf values: a feature's mean marginal contribution when each other feature is present with probability 1/2.

    Banzhaf: Weighted voting doesn't work, 1965; one sample serves all features after Wang, Jia: Data Banzhaf, AISTATS 2023.

    Args:
        model, tokenizer, options: see `AttributionExplainer`.

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> [explanation] = Banzhaf(*load_recall())("the apple is red . what is the apple ?", " red")
        >>> explanation.features[int(explanation.attributions[0].argmax())].text in "the apple is red"
        True
    """

    perturbator = BernoulliPerturbator()
    aggregator = BanzhafAggregator()


class Occlusion(Method):
    """The loss of value when a feature, or a window of features, is left out.

    Zeiler, Fergus: Visualizing and understanding convolutional networks, ECCV 2014.

    Args:
        model, tokenizer, options: see `AttributionExplainer`.
        window: features left out together.
        stride: features from one window to the next.

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> [explanation] = Occlusion(*load_recall())("the apple is red . what is the apple ?", " red")
        >>> explanation.features[int(explanation.attributions[0].argmax())].text in "the apple is red"
        True
    """

    def __init__(self, model: Any, tokenizer: Any = None, *, window: int = 1, stride: int = 1, **options: Unpack[Options]):
        self.perturbator = OcclusionPerturbator(window, stride)
        self.aggregator = LeaveOneOutAggregator(window)
        super().__init__(model, tokenizer, **options)


class Sobol(Method):
    """Sobol indices: the share of the value's variance that a feature explains, alone ("first") or with interactions ("total").

    Sobol: Global sensitivity indices, 2001; estimators of Saltelli et al., 2010 and Jansen, 1999.

    Args:
        model, tokenizer, options: see `AttributionExplainer`.
        order: "first" or "total".

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> [explanation] = Sobol(*load_recall())("the apple is red . what is the apple ?", " red")
        >>> explanation.features[int(explanation.attributions[0].argmax())].text in "the apple is red"
        True
    """

    perturbator = SobolPerturbator()

    def __init__(
        self, model: Any, tokenizer: Any = None, *, order: Literal["first", "total"] = "total", **options: Unpack[Options]
    ):
        self.aggregator = SobolAggregator(order)
        super().__init__(model, tokenizer, **options)
