"""The explainer: a perturbator and an aggregator play the game of a prompt on a model."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, cast

from interpreto_mllm.adapters.choose import choose_adapter
from interpreto_mllm.adapters.questions import ask
from interpreto_mllm.aggregators.aggregator import Aggregator
from interpreto_mllm.attribution import Attribution
from interpreto_mllm.core.counts import Counts, Spent
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.modalities import modality_coalitions
from interpreto_mllm.core.responses import Response
from interpreto_mllm.engine.queries import Mode
from interpreto_mllm.evaluation.budget import resolve_budget
from interpreto_mllm.evaluation.checkpoint import Checkpoint
from interpreto_mllm.evaluation.loop import run_sessions
from interpreto_mllm.evaluation.session import SamplingSession
from interpreto_mllm.evaluation.stopping import Rule, StoppingMonitor
from interpreto_mllm.explainers.checks import check_settings, known_evaluations
from interpreto_mllm.explainers.extension import extended
from interpreto_mllm.explainers.plan import Plan, planned
from interpreto_mllm.games.game import ModelGame
from interpreto_mllm.games.modes import InferenceModes, check_mode, mode_name
from interpreto_mllm.games.targets import Question, per_input
from interpreto_mllm.media.audio_granularity import AudioGranularity, Segmenter
from interpreto_mllm.media.audio_occlusion import AudioOcclusion
from interpreto_mllm.media.cuts import Cuts
from interpreto_mllm.media.encoded import Encoded
from interpreto_mllm.media.image_granularity import Cutter, ImageGranularity
from interpreto_mllm.media.image_occlusion import ImageOcclusion
from interpreto_mllm.perturbators.perturbator import Perturbator
from interpreto_mllm.prompts.chat import is_chat
from interpreto_mllm.prompts.filters import Pins
from interpreto_mllm.prompts.granularity import Granularity, Span, Splitter, check_granularity
from interpreto_mllm.prompts.occlusion import TextOcclusion
from interpreto_mllm.prompts.prompt import Prompt
from interpreto_mllm.prompts.reader import Groups
from interpreto_mllm.prompts.tokens import stand_in
from interpreto_mllm.similarity.response_similarity import ResponseSimilarity

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

    from interpreto_mllm.adapters.remote.model import RemoteModel


class AttributionExplainer:
    """Tells which parts of a prompt caused a model's answer. Call it with inputs and targets.

    Args:
        model: a causal, encoder-decoder or classification model of transformers, for text or several modalities, or a
            `RemoteModel`. It is never moved or changed.
        tokenizer: the model's own tokenizer; its processor for models that see or hear; its image processor or feature
            extractor for classifiers of images or clips. A remote model has none.
        perturbator: draws coalitions of features.
        aggregator: turns their values into attributions.
        granularity: what a feature of a text is: a `Granularity`, a callable from a text to spans, or a list of spans of a
            plain prompt.
        inference_mode: what a coalition is worth: an `InferenceModes`, a `ResponseSimilarity`, or a callable from logits and
            target ids to values.
        occlusion: how an absent feature of a text disappears: `Drop()`, `Replace(...)` or `Attend()`. By default language
            models drop it and classifiers replace it by the mask token where there is one.
        image_granularity: what a feature of an image is: `Patches(4, 4)` by default, `Superpixels`, `Boxes`, `Masks`,
            `WholeImage`, or a callable from pixels to masks.
        image_occlusion: how it disappears: `Fill("mean")` by default, `Blur`, `Other` or `DropImage`.
        audio_granularity: what a feature of a clip is: `Windows(500)` by default, `Silences`, `Words`, `WholeClip`, or a
            callable from samples and their rate to segments.
        audio_occlusion: how it disappears: `Silence()` by default, `Noise`, `MeanLevel` or `CutOut`.
        budget: distinct evaluations per input, v(∅) and v(N) included, as an int or a fraction of 2^n.
        until: a rule that ends the play of an input early, such as `TopK(3)`; the budget is then the ceiling.
        batch_size: rows in a forward.
        seed: of all randomness.
        roles: the chat roles whose messages are explained.
        pinned: features that are always present and get no score: texts, indices, or a filter such as `punctuation`.
        groups: a label per feature, or a callable giving them; features with equal labels are one player.
        generate: arguments of `model.generate` where the target is None; greedy decoding by default.
        share_prefixes: False runs one plain forward per row, the reference that the fast path is checked against.
        progress: show a progress bar when it takes longer than a moment.

    Attributes:
        unfinished: after an interrupted call, the evaluations made for each input; hand them to the next call as `evaluations`.

    Raises:
        TypeError: for parts or models of an unknown kind.
        ValueError: for a setting that cannot work, in words that say what is accepted.

    Example:
        >>> from interpreto_mllm.aggregators import KernelAggregator
        >>> from interpreto_mllm.perturbators import KernelPerturbator
        >>> from interpreto_mllm.testbed import load_recall
        >>> explainer = AttributionExplainer(*load_recall(), perturbator=KernelPerturbator(), aggregator=KernelAggregator())
        >>> [explanation] = explainer("the apple is red . what is the apple ?", " red")
        >>> explanation.features[int(explanation.attributions[0].argmax())].text in "the apple is red"
        True
    """

    def __init__(
        self,
        model: PreTrainedModel | RemoteModel,
        tokenizer: PreTrainedTokenizerBase | ProcessorMixin | Any = None,
        *,
        perturbator: Perturbator,
        aggregator: Aggregator,
        granularity: Granularity | Splitter | list[Span] = Granularity.WORD,
        inference_mode: Mode | ResponseSimilarity = InferenceModes.LOG_SOFTMAX,
        occlusion: TextOcclusion | None = None,
        image_granularity: ImageGranularity | Cutter | None = None,
        image_occlusion: ImageOcclusion | None = None,
        audio_granularity: AudioGranularity | Segmenter | None = None,
        audio_occlusion: AudioOcclusion | None = None,
        budget: int | float | None = None,
        until: Rule | None = None,
        batch_size: int = 32,
        seed: int = 0,
        roles: Collection[str] = ("user",),
        pinned: Pins = (),
        groups: Groups | None = None,
        generate: Mapping[str, Any] | None = None,
        share_prefixes: bool = True,
        progress: bool = True,
    ):
        check_settings(perturbator, aggregator, batch_size, roles, pinned, seed)
        self.model, self.tokenizer = model, tokenizer
        self.perturbator, self.aggregator = perturbator, aggregator
        self.mode, self.budget, self.seed, self.progress = check_mode(inference_mode), budget, seed, progress
        self.until = until if until is None else StoppingMonitor(until, aggregator).rule
        self.generate = dict(generate or {})
        self._kind = choose_adapter(model, tokenizer, self.mode, self.generate, seed)
        self._kind.check_tokenizer()
        occlusion = self._kind.default_occlusion() if occlusion is None else occlusion
        if not isinstance(occlusion, TextOcclusion):
            raise ValueError(f"occlusion must be Drop(), Replace(...) or Attend(); got {occlusion!r}.")
        self._kind.check_occlusion(occlusion)
        self._engine = self._kind.engine(cast(Mode, self.mode), batch_size, share_prefixes)
        with self._kind.lent():
            prepared = occlusion.prepared(self._kind.tokenizer)
        cuts = Cuts(image_granularity, image_occlusion, audio_granularity, audio_occlusion, self._kind.processing.rate)
        text = check_granularity(granularity)
        self._reader = self._kind.reader(text, prepared, tuple(roles), pinned, groups, cuts)
        self.unfinished: list[Evaluations] | None = None
        self._between: dict[bytes, Response] = {}

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
            inputs: a text, a chat (a list of messages), a tokenizer's encoding, a `Template`, or a list of the first, second
                or last.
            targets: what the attribution is of. None: the model's own answer, or the class it predicts. A text, ids, a class
                index or name, a `Contrast`, or a list of them for several rows. With a list of inputs, one target (or one
                list of targets) per input, or a single one for all.
            evaluations: per input, an earlier result or `unfinished` evaluations of the same game, which are not made again.
            checkpoint: a file that keeps what was evaluated, written every some seconds; the same call goes on from there, in
                another process too.

        Raises:
            TypeError, ValueError: for inputs and targets that cannot be explained, before any evaluation is made.
        """
        if evaluations is not None and checkpoint is not None:
            raise ValueError("Give evaluations or a checkpoint to go on from, not both.")
        started = time.perf_counter()
        self.unfinished = None
        self._kind.forget()
        with self._kind.lent():
            prompts = self._reader.read(inputs)
            parts = [self.parts(prompt) for prompt in prompts]
            budgets = [
                resolve_budget(p, len(prompt.features), self.budget) for (p, _), prompt in zip(parts, prompts, strict=True)
            ]
            games = [
                self._kind.game(prompt, question, self._engine, stand_in(self._kind.tokenizer))
                for prompt, question in zip(prompts, self._questions(prompts, inputs, targets), strict=True)
            ]
            kept = None if checkpoint is None else Checkpoint(checkpoint, games, mode_name(self.mode))
            known = known_evaluations(kept.load() if kept else evaluations, games)
            hands = [
                SamplingSession(
                    perturbator,
                    game.n,
                    budget,
                    self.seed,
                    earlier,
                    self.until and StoppingMonitor(self.until, aggregator),
                    modality_coalitions(game.features),
                )
                for (perturbator, aggregator), game, budget, earlier in zip(parts, games, budgets, known, strict=True)
            ]
            paid, forwards, tokens = self._play(games, hands, kept)
        spent = Spent(paid, forwards, tokens, time.perf_counter() - started)
        return [
            self._result(game, hand, aggregator, game.counted(spent.share(index, hand.evaluated, hand.saved)))
            for index, (game, hand, (_, aggregator)) in enumerate(zip(games, hands, parts, strict=True))
        ]

    def extend(
        self,
        explanation: Attribution | Any,
        new_turn: Any,
        *,
        evaluations: Sequence[Attribution | Evaluations] | None = None,
        checkpoint: str | PathLike[str] | None = None,
    ) -> Attribution:
        """Explain the next answer of a conversation in the similarity game, each coalition answered anew in every turn.

        Players are those of the explanation and then the new turn's. A coalition is played as the conversation would have gone:
        after its old part comes what the model answered to that part, known from the explanation or else asked for now, then
        its part of the new turn; its value is the likeness of the next answer to that with everything present. The scores are
        total effects, through answers in between as well; the longer chat given to `explain` keeps those, for direct effects.

        Args:
            explanation: of a chat, by this explainer or one with the same settings; loaded from a file or itself extended too.
            new_turn: what the user says next: a text, a message, or a list of messages.
            evaluations, checkpoint: see `explain`. This explainer remembers all answers in between of an interrupted run; for
                another process, a checkpoint keeps those of evaluated coalitions.

        Raises:
            TypeError, ValueError: for what cannot go on, before the model is asked.

        Example:
            >>> from interpreto_mllm import ExactShapley, Granularity
            >>> from interpreto_mllm.testbed import load_recall
            >>> options = dict(granularity=Granularity.SENTENCE, inference_mode=InferenceModes.SIMILARITY)
            >>> explainer = ExactShapley(*load_recall(), **options)
            >>> [first] = explainer([{"role": "user", "content": "the apple is red . what is the apple ?"}])
            >>> second = explainer.extend(first, "what is it ?")
            >>> second.n, second.counts.paid, second.counts.answers_reused, second.counts.answers_asked
            (3, 8, 4, 0)
        """
        with self._kind.lent():
            longer = extended(explanation, new_turn, self._kind, self._reader, self.progress, self._between)
        [result] = self.explain(longer, evaluations=evaluations, checkpoint=checkpoint)
        self._between.clear()
        return result

    def plan(self, inputs: Any) -> Plan:
        """What explaining these inputs costs at most; the model is not asked."""
        with self._kind.lent():
            prompts = self._reader.read(inputs)
            budgets = [resolve_budget(self.parts(prompt)[0], len(prompt.features), self.budget) for prompt in prompts]
            return planned(self._kind, prompts, budgets)

    def parts(self, prompt: Prompt) -> tuple[Perturbator, Aggregator]:
        """The perturbator and the aggregator for one prompt; methods that need to know the prompt override this."""
        return self.perturbator, self.aggregator

    def game(self, inputs: Any, targets: Any = None) -> ModelGame:
        """The game of one input as a callable from coalitions `Bool[p n]` to values `Float[p t]`, for `play` or by hand."""
        with self._kind.lent():
            [prompt] = self._reader.read(inputs)
            [question] = self._questions([prompt], inputs, targets)
        return self._kind.game(prompt, question, self._engine, stand_in(self._kind.tokenizer), self._kind.lent)

    def _questions(self, prompts: list[Prompt], inputs: Any, targets: Any) -> list[Question]:
        single = not isinstance(inputs, (list, tuple)) or is_chat(inputs)
        asked = per_input(targets, len(prompts), single and len(prompts) == 1, self._kind.ids_are_one)
        product = self.mode is InferenceModes.SOFTMAX
        return [ask(self._kind, prompt, given, self.generate, product) for prompt, given in zip(prompts, asked, strict=True)]

    def _play(
        self, games: list[ModelGame], hands: list[SamplingSession], checkpoint: Checkpoint | None
    ) -> tuple[list[int], int, int]:
        """Play all hands to their ends, for what `Spent` tells; what was evaluated by then is kept when that fails."""
        forwards, tokens = self._engine.forwards, self._engine.tokens
        paid = [0] * len(hands)

        def known() -> list[Evaluations]:
            return [game.completed(hand.evaluations()) for game, hand in zip(games, hands, strict=True)]

        try:
            for place, count in run_sessions(games, hands, self.progress):
                paid[place] += count
                if checkpoint and checkpoint.due:
                    checkpoint.save(known())
        except BaseException:
            self.unfinished = known()
            raise
        finally:
            if checkpoint:
                checkpoint.save(known())
        return paid, self._engine.forwards - forwards, self._engine.tokens - tokens

    def _result(self, game: ModelGame, hand: SamplingSession, aggregator: Aggregator, counts: Counts) -> Attribution:
        return Attribution.from_evaluations(
            game.completed(hand.evaluations()),
            aggregator,
            counts=counts,
            method=type(self).__name__,
            features=game.features,
            targets=game.question.labels,
            text=game.prompt.text,
            media=tuple(medium for medium in game.prompt.media if not isinstance(medium, Encoded)),
            mode=mode_name(self.mode),
            unit=game.question.unit,  # type: ignore[arg-type]
            notes=(*hand.notes, *game.notes),
            conversation=game.prompt.conversation,
        )
