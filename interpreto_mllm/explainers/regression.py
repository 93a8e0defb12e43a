"""Attributions by weighted regression."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Unpack

from torch import Tensor

from interpreto_mllm.aggregators import KernelAggregator, LassoAggregator, LimeAggregator, RidgeAggregator
from interpreto_mllm.aggregators.lime import Surrogate
from interpreto_mllm.explainers.method import Method
from interpreto_mllm.explainers.options import Options
from interpreto_mllm.perturbators import BernoulliPerturbator, KernelPerturbator


class KernelShap(Method):
    """Shapley values by weighted least squares over paired coalitions; the best choice where evaluations are very cheap.

    The smallest and largest coalitions are enumerated as far as the budget covers whole sizes, the others are drawn without
    replacement; exact once the budget covers all 2^n coalitions. Lundberg, Lee: A unified approach to interpreting model
    predictions, NeurIPS 2017; pairing after Covert, Lee: Improving KernelSHAP, AISTATS 2021.

    Args:
        model, tokenizer, options: see `AttributionExplainer`.
        size_effects: also fit one effect per coalition size, which language models show; it costs no evaluations.

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> [explanation] = KernelShap(*load_recall())("the apple is red . what is the apple ?", " red")
        >>> explanation.features[int(explanation.attributions[0].argmax())].text in "the apple is red"
        True
    """

    perturbator = KernelPerturbator()

    def __init__(self, model: Any, tokenizer: Any = None, *, size_effects: bool = True, **options: Unpack[Options]):
        self.aggregator = KernelAggregator(size_effects)
        super().__init__(model, tokenizer, **options)


class Lime(Method):
    """Weights of a linear surrogate, fitted mostly to coalitions in which few features are absent.

    Ribeiro, Singh, Guestrin: "Why should I trust you?", KDD 2016.

    Args:
        model, tokenizer, options: see `AttributionExplainer`.
        kernel_width: how slowly the weight of a coalition decreases with its distance from the whole prompt.
        alpha: ridge penalty.
        distance, kernel: others than LIME's, as callables; see `LimeAggregator`.
        surrogate: another regression, as a callable or an estimator of scikit-learn; see `LimeAggregator`.

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> [explanation] = Lime(*load_recall())("the apple is red . what is the apple ?", " red")
        >>> explanation.features[int(explanation.attributions[0].argmax())].text in "the apple is red"
        True
    """

    perturbator = BernoulliPerturbator()

    def __init__(
        self,
        model: Any,
        tokenizer: Any = None,
        *,
        kernel_width: float = 0.25,
        alpha: float = 1e-3,
        distance: Callable[[Tensor], Tensor] | None = None,
        kernel: Callable[[Tensor], Tensor] | None = None,
        surrogate: Surrogate | None = None,
        **options: Unpack[Options],
    ):
        self.aggregator = LimeAggregator(kernel_width, alpha, distance, kernel, surrogate)
        super().__init__(model, tokenizer, **options)


class Lasso(Method):
    """Weights of a sparse linear surrogate, fitted to coin flips: most features get exactly zero.

    Cohen-Wang, Shah, Georgiev, Madry: ContextCite: attributing model generation to context, NeurIPS 2024, whose value is
    `InferenceModes.ANSWER_LOGIT` and whose features are `Sources`; Tibshirani 1996.

    Args:
        model, tokenizer, options: see `AttributionExplainer`.
        penalty: on the absolute weights of standardised features, in units of the value; ContextCite's is 0.01 for each token
            of the answer. None: by cross-validation.

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> [explanation] = Lasso(*load_recall(), budget=120)("the apple is red . what is the apple ?", " red")
        >>> explanation.features[int(explanation.attributions[0].argmax())].text in "the apple is red"
        True
    """

    def __init__(self, model: Any, tokenizer: Any = None, *, penalty: float | None = None, **options: Unpack[Options]):
        self.perturbator = BernoulliPerturbator(paired=False)
        self.aggregator = LassoAggregator(penalty)
        super().__init__(model, tokenizer, **options)


class Ridge(Method):
    """Weights of a linear surrogate that shrinks all of them, fitted to coin flips; Banzhaf values without a penalty.

    Hoerl, Kennard: Ridge regression: biased estimation for nonorthogonal problems, 1970.

    Args:
        model, tokenizer, options: see `AttributionExplainer`.
        penalty: on the squared weights of standardised features; 1 halves them. None: by cross-validation.

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> [explanation] = Ridge(*load_recall(), budget=120)("the apple is red . what is the apple ?", " red")
        >>> explanation.features[int(explanation.attributions[0].argmax())].text in "the apple is red"
        True
    """

    perturbator = BernoulliPerturbator()

    def __init__(self, model: Any, tokenizer: Any = None, *, penalty: float | None = None, **options: Unpack[Options]):
        self.aggregator = RidgeAggregator(penalty)
        super().__init__(model, tokenizer, **options)
