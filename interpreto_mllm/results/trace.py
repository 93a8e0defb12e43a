"""What a prompt does to an answer through the thoughts in between: the flow, and what it adds up to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.core.feature import Feature
from interpreto_mllm.results.flow import Flow, FlowErrors, flow_errors
from interpreto_mllm.results.record import Record


@dataclass(frozen=True)
class Link:
    """A part of the flow.

    Args:
        start: the feature that it comes from, by its number among those of the answer: parts of the prompt, then thoughts.
        end: the thought that it leads to, numbered likewise; the number of all features for the answer.
        value: in the units of the answer's value.
    """

    start: int
    end: int
    value: float


@dataclass(frozen=True, eq=False)
class ThoughtFlow:
    """The direct effects on an answer, those of thoughts passed on to what caused the thoughts.

    The scores φ of the answer are divided among the parts of the prompt and the sentences of the thoughts. Each sentence has
    scores too, of the parts of the prompt and of the sentences before it. From the last sentence to the first, what a sentence
    did to the answer is passed on to those that made it likelier, in proportion to their positive scores. Passed on is the
    share (p − p₀) / p of it, where p is the probability of the sentence after all that is before it, and p₀ after none of
    that: what is left would have been thought of anyway, and stays with the sentence. (It is the excess risk ratio, which is
    the probability of necessity where causes do not prevent; Tian & Pearl, "Probabilities of causation", 2000.)

    Nothing is lost: `direct` and `through` of all parts of the prompt and what thoughts keep add up to Σφ, for a Shapley value
    v(N) − v(∅) of the answer.

    Args:
        answer: the direct effects on the answer, one row; its last features are the sentences of the thoughts.
        sentences: the effects on each sentence, one row each; their features are the first ones of the answer's.

    Raises:
        ValueError: when the features do not fit together.
    """

    answer: Record
    sentences: tuple[Record, ...]

    def __post_init__(self) -> None:
        texts, first = [one.text for one in self.answer.features], self.n
        if self.answer.t != 1 or first < 1:
            raise ValueError("A trace needs one row for the answer, and parts of the prompt besides the thoughts.")
        for number, sentence in enumerate(self.sentences):
            if [one.text for one in sentence.features] != texts[: first + number] or sentence.t != 1:
                raise ValueError(f"Thought {number + 1} has other features than the answer, or more than one row.")

    @property
    def k(self) -> int:
        """Number of sentences of the thoughts."""
        return len(self.sentences)

    @property
    def n(self) -> int:
        """Number of parts of the prompt."""
        return self.answer.n - len(self.sentences)

    @property
    def features(self) -> list[Feature]:
        """The parts of the prompt."""
        return self.answer.features[: self.n]

    @property
    def thoughts(self) -> list[Feature]:
        """The sentences of the thoughts."""
        return self.answer.features[self.n :]

    @cached_property
    def _owed(self) -> list[float]:
        return [_owed(sentence) for sentence in self.sentences]

    @cached_property
    def _flow(self) -> Flow:
        sentences = [sentence.attributions[0].double() for sentence in self.sentences]
        return Flow.of(self.answer.attributions[0].double(), sentences, self._owed)

    @property
    def passed(self) -> Float[Tensor, "k features"]:
        """The share of what each sentence did that is passed on to each feature before it; the rest to one stays with it."""
        return self._flow.passed

    @property
    def carried(self) -> Float[Tensor, "k"]:
        """What each sentence did to the answer, directly and through later ones."""
        return self._flow.carried

    @property
    def direct(self) -> Float[Tensor, "n"]:
        """What each part of the prompt did beside the thoughts."""
        return self._flow.direct

    @property
    def through(self) -> Float[Tensor, "n"]:
        """What each part of the prompt did through the thoughts."""
        return self._flow.through

    @property
    def total(self) -> Float[Tensor, "n"]:
        """Both together."""
        return self._flow.total

    @property
    def kept(self) -> Float[Tensor, "k"]:
        """What stays with each sentence, as it owes nothing to what comes before it."""
        return self._flow.kept

    @property
    def shares(self) -> Float[Tensor, "parts"]:
        """The shares of the parts of the prompt, and last that which stays with the thoughts; they add up to 1.

        Raises:
            ValueError: when the scores add up to nothing.
        """
        if abs(float(self.total.sum() + self.kept.sum())) < 1e-12:
            raise ValueError("The scores of the answer add up to zero, so there are no shares of them.")
        return self._flow.shares

    @cached_property
    def standard_errors(self) -> FlowErrors | None:
        """Those of `direct`, `through`, `total`, `carried`, `kept` and `shares`, from those of all scores and their covariance.

        None where one of the results behind the trace has none.
        """
        return flow_errors(self._flow, self.answer, self.sentences, self._owed)

    def links(self) -> list[Link]:
        """The flow, part by part: into each thought no less comes than goes out of it, what it keeps aside."""
        end = self.answer.n
        found = [Link(start, end, float(value)) for start, value in enumerate(self.answer.attributions[0])]
        found += [
            Link(start, self.n + thought, float(self.carried[thought] * share))
            for thought in range(self.k)
            for start, share in enumerate(self.passed[thought, : self.n + thought].tolist())
        ]
        return [link for link in found if link.value]


def _owed(sentence: Record) -> float:
    """The share of a sentence's probability that it owes to what comes before it."""
    gain = float(sentence.full[0] - sentence.empty[0])
    if sentence.mode == "log_softmax":
        return max(0.0, -torch.expm1(torch.tensor(-gain, dtype=torch.float64)).item())
    return max(0.0, gain / float(sentence.full[0])) if sentence.full[0] > 0 else 0.0
