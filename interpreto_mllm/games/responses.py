"""The similarity game: a coalition's value is the similarity of the model's response to it and the original one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.responses import Response, Responses
from interpreto_mllm.games.game import ModelGame
from interpreto_mllm.games.originals import Original, ResponseTarget
from interpreto_mllm.games.response_scorer import ResponseScorer
from interpreto_mllm.games.targets import Question
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.thoughts.anew import Rethinking


@dataclass(frozen=True, eq=False)
class ResponseGame(ModelGame):
    """A game whose values come with the responses behind them.

    Args:
        generation: the settings under which the model responds, as results keep them.
        thinks: whether a response to some input ends within the model's thinking.
    """

    question: Question[ResponseTarget]
    scorer: ResponseScorer
    generation: Mapping[str, Any] | None = None
    thinks: Callable[[ModelInput, Response], bool] | None = None
    answers_every_turn: ClassVar[bool] = False
    reconciled: ClassVar[tuple[str, ...]] = ("value function",)

    def completed(self, evaluations: Evaluations) -> Evaluations:
        """The evaluations with the responses behind them, and the values of each repeat where there are several."""
        evaluations = replace(evaluations, fingerprint=self.fingerprint if self.verified else None)
        inputs = self.inputs(evaluations.coalitions)
        prompted = [[(response, input) for input in row for response in self.scorer.responses[input.key]] for row in inputs]
        if isinstance(self.prompt, Rethinking):
            told = self.prompt.told(evaluations.coalitions, self.scorer.similarity.repeats)
            prompted = [
                [(replace(response, thoughts=thought), input) for (response, input), thought in zip(row, each, strict=True)]
                for row, each in zip(prompted, told, strict=True)
            ]
        answers = [tuple(response for response, _ in row) for row in prompted]
        responses = self._responses(answers, self._log_probabilities(evaluations.coalitions))
        if (responses.repeats == 1 and not self.draws_inputs) or not len(responses):
            return replace(evaluations, responses=responses)
        flat = [one for row in prompted for one in row]
        similarities = [self.scorer.comparison.values(original.prompted_response, flat) for original in self._originals]
        of_originals = [rearrange(values, "(p answers) -> p answers", p=len(responses)) for values in similarities]
        return replace(evaluations, responses=responses, repeats=responses.values(of_originals))

    def check(self, evaluations: Evaluations) -> None:
        """Raise a ValueError where there are no responses, or these were given under other settings or to other originals."""
        super().check(evaluations)
        if evaluations.responses is None:
            raise ValueError("The earlier evaluations hold no answers: give results of a similarity game.")
        self._check_same_game(evaluations.responses)

    def known(self, evaluations: Evaluations) -> Evaluations:
        """Evaluations of an earlier play, their responses remembered and valued as this game values them."""
        earlier, coalitions = evaluations.responses, evaluations.coalitions
        if earlier is None or not len(coalitions):
            return evaluations
        repeats = self.scorer.similarity.repeats
        for inputs, responses in zip(self.inputs(coalitions), earlier.answers, strict=True):
            for place, input in enumerate(inputs):
                self.scorer.responses[input.key] = responses[place * repeats : (place + 1) * repeats]
        self._remember_log_probabilities(earlier, coalitions)
        targets = self.question.targets
        queries = [target.query(input) for inputs in self.inputs(coalitions) for target in targets for input in inputs]
        scored = {index: row for indices, rows in self.scorer.score(queries) for index, row in zip(indices, rows, strict=True)}
        each = len(queries) // len(coalitions)
        of_coalitions = [[scored[place * each + column] for column in range(each)] for place in range(len(coalitions))]
        return replace(evaluations, values=self.values(of_coalitions), repeats=None)

    def notes_on(self, evaluations: Evaluations) -> tuple[str, ...]:
        responses, notes = evaluations.responses, super().notes_on(evaluations)
        if self.thinks is None or responses is None or not len(responses):
            return notes
        [[whole, *_]] = self.inputs(torch.ones(1, self.n, dtype=torch.bool))
        given = Counter(response for each in (*responses.answers, *responses.history) for response in each)
        within = sum(count for response, count in given.items() if self.thinks(whole, response))
        if not within:
            return notes
        return (
            *notes,
            f"{within:,} of {given.total():,} answers to coalitions end within the model's thinking, and are compared by it: "
            "raise generate={'max_new_tokens': …}, or turn its thinking off.",
        )

    def _check_same_game(self, earlier: Responses) -> None:
        if len(earlier) and bool(earlier.history) != self.answers_every_turn:
            games = ("whose turns in between are fixed", "in which each coalition is answered again in between, as by extend()")
            there, here = games[bool(earlier.history)], games[self.answers_every_turn]
            raise ValueError(f"The earlier evaluations are of a chat {there}; this is one {here}.")
        mine = self._responses([], None)
        for name in ("originals", "columns", "repeats", "generation"):
            given, wanted = getattr(earlier, name), getattr(mine, name)
            if [one.text for one in given] != [one.text for one in wanted] if name == "originals" else given != wanted:
                raise ValueError(f"The earlier evaluations have other {name}: {given} there, {wanted} here.")

    def _responses(self, answers: list[tuple[Response, ...]], log_probabilities: Float[Tensor, "p o w"] | None) -> Responses:
        originals = tuple(original.response for original in self._originals)
        repeats, settings = self.scorer.similarity.repeats, self.generation or {}
        drawn = self.draws_inputs
        columns = self.question.columns
        return Responses(originals, columns, tuple(answers), repeats, settings, log_probabilities, inputs_drawn=drawn)

    def _log_probabilities(self, coalitions: Bool[Tensor, "p n"]) -> Float[Tensor, "p o w"] | None:
        """Of each original after each input of each coalition, where they were asked for."""
        scored = [original.scored for original in self._originals]
        if not self.scorer.similarity.log_probability:
            return None
        values = [
            [[self.scorer.log_probability(input, target) for input in row] for target in scored if target is not None]
            for row in self.inputs(coalitions)
        ]
        return torch.tensor(values, dtype=torch.float64).reshape(len(values), len(scored), -1)

    def _remember_log_probabilities(self, earlier: Responses, coalitions: Bool[Tensor, "p n"]) -> None:
        """Take over those of originals that have the very ids of this game's."""
        if earlier.original_log_probabilities is None:
            return
        for place, (original, there) in enumerate(zip(self._originals, earlier.originals, strict=True)):
            if original.scored is None or original.response.ids != there.ids:
                continue
            for inputs, values in zip(self.inputs(coalitions), earlier.original_log_probabilities[:, place], strict=True):
                for input, value in zip(inputs, values.tolist(), strict=True):
                    self.scorer.remember(input, original.scored, value)

    @property
    def _originals(self) -> list[Original]:
        return [target.original for target in self.question.targets]
