"""What was evaluated: the distinct coalitions of a game, their values, and how they were drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interpreto_mllm.core.coalitions import with_complements
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.fingerprint import Fingerprint
from interpreto_mllm.core.points import Gradients
from interpreto_mllm.core.responses import Responses
from interpreto_mllm.core.token_rows import TokenRows


@dataclass(frozen=True, eq=False)
class Draw:
    """One round of a perturbator: the coalitions it asks for, and what an aggregator must know of how they were chosen.

    Args:
        coalitions: the coalitions asked for, repeats allowed (they are evaluated once).
        weights: how many coalitions each one stands for, the inverse of its inclusion probability. None: not known.
        chains: coalitions with the same number belong together and in this order (one permutation, one pair, one Sobol block).
            Numbers are the perturbator's own; -1 means "on its own". All -1 when absent.
        whole: whether this is the whole sample, in place of the rounds before it; what it shares with them is not paid again.
        design: how they were drawn. None: a `SAMPLE` where there are weights, else `UNKNOWN`.
        log_weights: logarithms of the weights, where these exceed the largest float.

    Example:
        >>> Draw(torch.eye(2).bool()).stated_design, Draw(torch.eye(2).bool(), torch.ones(2)).stated_design
        (<Design.UNKNOWN: 'unknown'>, <Design.SAMPLE: 'sample'>)
    """

    coalitions: Bool[Tensor, "p n"]
    weights: Float[Tensor, "p"] | None = None
    chains: Int[Tensor, "p"] | None = None
    whole: bool = False
    design: Design | None = None
    log_weights: Float[Tensor, "p"] | None = None

    @property
    def stated_design(self) -> Design:
        """The design given, or the one that follows from the weights."""
        if self.design is not None:
            return self.design
        return Design.UNKNOWN if self.weights is None else Design.SAMPLE

    @staticmethod
    def of_pairs(
        sides: Bool[Tensor, "q n"],
        weights: Float[Tensor, "q"] | None = None,
        first_chain: int = 0,
        design: Design | None = None,
        log_weights: Float[Tensor, "q"] | None = None,
    ) -> Draw:
        """Each of these coalitions and its complement, of the same weight, as a chain of two.

        Args:
            sides: one coalition of each pair.
            weights: how many coalitions each of them stands for. None: not known.
            first_chain: number of the first chain; the others count on from it.
            design: see `Draw`.
            log_weights: see `Draw`.

        Example:
            >>> draw = Draw.of_pairs(torch.tensor([[True, False], [False, False]]), first_chain=7)
            >>> draw.coalitions.int().tolist(), draw.chains.tolist()
            ([[1, 0], [0, 1], [0, 0], [1, 1]], [7, 7, 8, 8])
        """
        chains = torch.arange(first_chain, first_chain + len(sides)).repeat_interleave(2)
        doubled, logs = (None if each is None else each.repeat_interleave(2) for each in (weights, log_weights))
        return Draw(with_complements(sides), doubled, chains, design=design, log_weights=logs)


@dataclass(frozen=True, eq=False)
class Evaluations:
    """Everything an aggregator may use: distinct coalitions with their values, and the sequence in which they were drawn.

    Row 0 of `coalitions` is the empty coalition and row 1 the full one, always.

    Args:
        coalitions: distinct coalitions, on the CPU.
        values: float64 values of those coalitions, one column per target.
        draws: the rows of `coalitions` in the order they were drawn, repeats kept. Rows 0 and 1 appear only if drawn.
        weights: one per draw, see `Draw`; ones where they are not known, infinite where they exceed the largest float.
        chains: one per draw, see `Draw`.
        responses: the answers behind the values of a similarity game.
        repeats: where answers were drawn several times, or baselines of a template, the values under each of the repeats;
            `values` is their mean. A single one shows nothing of how far off it is.
        fingerprint: what decides the values of the game that they are of; None where nothing is known of it.
        design: how the draws were made. Those of a file from before it was kept: as far as weights and chains show.
        log_weights: logarithms of the weights, where some exceed the largest float; None elsewhere.
        gradients: what a gradient method knows, at points of its own; its two coalitions are the baseline and the prompt.
        trials: where the sampling was repeated, the number of the trial that made each draw.
        answers: where columns are tokens of several answers, or were, how many tokens each answer has.
        tokens: the rows of tokens behind columns that are whole answers.
    """

    coalitions: Bool[Tensor, "p n"]
    values: Float[Tensor, "p t"]
    draws: Int[Tensor, "m"]
    weights: Float[Tensor, "m"]
    chains: Int[Tensor, "m"]
    responses: Responses | None = None
    repeats: Float[Tensor, "r p t"] | None = None
    fingerprint: Fingerprint | None = None
    design: Design = Design.UNKNOWN
    log_weights: Float[Tensor, "m"] | None = None
    gradients: Gradients | None = None
    trials: Int[Tensor, "m"] | None = None
    answers: Int[Tensor, "answers"] | None = None
    tokens: TokenRows | None = None

    @property
    def n(self) -> int:
        """Number of features."""
        return self.coalitions.shape[1]

    @property
    def sizes(self) -> Int[Tensor, "p"]:
        """Number of features present in each coalition."""
        return self.coalitions.sum(1)

    @property
    def empty(self) -> Float[Tensor, "t"]:
        """v(∅)."""
        return self.values[0]

    @property
    def full(self) -> Float[Tensor, "t"]:
        """v(N)."""
        return self.values[1]

    @property
    def complete(self) -> bool:
        """Whether every one of the 2^n coalitions was evaluated."""
        return len(self.coalitions) == 2**self.n

    @property
    def drawn(self) -> Evaluations:
        """These without coalitions that were evaluated but are not part of the sample; all of them when they are complete."""
        kept = torch.zeros(len(self.coalitions), dtype=torch.bool)
        kept[:2] = kept[self.draws] = True
        if self.complete or kept.all() or not len(self.draws):
            return self
        draws = (kept.cumsum(0) - 1)[self.draws]
        repeats = None if self.repeats is None else self.repeats[:, kept]
        tokens = None if self.tokens is None else self.tokens.of(kept)
        parts = {"coalitions": self.coalitions[kept], "values": self.values[kept], "repeats": repeats, "tokens": tokens}
        return replace(self, **parts, draws=draws, responses=None)

    def of_trial(self, number: int) -> Evaluations:
        """What one trial drew."""
        mine = self.trials == number
        logs = None if self.log_weights is None else self.log_weights[mine]
        parts = {"draws": self.draws[mine], "weights": self.weights[mine], "chains": self.chains[mine], "log_weights": logs}
        return replace(self, **parts, trials=None).drawn

    @property
    def of_tokens(self) -> Evaluations:
        """The evaluations whose columns are the tokens of answers; these themselves where nothing was joined."""
        if self.tokens is None:
            return self
        return replace(self, values=self.tokens.values, repeats=self.tokens.repeats, tokens=None)

    def with_values(self, values: Float[Tensor, "p columns"]) -> Evaluations:
        """The same coalitions under other values, such as the sum of some targets."""
        return replace(self, values=values, repeats=None)

    def mapped(self, function: Callable[[Float[Tensor, "p t"]], Float[Tensor, "p columns"]]) -> Evaluations:
        """The same coalitions under a function of the values of each, such as the product of some targets.

        Repeats become the jackknife's pseudo-values, whose mean is as uncertain as the function of the mean. Under a linear
        function they are its values.

        Example:
            >>> none = torch.zeros(0)
            >>> repeats = torch.tensor([[[0.2, 1.0], [1.0, 1.0]], [[0.4, 0.0], [1.0, 1.0]]])
            >>> pair = torch.tensor([[False], [True]])
            >>> known = Evaluations(pair, repeats.mean(0), none.long(), none, none.long(), None, repeats)
            >>> product = known.mapped(lambda values: values.prod(1, keepdim=True))
            >>> product.values.flatten().tolist(), product.repeats.mean(0).flatten().tolist()
            ([0.15..., 1.0], [0.2..., 1.0])
        """
        whole = function(self.values)
        if self.repeats is None or (r := len(self.repeats)) < 2:
            return replace(self, values=whole, repeats=None if self.repeats is None else whole[None])
        left_out = [function((r * self.values - one) / (r - 1)) for one in self.repeats]
        return replace(self, values=whole, repeats=torch.stack([r * whole - (r - 1) * one for one in left_out]))

    def copied(self) -> Evaluations:
        """The same in tensors of its own, for code that may edit them."""
        copies = {name: value.clone() for name, value in vars(self).items() if isinstance(value, Tensor)}
        gradients = None if self.gradients is None else self.gradients.copied()
        return replace(self, **copies, gradients=gradients)

    @property
    def lasting(self) -> Evaluations:
        """What results keep: not the sums over the numbers of the input, which are many."""
        if self.gradients is None or not self.gradients.moments:
            return self
        return replace(self, gradients=replace(self.gradients, moments=()))

    def merged_weights(self) -> Float[Tensor, "p"]:
        """Weight of each distinct coalition: the mean over its draws; the empty and the full one always weigh 1."""
        total = torch.zeros(len(self.coalitions), dtype=torch.float64).index_add_(0, self.draws, self.weights)
        counts = torch.zeros_like(total).index_add_(0, self.draws, torch.ones_like(self.weights))
        merged = total / counts.clamp_min(1)
        merged[:2] = 1
        return merged

    def merged_log_weights(self) -> Float[Tensor, "p"]:
        """Logarithms of `merged_weights`, also where these exceed the largest float."""
        if self.log_weights is None:
            return self.merged_weights().log()
        merged = torch.full((len(self.coalitions),), -torch.inf, dtype=torch.float64)
        merged = merged.scatter_reduce(0, self.draws, self.log_weights, "amax")
        merged[:2] = 0
        return merged
