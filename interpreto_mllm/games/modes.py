"""Inference modes: how logits become the value of a target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.core.numbers import is_whole
from interpreto_mllm.core.shown import shown
from interpreto_mllm.engine.queries import Mode
from interpreto_mllm.similarity.response_similarity import ResponseSimilarity


class InferenceModes(Enum):
    """What a coalition is worth: the target's logit, probability or log-probability. Everything is computed in float32.

    Or what the model predicts at the target's place, whatever the target is: ENTROPY of the prediction, in nats; PERPLEXITY,
    one over the target's probability; KL, the divergence from the prediction after the whole prompt to the one after the
    coalition, in nats.

    MEAN_LOG_SOFTMAX is the log-probability, of which an answer of several tokens has the mean, so that its length does not
    count.

    ANSWER_LOGIT is log(p / (1 − p)) for the probability p of the whole answer, which has one row (Cohen-Wang et al.,
    "ContextCite", NeurIPS 2024). Unlike log p it does not flatten where the answer is all but certain.

    Each is callable, and so is a mode of your own: from logits `Float[... v]` and target ids `Int[...]` to `Float[...]`.
    Two are not: SIMILARITY lets the model answer again, as `ResponseSimilarity()` does, which can say more about how; and KL
    compares with another prediction.

    Example:
        >>> logits, targets = torch.tensor([[0.0, 0.0]]), torch.tensor([1])
        >>> InferenceModes.SOFTMAX(logits, targets).tolist(), InferenceModes.PERPLEXITY(logits, targets).tolist()
        ([0.5], [2.0])
    """

    LOGITS = "logits"
    SOFTMAX = "softmax"
    LOG_SOFTMAX = "log_softmax"
    MEAN_LOG_SOFTMAX = "mean_log_softmax"
    ENTROPY = "entropy"
    PERPLEXITY = "perplexity"
    KL = "kl"
    ANSWER_LOGIT = "answer_logit"
    SIMILARITY = "similarity"

    def __call__(self, logits: Float[Tensor, "*rows v"], targets: Int[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
        if self is InferenceModes.SIMILARITY:
            raise TypeError("SIMILARITY compares answers and makes nothing of logits.")
        if self is InferenceModes.KL:
            raise TypeError("KL compares with what the model predicts after the whole prompt, which logits alone do not show.")
        if self is InferenceModes.ENTROPY:
            return torch.special.entr(logits.softmax(-1)).sum(-1)
        chosen = logits.gather(-1, targets[..., None])[..., 0]
        if self is InferenceModes.LOGITS:
            return chosen
        if self is InferenceModes.ANSWER_LOGIT:  # of each token; `Joint.LOGIT` makes one of them
            return chosen - logits.scatter(-1, targets[..., None], -torch.inf).logsumexp(-1)
        log_probabilities = chosen - torch.logsumexp(logits, dim=-1)
        if self is InferenceModes.PERPLEXITY:
            return log_probabilities.neg().exp()
        return log_probabilities.exp() if self is InferenceModes.SOFTMAX else log_probabilities


@dataclass(frozen=True)
class TopMass:
    """The probability of the k most likely tokens (or classes) together: how sure the model is, whatever the target is.

    Args:
        k: how many.

    Raises:
        ValueError: for a k that is no positive int.

    Example:
        >>> TopMass(2)(torch.zeros(1, 8), torch.tensor([0])).tolist()
        [0.25]
    """

    k: int

    def __post_init__(self) -> None:
        if not is_whole(self.k) or self.k < 1:
            raise ValueError(f"k must be a positive int; got {shown(self.k)}.")

    def __call__(self, logits: Float[Tensor, "*rows v"], targets: Int[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
        return logits.softmax(-1).topk(min(self.k, logits.shape[-1])).values.sum(-1)

    @property
    def name(self) -> str:
        """How results call it."""
        return f"top-{self.k} mass"


class Joint(Enum):
    """What the values of several tokens of an answer are worth together."""

    SUM = "sum"
    PRODUCT = "product"
    MEAN = "mean"
    GEOMETRIC_MEAN = "geometric mean"
    LOGIT = "logit of the product"

    @classmethod
    def of(cls, mode: str) -> Joint:
        """How values add up under a mode, by its name on results.

        Example:
            >>> Joint.of("log_softmax"), Joint.of("perplexity")
            (<Joint.SUM: 'sum'>, <Joint.GEOMETRIC_MEAN: 'geometric mean'>)
        """
        if mode.startswith(("top-", "TopMass(")):  # on results, and in fingerprints
            return cls.MEAN
        others = {
            "softmax": cls.PRODUCT,
            "mean_log_softmax": cls.MEAN,
            "perplexity": cls.GEOMETRIC_MEAN,
            "answer_logit": cls.LOGIT,
        }
        return others.get(mode, cls.SUM)

    def __call__(self, values: Float[Tensor, "p t"]) -> Float[Tensor, "p"]:
        """The value of all columns together."""
        if self is Joint.GEOMETRIC_MEAN:
            return values.log().mean(1).exp()
        if self is Joint.LOGIT:
            return values[:, 0] if values.shape[1] == 1 else logit_of_product(values)
        return {Joint.SUM: values.sum, Joint.PRODUCT: values.prod, Joint.MEAN: values.mean}[self](1)


def logit_of_product(logits: Float[Tensor, "p t"]) -> Float[Tensor, "p"]:
    """The logit of the product of probabilities, from the logit of each.

    Example:
        >>> halves = torch.tensor([[0.0, 0.0]])
        >>> logit_of_product(halves).exp().tolist()  # 1/4 to 3/4
        [0.333...]
    """
    logs = torch.nn.functional.logsigmoid(logits.double()).sum(1).clamp_max(-torch.finfo(torch.float64).tiny)
    return logs - (-torch.expm1(logs)).log()


OF_LOG_PROBABILITIES: dict[InferenceModes, Callable[[Tensor], Tensor]] = {
    InferenceModes.LOG_SOFTMAX: lambda logs: logs,
    InferenceModes.MEAN_LOG_SOFTMAX: lambda logs: logs,
    InferenceModes.SOFTMAX: torch.exp,
    InferenceModes.PERPLEXITY: lambda logs: torch.exp(-logs),
}
"""Modes whose value is a function of the target's log-probability, and that function."""

DISTRIBUTION_MODES = (InferenceModes.ENTROPY, InferenceModes.PERPLEXITY, InferenceModes.KL)


def needs_distribution(mode: object) -> bool:
    """Whether a mode speaks of probabilities that add up to one, which labels that do not exclude one another lack."""
    return mode in DISTRIBUTION_MODES or isinstance(mode, TopMass)


def on_copies(mode: Mode) -> Mode:
    """The mode, given logits and targets of its own, so that one that edits them in place changes nothing of another's.

    One of your own raises a TypeError when it returns anything but a value for each target.

    Example:
        >>> logits = torch.ones(1, 2)
        >>> on_copies(lambda logits, targets: logits.zero_()[..., 0])(logits, torch.tensor([0])), logits
        (tensor([0.]), tensor([[1., 1.]]))
    """
    if isinstance(mode, (InferenceModes, TopMass)):
        return mode

    def copied(logits: Float[Tensor, "*rows v"], targets: Int[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
        values = mode(logits.clone(), targets.clone())
        if not isinstance(values, Tensor) or values.shape != targets.shape:
            got = f"a tensor of shape {tuple(values.shape)}" if isinstance(values, Tensor) else shown(values)
            raise TypeError(
                f"A mode returns a tensor with a value for each target id, of shape {tuple(targets.shape)} here; "
                f"{mode_name(mode)} returned {got}."
            )
        return values

    return copied


def of_independent_labels(mode: Mode) -> Mode:
    """The mode for labels that do not exclude one another, whose probabilities are those of the sigmoid.

    Example:
        >>> logits = torch.tensor([[0.0, 2.0]])
        >>> of_independent_labels(InferenceModes.SOFTMAX)(logits, torch.tensor([0])).tolist()
        [0.5]
    """
    if mode is InferenceModes.ANSWER_LOGIT:
        return InferenceModes.LOGITS
    if mode not in (InferenceModes.SOFTMAX, InferenceModes.LOG_SOFTMAX, InferenceModes.MEAN_LOG_SOFTMAX):
        return mode
    function = torch.sigmoid if mode is InferenceModes.SOFTMAX else torch.nn.functional.logsigmoid
    return lambda logits, targets: function(logits.gather(-1, targets[..., None])[..., 0])


def check_mode(mode: object) -> Mode | ResponseSimilarity:
    """The mode as given, or a ValueError that lists what is accepted."""
    if mode is InferenceModes.SIMILARITY:
        return ResponseSimilarity()
    if isinstance(mode, ResponseSimilarity):
        return mode
    if isinstance(mode, InferenceModes) or (isinstance(mode, Callable) and not isinstance(mode, type)):
        return mode  # type: ignore[return-value]
    names = ", ".join(f"InferenceModes.{member.name}" for member in InferenceModes)
    raise ValueError(
        f"inference_mode must be one of {names}, a TopMass, a ResponseSimilarity, or a callable from logits and target ids to "
        f"values; got {shown(mode)}."
    )


def mode_name(mode: Mode | ResponseSimilarity) -> str:
    """How a mode is called on results: "log_softmax", or the name of the callable."""
    if isinstance(mode, (ResponseSimilarity, TopMass)):
        return mode.name
    return mode.value if isinstance(mode, InferenceModes) else getattr(mode, "__name__", type(mode).__name__)
