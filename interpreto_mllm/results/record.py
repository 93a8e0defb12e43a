"""What a result is: scores of features, and the evaluations they came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from jaxtyping import Bool, Float
from torch import Tensor

from interpreto_mllm.aggregators.aggregate import aggregate
from interpreto_mllm.aggregators.aggregator import Aggregator
from interpreto_mllm.core.counts import Counts
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.core.fingerprint import Fingerprint
from interpreto_mllm.core.labels import joined
from interpreto_mllm.core.points import Gradients
from interpreto_mllm.core.responses import Responses
from interpreto_mllm.games.modes import Joint
from interpreto_mllm.media import Clip, Picture, Video
from interpreto_mllm.prompts.conversation import Conversation
from interpreto_mllm.results.normalisation import Normaliser, normalise
from interpreto_mllm.results.settings import Settings
from interpreto_mllm.results.span_rows import span_rows

Unit = Literal["token", "class", "response", "contrast", "value"]
Kept = TypeVar("Kept", bound="Record")
"""`Record` or the class that shows it: derived results are of the same class."""


@dataclass(frozen=True, eq=False)
class Record:
    """Scores of `n` features for `t` targets, with all that is needed to check, re-cut, show and save them.

    Args:
        attributions: one row per target, one column per feature.
        standard_errors: of the same shape, zeros where scores are exact. None where they are not known; NaN for a single target
            of which that is so, such as one that never changed.
        features: the `n` players; their spans index into `text`.
        targets: one label per row.
        estimand: what the scores estimate ("Shapley value", …).
        method: what drew the coalitions.
        mode: the value function: "log_softmax", "softmax", "logits", "similarity: …", a callable's name, or "game".
        evaluations: every coalition evaluated, and its value for every target.
        counts: what it cost.
        text: the whole prompt as rendered.
        aggregator: what turned the evaluations into scores.
        unit: what a row is: a "token" of the answer, a "class", a whole "response", a "contrast" or a plain "value".
        notes: anything a reader must know.
        normalisation: the scale this is a view on, "" for the scores themselves.
        media: the images and clips of the prompt, into which the features' pieces index; none where the prompt came encoded.
        conversation: the chat that was explained, None for other inputs.
        settings: with what it was computed, None for games of callables and in results from older files.
        effect: "direct" or "total" where the question was about an answer with thoughts or answers in between.

    Raises:
        ValueError: when features, targets and attributions disagree on their numbers, or a feature is of no medium here.

    Example:
        >>> import torch
        >>> from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
        >>> class LeaveOneOut(Aggregator):
        ...     estimand = "leave-one-out"
        ...     def aggregate(self, evaluations):
        ...         return Estimate((evaluations.full - evaluations.values[2:]).flip(0).T)
        >>> coalitions = torch.tensor([[False, False], [True, True], [True, False], [False, True]])
        >>> values = torch.tensor([[0.0], [3.0], [1.0], [1.0]], dtype=torch.float64)
        >>> evaluations = Evaluations(coalitions, values, torch.tensor([2, 3]), torch.ones(2).double(), torch.tensor([-1, -1]))
        >>> result = Record.from_evaluations(evaluations, LeaveOneOut())
        >>> result.attributions.tolist(), result.efficiency_gap.tolist()
        ([[2.0, 2.0]], [1.0])
    """

    attributions: Float[Tensor, "t n"]
    standard_errors: Float[Tensor, "t n"] | None
    features: list[Feature]
    targets: list[str]
    estimand: str
    method: str
    mode: str
    evaluations: Evaluations
    counts: Counts
    text: str
    aggregator: Aggregator
    unit: Unit
    notes: tuple[str, ...] = ()
    normalisation: str = ""
    media: tuple[Picture | Clip | Video, ...] = ()
    conversation: Conversation | None = None
    settings: Settings | None = None
    effect: str = ""

    def __post_init__(self) -> None:
        if (len(self.targets), len(self.features)) != tuple(self.attributions.shape):
            raise ValueError(
                f"{len(self.targets)} targets and {len(self.features)} features call for as many rows and columns of "
                f"attributions; got shape {tuple(self.attributions.shape)}."
            )
        for medium, piece in (pair for feature in self.features if self.media for pair in feature.pieces):
            if medium >= len(self.media) or piece >= len(self.media[medium].labels):
                raise ValueError(f"A feature is piece {piece} of medium {medium}, which media does not hold.")

    @classmethod
    def from_evaluations(
        cls: type[Kept],
        evaluations: Evaluations,
        aggregator: Aggregator,
        *,
        counts: Counts | None = None,
        method: str = "",
        features: Sequence[Feature] | None = None,
        targets: Sequence[str] | None = None,
        text: str = "",
        mode: str = "game",
        unit: Unit = "value",
        estimand: str | None = None,
        notes: tuple[str, ...] = (),
        media: tuple[Picture | Clip | Video, ...] = (),
        conversation: Conversation | None = None,
        settings: Settings | None = None,
        effect: str = "",
    ) -> Kept:
        """Aggregate. Unless given, features and targets are called "0", "1", … and the estimand is the aggregator's.

        Raises:
            ValueError: when these evaluations cannot serve this aggregator.
        """
        estimate = aggregate(evaluations, aggregator)
        return cls(
            attributions=estimate.attributions,
            standard_errors=estimate.standard_errors,
            features=[Feature(str(i)) for i in range(evaluations.n)] if features is None else list(features),
            targets=[str(i) for i in range(evaluations.values.shape[1])] if targets is None else list(targets),
            estimand=aggregator.estimand if estimand is None else estimand,
            method=method,
            mode=mode,
            evaluations=evaluations.lasting,
            counts=Counts() if counts is None else counts,
            text=text,
            aggregator=aggregator,
            unit=unit,
            notes=(*notes, *estimate.notes),
            media=media,
            conversation=conversation,
            settings=settings,
            effect=effect,
        )

    @property
    def t(self) -> int:
        """Number of targets."""
        return self.attributions.shape[0]

    @property
    def n(self) -> int:
        """Number of features."""
        return self.attributions.shape[1]

    @property
    def exact(self) -> bool:
        """Whether the scores are those of the definition, nothing having been estimated from a sample."""
        return self.standard_errors is not None and not bool(self.standard_errors.any())

    @property
    def coalitions(self) -> Bool[Tensor, "p n"]:
        """The distinct coalitions evaluated; row 0 is the empty one, row 1 the full one."""
        return self.evaluations.coalitions

    @property
    def values(self) -> Float[Tensor, "p t"]:
        """What each coalition is worth to each target."""
        return self.evaluations.values

    @property
    def empty(self) -> Float[Tensor, "t"]:
        """v(∅): the value with every feature absent."""
        return self.evaluations.empty

    @property
    def full(self) -> Float[Tensor, "t"]:
        """v(N): the value of the whole prompt."""
        return self.evaluations.full

    @property
    def efficiency_gap(self) -> Float[Tensor, "t"]:
        """Σφ − (v(N) − v(∅)) of each target: zero for an efficient estimand such as the Shapley value."""
        return self.attributions.sum(1) - (self.full - self.empty).to(self.attributions.dtype)

    @property
    def gradients(self) -> Gradients | None:
        """The points of a gradient method with the values and slopes there; None for methods that evaluate coalitions."""
        return self.evaluations.gradients

    @property
    def responses(self) -> Responses | None:
        """What the model answered to each coalition, in a similarity game; None elsewhere."""
        return self.evaluations.responses

    @property
    def fingerprint(self) -> Fingerprint | None:
        """What decides the values of the game, by name; None for games of callables and results from older files."""
        return self.evaluations.fingerprint

    def require_target(self, target: int) -> None:
        """Raises ValueError when there is no such target."""
        if not -self.t <= target < self.t:
            raise ValueError(f"There is no target {target}: this result has {self.t}, numbered 0 to {self.t - 1}.")

    def reaggregate(self: Kept, aggregator: Aggregator) -> Kept:
        """The same evaluations under another aggregator; no model call.

        Raises:
            ValueError: when the coalitions evaluated cannot serve this aggregator.
        """
        return self.aggregated(self.evaluations, aggregator, self.targets, aggregator.estimand)

    def span(self: Kept, start: int | None = None, end: int | None = None) -> Kept:
        """One row for the target tokens `start` to `end` (as in a slice; the whole answer by default); no model call.

        Log-probabilities, logits, entropies and divergences of the tokens are added, probabilities multiplied, perplexities and
        top masses averaged (perplexities as the mean of their logarithms), and the result is aggregated again.

        Raises:
            ValueError: when the span holds no target or tokens of several answers, or the rows are classes.

        Example:
            >>> import torch
            >>> from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
            >>> class Gain(Aggregator):
            ...     def aggregate(self, evaluations):
            ...         return Estimate((evaluations.full - evaluations.empty)[:, None])
            >>> draws = torch.zeros(0, dtype=torch.int64), torch.zeros(0), torch.zeros(0, dtype=torch.int64)
            >>> evaluations = Evaluations(torch.tensor([[False], [True]]), torch.tensor([[0.5, 0.5], [1.0, 0.5]]), *draws)
            >>> tokens = Record.from_evaluations(evaluations, Gain(), mode="softmax", unit="token", targets=["a", "b"])
            >>> whole = tokens.span()
            >>> whole.targets, whole.attributions.tolist()
            (['ab'], [[0.25]])
        """
        kept = span_rows(self, start, end)
        label = joined(self.targets[kept]) if self.unit == "token" else " + ".join(self.targets[kept])
        if self.gradients is not None:
            return self._added(kept, label)
        joint = Joint.of(self.mode) if self.unit == "token" else Joint.SUM
        whole = self.evaluations.mapped(lambda values: joint(values[:, kept])[:, None])
        return self.aggregated(whole, self.aggregator, [label], self._raw_estimand)

    def _added(self: Kept, kept: slice, label: str) -> Kept:
        """The sum of rows of a gradient method, where sums of scores are scores of sums."""
        if self.mode not in ("log_softmax", "logits") or not getattr(self.aggregator, "linear", False) or self.normalisation:
            raise ValueError(
                "The scores of these tokens do not add up to those of the answer: explain again with whole_answer=True."
            )
        gradients = self.gradients and self.gradients.added(kept)
        values = self.values[:, kept].sum(1, keepdim=True)
        scores, evaluations = self.attributions[kept].sum(0, keepdim=True), replace(self.evaluations, values=values)
        evaluations = replace(evaluations, gradients=gradients)
        return replace(self, attributions=scores, standard_errors=None, targets=[label], evaluations=evaluations)

    def normalized(self: Kept, kind: Normaliser) -> Kept:
        """A view on another scale, errors included: "identity", "abs_sum", "max_abs", "min_max", "share", "power_shift",
        `PowerShift(power)`, or a callable from scores to scores, or to these and the factors of the errors.

        What each destroys is in `interpreto_mllm.results.normalisation`. Raises ValueError for an unknown kind, or for another
        shape than the scores'. `span` and `reaggregate` start from the evaluations.
        """
        scores, slope, name = normalise(self.attributions, kind)
        errors = None if self.standard_errors is None or slope is None else self.standard_errors * slope
        estimand = self._raw_estimand + _suffix(name)
        return replace(self, attributions=scores, standard_errors=errors, estimand=estimand, normalisation=name)

    @property
    def _raw_estimand(self) -> str:
        return self.estimand.removesuffix(_suffix(self.normalisation))

    def aggregated(self: Kept, evaluations: Evaluations, aggregator: Aggregator, targets: list[str], estimand: str) -> Kept:
        estimate = aggregate(evaluations, aggregator)
        return replace(
            self,
            attributions=estimate.attributions,
            standard_errors=estimate.standard_errors,
            targets=targets,
            estimand=estimand,
            evaluations=evaluations.lasting,
            aggregator=aggregator,
            normalisation="",
        )


def _suffix(kind: str) -> str:
    return f", {kind} normalised" if kind not in ("", "identity") else ""
