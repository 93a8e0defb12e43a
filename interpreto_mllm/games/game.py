"""The game on a model: coalitions of a prompt's features, and their values under the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from einops import rearrange, reduce
from jaxtyping import Bool, Float
from torch import Tensor

from interpreto_mllm.core.coalitions import coalition_keys
from interpreto_mllm.core.counts import Counts
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.core.fingerprint import Fingerprint
from interpreto_mllm.core.token_rows import TokenRows
from interpreto_mllm.engine.queries import Query, Scorer
from interpreto_mllm.games.exchange import Remembered, shapiq_game
from interpreto_mllm.games.fingerprint import ids_fingerprint, prompt_fingerprint, question_fingerprint
from interpreto_mllm.games.modes import Joint
from interpreto_mllm.games.pending import Pending
from interpreto_mllm.games.targets import Question, Target
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.prompt import Prompt, TokenPrompt
from interpreto_mllm.prompts.template_prompt import TemplatePrompt
from interpreto_mllm.thoughts.anew import Rethinking


@dataclass(frozen=True, eq=False)
class ModelGame:
    """A prompt, the question about it, and what scores the answers. A pure function of the coalition.

    Args:
        prompt: the features, and the model inputs without some of them.
        question: the targets.
        scorer: gives the values of the targets' queries.
        anchor: id that stands in where no token is left to read; without one, that is an error.
        preserved_state: leaves the model as it was, where the game is called by itself.
        setting: the part of the fingerprint that neither prompt nor question holds: the model, the value function, how answers
            are generated.
        verified: whether every evaluation taken over from an earlier play is known to be of this game.
    """

    reconciled: ClassVar[tuple[str, ...]] = ()
    """What of the fingerprint may differ in earlier evaluations, because `known` sees to it."""

    prompt: Prompt
    question: Question[Target]
    scorer: Scorer[Any]
    anchor: int | None = None
    preserved_state: Callable[[], AbstractContextManager[None]] = nullcontext
    setting: Fingerprint = field(default_factory=dict)
    verified: bool = True
    _of_inputs: dict[bytes, Float[Tensor, "w t"]] = field(default_factory=dict)

    @property
    def features(self) -> list[Feature]:
        """The players."""
        return self.prompt.features

    @property
    def n(self) -> int:
        """Number of players."""
        return len(self.prompt.features)

    def __call__(self, coalitions: Bool[Tensor, "p n"]) -> Float[Tensor, "p t"]:
        """The values of coalitions, in their order."""
        values: Tensor | None = None
        with self.preserved_state():
            for _, rows, some in evaluate([self], [coalitions]):
                values = torch.empty(len(coalitions), some.shape[1], dtype=some.dtype) if values is None else values
                values[rows] = some
        if values is None:
            raise ValueError("There are no coalitions to evaluate.")
        return values

    def inputs(self, coalitions: Bool[Tensor, "p n"]) -> list[list[ModelInput]]:
        """For each coalition the model inputs over whose values its value is the mean; usually one."""
        return [[anchored(input, self.anchor) for input in inputs] for inputs in self.prompt.inputs_for(coalitions)]

    def queries(self, coalitions: Bool[Tensor, "p n"]) -> list[list[Query]]:
        """For each coalition the queries that make up its value: all inputs for the first target, then for the next."""
        targets = self.question.targets
        return [[target.query(input) for target in targets for input in inputs] for inputs in self.inputs(coalitions)]

    def values(self, scored: Sequence[Sequence[Float[Tensor, "_"]]]) -> Float[Tensor, "p t"]:
        """Values of coalitions, from what the scorer gave for their queries in the order of `queries`."""
        return reduce(self.values_of_inputs(scored), "p w t -> p t", "mean")

    def values_of_inputs(self, scored: Sequence[Sequence[Float[Tensor, "_"]]]) -> Float[Tensor, "p w t"]:
        """The same for each of the model inputs of the coalitions."""
        targets = self.question.targets
        w = len(scored[0]) // len(targets)
        of_targets = [
            torch.stack([values[: target.length] for row in scored for values in row[place * w : (place + 1) * w]])
            for place, target in enumerate(targets)
        ]
        return rearrange(self.question.values(of_targets), "(p w) t -> p w t", w=w)

    @property
    def draws_inputs(self) -> bool:
        """Whether the model inputs of a coalition are some that were drawn of many."""
        if isinstance(self.prompt, Rethinking):
            return self.prompt.thinker.repeats > 1
        return isinstance(self.prompt, TemplatePrompt) and not self.prompt.used.enumerated

    @property
    def effect(self) -> str:
        """Whether scores are "direct" effects, beside thoughts that are held fixed, or "total" ones; empty without thoughts."""
        return self.prompt.effect if isinstance(self.prompt, (TokenPrompt, Rethinking)) else ""

    def remember(self, coalitions: Bool[Tensor, "p n"], values: Float[Tensor, "p w t"]) -> None:
        """Keep the values of each model input where these are drawn, for the spread over them."""
        if self.draws_inputs:
            self._of_inputs.update(zip(coalition_keys(coalitions), values.detach().cpu().double(), strict=True))

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """Everything that decides its values, by name; equal for equal games in every process."""
        prompt, question = prompt_fingerprint(self.prompt), question_fingerprint(self.question)
        return {**prompt, **question, **self.setting, **ids_fingerprint(self.prompt)}

    def check(self, evaluations: Evaluations) -> None:
        """Raise a ValueError for evaluations that hold something other than those of this game."""
        if evaluations.n != self.n:
            raise ValueError(f"The earlier evaluations are of {evaluations.n} features, this game has {self.n}.")
        there, here = evaluations.values.shape[1], len(self.question.labels)
        if len(evaluations.values) and there != here:
            raise ValueError(f"The earlier evaluations have {there} targets, this input has {here}.")
        without = evaluations.repeats is None and evaluations.responses is None
        if self.draws_inputs and without and len(evaluations.values):
            raise ValueError(
                "The earlier evaluations hold no values for each of the drawn baselines, from which standard errors come: they "
                "are of an older version; explain again."
            )

    def known(self, evaluations: Evaluations) -> Evaluations:
        """Evaluations of an earlier play of this game, as this play takes them over; `check` found nothing wrong with them."""
        if evaluations.repeats is not None:
            self.remember(evaluations.coalitions, rearrange(evaluations.repeats, "w p t -> p w t"))
        return evaluations

    def completed(self, evaluations: Evaluations) -> Evaluations:
        """Evaluations with what else the game knows of them."""
        of_inputs = [self._of_inputs[key] for key in coalition_keys(evaluations.coalitions) if self.draws_inputs]
        repeats = torch.stack(of_inputs, dim=1) if of_inputs else None
        answers = torch.tensor(self.question.widths) if len(self.question.columns) > 1 else None
        fingerprint = self.fingerprint if self.verified else None
        return replace(evaluations, fingerprint=fingerprint, repeats=repeats, answers=answers)

    def of_answers(self, evaluations: Evaluations) -> Evaluations:
        """The evaluations with the tokens of each answer as one target, which they keep."""
        joined, question = evaluations.mapped(self.question.of_answers), self.question
        if joined.values.shape == evaluations.values.shape:
            return evaluations
        tokens = TokenRows(evaluations.values, evaluations.repeats, tuple(question.labels), question.unit)
        return replace(joined, tokens=tokens, answers=torch.tensor(question.widths))

    def rows(self, evaluations: Evaluations, of_answers: bool) -> tuple[Evaluations, list[str], str]:
        """The evaluations with a column for each row of a result, the labels of these, and what a row is."""
        question = self.question
        if not of_answers:
            return evaluations, question.labels, question.unit
        return self.of_answers(evaluations), question.answer_labels, "response" if question.unit == "token" else question.unit

    def counted(self, counts: Counts) -> Counts:
        """The cost of a play, with what only the game knows of it."""
        return counts

    def to_shapiq(self, target: int | None = None) -> Any:
        """This game as a `shapiq.Game`, for its approximators, interactions and plots. Each coalition is evaluated once.

        Args:
            target: the column that is its value; the whole answer when None.

        Raises:
            ImportError: without shapiq.
            ValueError: for a game of several targets that are no tokens of one answer without a `target`, or when there is
                no such one.
        """
        t = len(self.question.labels)
        if target is None and t > 1 and (self.question.unit != "token" or len(self.question.columns) > 1):
            raise ValueError(f"This game has {t} targets that are no tokens of one answer: give target, from 0.")
        if target is not None and not 0 <= target < t:
            raise ValueError(f"There is no target {target}: the game has {t}, from 0.")
        joint = Joint.of(self.setting.get("value function", ""))
        column = joint if target is None else lambda values: values[:, target]
        return shapiq_game(Remembered(self, column), self.n, [feature.text for feature in self.features])

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader of a result must know about the game, what trials of the model found among it."""
        return (*self.prompt.notes, *self.question.notes, *self.scorer.counter.notes)

    def notes_on(self, evaluations: Evaluations) -> tuple[str, ...]:
        """The same, with what is to be said of these completed evaluations."""
        return self.notes


def anchored(input: ModelInput, anchor: int | None) -> ModelInput:
    """The input; where nothing of it is left to read, with the anchor: alone, or in the place of the first masked token.

    Attention that may see nothing at all would see everything, padding included.

    Raises:
        ValueError: where there is no anchor either.
    """
    nothing_seen = input.seen is not None and not input.seen.any()
    if (len(input.ids) or input.media) and not nothing_seen:
        return input
    if anchor is None:
        raise ValueError(
            "With every feature absent the prompt is empty, and no BOS or EOS token is known that could stand in: "
            "pin a feature, or use Replace(...) as the occlusion."
        )
    if not nothing_seen or input.seen is None:
        return ModelInput(np.asarray([anchor], dtype=np.int64))
    ids, seen = input.ids.copy(), input.seen.copy()
    ids[0], seen[0] = anchor, True
    return replace(input, ids=ids, seen=seen)


def evaluate(
    games: Sequence[ModelGame], coalitions: Sequence[Bool[Tensor, "_ _"]]
) -> Iterator[tuple[int, list[int], Float[Tensor, "_ _"]]]:
    """Evaluate coalitions of several games, those of one scorer together; equal queries are asked once.

    Yields:
        (index of the game, indices of its coalitions, their values) as soon as a batch completes them, so that an interrupted
        run keeps what it has paid for.

    Raises:
        ValueError: when the model gives values that are not finite.
    """
    of_scorer: dict[int, tuple[Scorer[Any], Pending]] = {}
    for place, (game, rows) in enumerate(zip(games, coalitions, strict=True)):
        of_scorer.setdefault(id(game.scorer), (game.scorer, Pending()))[1].add(place, game.queries(rows))
    for scorer, pending in of_scorer.values():
        for indices, scored in scorer.score(pending.queries):
            for place, rows, complete in pending.received(indices, scored):
                of_inputs = games[place].values_of_inputs(complete)
                games[place].remember(coalitions[place][rows], of_inputs)
                yield place, rows, finite(reduce(of_inputs, "p w t -> p t", "mean"))


def finite(values: Float[Tensor, "p t"]) -> Float[Tensor, "p t"]:
    """The values, or a ValueError where some are not finite."""
    if not values.isfinite().all():
        raise ValueError(
            "The model gave values that are not finite (NaN or infinite) for some coalition. Check the model on this "
            "prompt; in half precision, try bfloat16 or float32."
        )
    return values
