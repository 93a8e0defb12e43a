"""The explainer: a perturbator and an aggregator applied to the game of a prompt on a model."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from interpreto_mllm.adapters.base import Batching, Generation
from interpreto_mllm.adapters.choose import adapter_for
from interpreto_mllm.adapters.questions import build_questions
from interpreto_mllm.aggregators.aggregator import Aggregator
from interpreto_mllm.attribution import Attribution
from interpreto_mllm.core.counts import Spent, Stopwatch
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.fingerprint import UNCHECKED
from interpreto_mllm.core.modalities import modality_coalitions
from interpreto_mllm.engine.backward_rules import BackwardRules
from interpreto_mllm.engine.call import new_call
from interpreto_mllm.evaluation.budget import resolve_budget
from interpreto_mllm.evaluation.checkpoint import Checkpoint
from interpreto_mllm.evaluation.reporter import Reporter
from interpreto_mllm.evaluation.run import Run
from interpreto_mllm.explainers.carrying import carry_out
from interpreto_mllm.explainers.checks import Known, check_continuation, check_device, check_parts, known_evaluations
from interpreto_mllm.explainers.choice import Choice
from interpreto_mllm.explainers.extension import check_played, extended
from interpreto_mllm.explainers.gradient_games import check_gradients, presences_for, working
from interpreto_mllm.explainers.options import Options, Settings, check_names
from interpreto_mllm.explainers.plan import Plan, announced, planned
from interpreto_mllm.explainers.reasoning import Asked, Reasoning
from interpreto_mllm.explainers.reproduction import Reproducible
from interpreto_mllm.explainers.setting import reader_for, setting, text_occlusion
from interpreto_mllm.explainers.timing import timed
from interpreto_mllm.explainers.unfinished import Unfinished
from interpreto_mllm.games.game import ModelGame
from interpreto_mllm.games.modes import Joint, check_mode, mode_name
from interpreto_mllm.media.encoded import Encoded
from interpreto_mllm.perturbators.perturbator import Perturbator
from interpreto_mllm.prompts.prompt import Prompt

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

    from interpreto_mllm.adapters.remote.model import RemoteModel


class AttributionExplainer(Reproducible):
    """Explains which parts of a prompt caused a model's answer. Call it with inputs and targets.

    Args:
        model: a causal, encoder-decoder or classification model of transformers, for text or several modalities, or a
            `RemoteModel`. It is never moved or changed.
        tokenizer: the model's own tokenizer; its processor for models of several modalities; its image processor or feature
            extractor for classifiers of images or clips. A remote model has none.
        perturbator: draws coalitions of features.
        aggregator: turns their values into attributions.
        options: see `Options`.

    Attributes:
        backward_rules: of gradient methods; the model's own gradients unless a method overrides them.

    Raises:
        TypeError: for a perturbator, an aggregator or a model of an unknown kind, or an option that does not exist.
        ValueError: for an option that cannot work; the message says what is accepted.

    Example:
        >>> from interpreto_mllm.aggregators import KernelAggregator
        >>> from interpreto_mllm.perturbators import KernelPerturbator
        >>> from interpreto_mllm.testbed import load_recall
        >>> explainer = AttributionExplainer(*load_recall(), perturbator=KernelPerturbator(), aggregator=KernelAggregator())
        >>> [explanation] = explainer("the apple is red . what is the apple ?", " red")
        >>> explanation.features[int(explanation.attributions[0].argmax())].text in "the apple is red"
        True
    """

    backward_rules: ClassVar[BackwardRules] = BackwardRules()

    def __init__(
        self,
        model: PreTrainedModel | RemoteModel,
        tokenizer: PreTrainedTokenizerBase | ProcessorMixin | Any = None,
        *,
        perturbator: Perturbator,
        aggregator: Aggregator,
        **options: Unpack[Options],
    ):
        check_names(options, type(self))
        check_parts(perturbator, aggregator, self.backward_rules)
        self.model, self.tokenizer = model, tokenizer
        self.perturbator, self.aggregator = perturbator, aggregator
        self.settings = settings = Settings(**options)
        self._mode = check_mode(settings.inference_mode)
        check_gradients(model, self._mode, perturbator, settings, type(self).__name__)
        generation = Generation(dict(settings.generate or {}), settings.seed)
        batching = Batching(settings.batch_size, settings.share_prefixes)
        self._adapter = adapter_for(model, tokenizer, self._mode, generation, batching)
        check_device(settings.device, self._adapter.model)
        with self._adapter.turn():
            self._reader = reader_for(self._adapter, settings)
            self._presences = presences_for(self._adapter, perturbator, settings, self.backward_rules, self._reader.read)
        self._unfinished = Unfinished()
        self.reasoning = Reasoning(self._adapter, self._reader, settings.progress, self._unfinished, self._presences)

    def __call__(
        self,
        inputs: Any,
        targets: Any = None,
        *,
        evaluations: Sequence[Attribution | Evaluations] | None = None,
        checkpoint: str | PathLike[str] | None = None,
    ) -> list[Attribution]:
        """Same as `explain`."""
        return self.explain(inputs, targets, evaluations=evaluations, checkpoint=checkpoint)

    def explain(
        self,
        inputs: Any,
        targets: Any = None,
        *,
        evaluations: Sequence[Attribution | Evaluations] | None = None,
        checkpoint: str | PathLike[str] | None = None,
    ) -> list[Attribution]:
        """One attribution per input.

        Args:
            inputs: a text, a chat (a list of messages), a tokenizer's encoding, a `Template`, or a list of texts, chats or
                templates.
            targets: what the attribution is of. None: the model's own answer, or the class it predicts. A text, ids, a class
                index or name, an `AnswerSpan`, a `ToolCall`, a `Contrast`, or a list of them for several rows. With a list of
                inputs, one target (or one list of targets) per input, or a single one for all.
            evaluations: per input, an earlier result or `unfinished` evaluations of the same game, which are not repeated.
                Their fingerprint says which game that is; without one, only what they hold is compared, and the notes say so.
            checkpoint: a file to which every evaluation is appended; the same call resumes from it, also in another process.
                Where the file cannot be written any more, the call goes on and warns.

        Raises:
            TypeError, ValueError: for inputs and targets that cannot be explained, and evaluations or a checkpoint of another
                game, before any evaluation is made.
        """
        check_continuation(evaluations, checkpoint, self._presences is not None)
        watch = Stopwatch()
        self._unfinished.begin()
        keeping = nullcontext() if checkpoint is None else Checkpoint(checkpoint)
        with keeping as kept, new_call(), working(self._adapter, self._presences):
            asked = self.reasoning.asked(inputs, targets)
            prompts = [prompt for prompt, _ in asked]
            choices = [self.choose(prompt) for prompt in prompts]
            budgets = [self._budget(choice, prompt) for choice, prompt in zip(choices, prompts, strict=True)]
            with self._adapter.turn():
                games = self._games(asked)
            known = known_evaluations(kept.load(games, mode_name(self._mode)) if kept else evaluations, games)
            runs = [
                self._prepared(game, choice, budget, earlier)
                for game, choice, budget, earlier in zip(games, choices, budgets, known, strict=True)
            ]
            try:
                with self._reporter(runs, watch) as reporter:
                    spent = carry_out(runs, kept, reporter)
                    found = [
                        self._result(run, choice, spent, earlier.notes)
                        for run, choice, earlier in zip(runs, choices, known, strict=True)
                    ]
                self._unfinished.finish()
                return timed(found, watch.stages)
            except BaseException:
                self._unfinished.keep(runs)
                raise

    def extend(
        self,
        explanation: Attribution | Any,
        new_turn: Any,
        *,
        evaluations: Sequence[Attribution | Evaluations] | None = None,
        checkpoint: str | PathLike[str] | None = None,
    ) -> Attribution:
        """Explain the next answer of a conversation in which the model answers each coalition in every turn.

        This is a similarity game. The features are those of the explanation, followed by those of the new turn. Each coalition
        gets the conversation that it would have led to: its part of the earlier turns, the model's answer to that part (known
        from the explanation, or generated now), and its part of the new turn. Its value is the similarity of the next answer
        to the answer with every feature present. The scores are total effects, those through intermediate answers included.
        For direct effects, pass the longer chat to `explain`, which keeps the intermediate answers fixed.

        Args:
            explanation: of a chat, by this explainer or one with the same settings; it may come from a file or from `extend`.
            new_turn: what the user says next: a text, a message, or a list of messages.
            evaluations, checkpoint: see `explain`. This explainer remembers all intermediate answers of an interrupted call;
                for another process, a checkpoint keeps those of evaluated coalitions.

        Raises:
            TypeError, ValueError: when the conversation cannot go on, before the model is called.

        Example:
            >>> from interpreto_mllm import ExactShapley, Granularity, InferenceModes
            >>> from interpreto_mllm.testbed import load_recall
            >>> options = dict(granularity=Granularity.SENTENCE, inference_mode=InferenceModes.SIMILARITY)
            >>> explainer = ExactShapley(*load_recall(), **options)
            >>> [first] = explainer([{"role": "user", "content": "the apple is red . what is the apple ?"}])
            >>> second = explainer.extend(first, "what is it ?")
            >>> second.n, second.counts.paid, second.counts.answers_reused, second.counts.answers_asked
            (3, 8, 4, 0)
        """
        with working(self._adapter, self._presences):
            kept = self._unfinished.intermediate_responses
            longer = extended(explanation, new_turn, self._adapter, self._reader, self.settings.progress, kept)
            check_played(explanation, longer, self._setting() | text_occlusion(self._reader.occlusion, longer.features))
        [result] = self.explain(longer, evaluations=evaluations, checkpoint=checkpoint)
        if explanation.evaluations.fingerprint is None and UNCHECKED not in result.notes:
            result = replace(result, notes=(*result.notes, UNCHECKED))
        kept.clear()
        return result

    def plan(self, inputs: Any, targets: Any = None) -> Plan:
        """The most that explaining these inputs can cost; the model is not called. Thoughts count where a target has some."""
        with working(self._adapter, self._presences):
            asked = self.reasoning.planned(inputs, targets)
            budgets = [self._budget(self.choose(one.prompt), one.prompt) for one in asked]
            return planned(self._adapter, asked, budgets, self.settings.num_trials)

    @property
    def unfinished(self) -> list[Evaluations] | None:
        """After an interrupted call, the evaluations made for each input; give them to the next call as `evaluations`.

        Threads that share an explainer have their own.
        """
        return self._unfinished.evaluations

    def choose(self, prompt: Prompt) -> Choice:
        """What one prompt is explained with, under which name; `AutoShapley` overrides this."""
        return Choice(*self.parts(prompt), method=type(self).__name__)

    def parts(self, prompt: Prompt) -> tuple[Perturbator, Aggregator]:
        """The perturbator and the aggregator for one prompt; methods that depend on the prompt override this."""
        return self.perturbator, self.aggregator

    def game(self, inputs: Any, targets: Any = None) -> ModelGame:
        """The game of one input: a callable from coalitions `Bool[p n]` to values `Float[p t]`, which `play` takes too."""
        with working(self._adapter, self._presences):
            [asked] = self.reasoning.asked(inputs, targets)
            with self._adapter.turn():
                [game] = self._games([asked])
        return game

    def _budget(self, choice: Choice, prompt: Prompt) -> int:
        return resolve_budget(choice.perturbator, len(prompt.features), self.settings.budget)

    def _games(self, asked: list[Asked]) -> list[ModelGame]:
        prompts, given = [prompt for prompt, _ in asked], [targets for _, targets in asked]
        questions = build_questions(self._adapter, prompts, given, Joint.of(mode_name(self._mode)))
        played, games = self._setting(), self._adapter.games(prompts, questions)
        if self._presences is not None:
            return [self._presences.game(replace(game, setting=played), self.aggregator) for game in games]
        return [replace(game, setting=played | text_occlusion(self._reader.occlusion, game.features)) for game in games]

    def _setting(self) -> dict[str, str]:
        """What decides the values of all games of a call; the weights are read again, as they may have been trained."""
        return dict(setting(self._adapter, self._mode))

    def _prepared(self, game: ModelGame, choice: Choice, budget: int, known: Known) -> Run[ModelGame]:
        return Run.prepared(
            replace(game, verified=known.verified),
            choice.perturbator,
            choice.aggregator,
            budget=budget,
            seed=self.settings.seed,
            known=known.evaluations,
            until=self.settings.until or choice.until,
            extra=modality_coalitions(game.features),
            trials=self.settings.num_trials,
        )

    def _reporter(self, runs: list[Run[ModelGame]], watch: Stopwatch) -> Reporter:
        budget, settings = sum(run.session.budget for run in runs), self.settings
        counter, unit = runs[0].game.scorer.counter, runs[0].session.unit
        said = announced(self._adapter, runs) if settings.progress and self._presences is None else ""
        return Reporter(settings.callbacks, watch, budget, counter, settings.progress, unit, said)

    def _result(self, run: Run[ModelGame], choice: Choice, spent: Spent, notes: tuple[str, ...]) -> Attribution:
        game, session, evaluations = run.game, run.session, run.evaluations()
        evaluations, labels, unit = game.rows(evaluations, self.settings.rows == "answer")
        return Attribution.from_evaluations(
            evaluations,
            run.aggregator,
            counts=game.counted(session.counted(spent, run.paid)),
            method=choice.method,
            features=game.features,
            targets=labels,
            text=game.prompt.text,
            media=tuple(medium for medium in game.prompt.media if not isinstance(medium, Encoded)),
            mode=mode_name(self._mode),
            unit=unit,  # type: ignore[arg-type]
            notes=(*choice.notes, *notes, *session.notes, *game.notes_on(evaluations)),
            conversation=game.prompt.conversation,
            settings=self.described(self.settings, self._adapter),
            effect=game.effect,
        )
