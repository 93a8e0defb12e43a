"""Methods that take gradients: of the prompt itself, along a path from a baseline, and under noise."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Unpack

from interpreto_mllm.aggregators.aggregator import Aggregator
from interpreto_mllm.aggregators.gradient import (
    GradientVarianceAggregator,
    Hidden,
    MeanGradientAggregator,
    PathAggregator,
    SquaredGradientAggregator,
    Tokens,
)
from interpreto_mllm.explainers.method import Method
from interpreto_mllm.explainers.options import Options
from interpreto_mllm.perturbators.gradient import (
    InputPerturbator,
    NoisePerturbator,
    PathPerturbator,
    Rule,
    UniformPerturbator,
)


class Saliency(Method):
    """The gradient of the value with respect to the embeddings, or to the numbers of an image or a clip.

    Simonyan, Vedaldi, Zisserman: Deep inside convolutional networks, 2014. It is signed, where the paper has absolute values.

    Args:
        model, tokenizer, options: see `AttributionExplainer`.
        hidden: from the hidden dimension of a token to one number: "sum", "l1" or "l2".
        tokens: from the tokens of a feature to one number: "sum", "mean", "max" or "signed_max".

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> [explanation] = Saliency(*load_recall(), hidden="l2")("the apple is red . what is the apple ?", " red")
        >>> explanation.counts.points, explanation.counts.backwards, explanation.estimand
        (1, 1, 'gradient')
    """

    perturbator = InputPerturbator()

    def __init__(
        self,
        model: Any,
        tokenizer: Any = None,
        *,
        hidden: Hidden = "sum",
        tokens: Tokens = "sum",
        **options: Unpack[Options],
    ):
        self.aggregator = MeanGradientAggregator(hidden, tokens)
        super().__init__(model, tokenizer, **options)


class InputXGradient(Method):
    """The embeddings, less those of a baseline, times their gradient: the first-order change of value.

    Shrikumar, Greenside, Shcherbina, Kundaje: Not just a black box, 2016.

    Args:
        model, tokenizer, options: see `AttributionExplainer`.
        hidden, tokens: see `Saliency`.

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> [explanation] = InputXGradient(*load_recall())("the apple is red . what is the apple ?", " red")
        >>> explanation.estimand
        'input × gradient'
    """

    perturbator = InputPerturbator()

    def __init__(
        self,
        model: Any,
        tokenizer: Any = None,
        *,
        hidden: Hidden = "sum",
        tokens: Tokens = "sum",
        **options: Unpack[Options],
    ):
        self.aggregator = PathAggregator(hidden, tokens, "input × gradient")
        super().__init__(model, tokenizer, **options)


class IntegratedGradients(Method):
    """Gradients integrated along the straight line from a baseline to the prompt. They add up to the difference of values.

    How far they are from that is `explanation.completeness_gap`, which shrinks with the number of steps. The baseline of a text
    is the mean embedding unless you give another one. Zero, the paper's, makes the integral hard for models that normalise
    their embeddings first, as Llama and most others do: values change abruptly next to it, and the gap needs many steps.

    Sundararajan, Taly, Yan: Axiomatic attribution for deep networks, ICML 2017.

    Args:
        model, tokenizer, options: see `AttributionExplainer`.
        steps: points on the line.
        rule: of integration: "gauss-legendre", "riemann-left", "riemann-middle", "riemann-right" or "riemann-trapezoid".
        hidden, tokens: see `Saliency`; the scores add up only with "sum" and "sum".

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> [explanation] = IntegratedGradients(*load_recall(), steps=64)("the apple is red . what is the apple ?", " red")
        >>> explanation.counts.points, float(explanation.completeness_gap.abs()) < 0.01
        (64, True)
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any = None,
        *,
        steps: int = 64,
        rule: Rule = "gauss-legendre",
        hidden: Hidden = "sum",
        tokens: Tokens = "sum",
        **options: Unpack[Options],
    ):
        self.perturbator = PathPerturbator(steps, rule)
        self.aggregator = PathAggregator(hidden, tokens)
        super().__init__(model, tokenizer, **options)


class GradientShap(Method):
    """Expected gradients: at random places on lines from random baselines to the prompt. They add up on average.

    With a single baseline this is a sampled `IntegratedGradients`; it has standard errors.

    Lundberg, Lee: A unified approach to interpreting model predictions, 2017; Erion, Janizek, Sturmfels, Lundberg, Lee:
    Improving performance of deep learning models with axiomatic attribution priors and expected gradients, 2021.

    Args:
        model, tokenizer, options: see `AttributionExplainer`; `baseline` may be a list.
        samples: points.
        noise: standard deviation of Gaussian noise added to each point, as a share of the input's range; none by default.
        hidden, tokens: see `Saliency`.

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> explainer = GradientShap(*load_recall(), baseline=["zero", "<unk>"], samples=64)
        >>> [explanation] = explainer("the apple is red . what is the apple ?", " red")
        >>> explanation.estimand, explanation.standard_errors.shape
        ('expected gradient', torch.Size([1, 10]))
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any = None,
        *,
        samples: int = 64,
        noise: float = 0.0,
        hidden: Hidden = "sum",
        tokens: Tokens = "sum",
        **options: Unpack[Options],
    ):
        self.perturbator = UniformPerturbator(samples, noise)
        self.aggregator = PathAggregator(hidden, tokens, "expected gradient")
        super().__init__(model, tokenizer, **options)


class NoisyGradient(Method):
    """The base of methods that fold gradients under Gaussian noise; see `SmoothGrad` for the arguments.

    A method says as `folded` what makes its aggregator of `hidden` and `tokens`.
    """

    folded: Callable[[Hidden, Tokens], Aggregator]

    def __init__(
        self,
        model: Any,
        tokenizer: Any = None,
        *,
        samples: int = 32,
        noise: float = 0.1,
        hidden: Hidden = "sum",
        tokens: Tokens = "sum",
        **options: Unpack[Options],
    ):
        self.perturbator = NoisePerturbator(samples, noise)
        self.aggregator = type(self).folded(hidden, tokens)
        super().__init__(model, tokenizer, **options)


class SmoothGrad(NoisyGradient):
    """The mean gradient under Gaussian noise.

    Smilkov, Thorat, Kim, Viégas, Wattenberg: SmoothGrad: removing noise by adding noise, 2017.

    Args:
        model, tokenizer, options: see `AttributionExplainer`.
        samples: points.
        noise: standard deviation of the noise, as a share of the range (largest minus smallest number) of the input.
        hidden, tokens: see `Saliency`.

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> [explanation] = SmoothGrad(*load_recall(), samples=8)("the apple is red . what is the apple ?", " red")
        >>> explanation.estimand
        'mean gradient under noise'
    """

    folded = partial(MeanGradientAggregator, estimand="mean gradient under noise")


class SquareGrad(NoisyGradient):
    """The mean of squared gradients under Gaussian noise.

    Hooker, Erhan, Kindermans, Kim: A benchmark for interpretability methods in deep neural networks, NeurIPS 2019.

    Args:
        model, tokenizer, options: see `AttributionExplainer`.
        samples, noise: see `SmoothGrad`.
        hidden, tokens: see `Saliency`.

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> [explanation] = SquareGrad(*load_recall(), samples=8)("the apple is red . what is the apple ?", " red")
        >>> bool((explanation.attributions >= 0).all())
        True
    """

    folded = SquaredGradientAggregator


class VarGrad(NoisyGradient):
    """The variance of gradients under Gaussian noise.

    Adebayo, Gilmer, Goodfellow, Kim: Local explanation methods for deep neural networks lack sensitivity to parameter values,
    2018.

    Args:
        model, tokenizer, options: see `AttributionExplainer`.
        samples, noise: see `SmoothGrad`.
        hidden, tokens: see `Saliency`.

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> [explanation] = VarGrad(*load_recall(), samples=8)("the apple is red . what is the apple ?", " red")
        >>> explanation.estimand
        'variance of the gradient'
    """

    folded = GradientVarianceAggregator
