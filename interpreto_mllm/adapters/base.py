"""What differs between models, as the explainers ask it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from interpreto_mllm.calls.tool_call import ToolCall
from interpreto_mllm.engine.memory import PeakMemory
from interpreto_mllm.engine.queries import Scorer
from interpreto_mllm.engine.responders import Responder
from interpreto_mllm.games.answer_span import AnswerSpan
from interpreto_mllm.games.game import ModelGame
from interpreto_mllm.games.targets import Question, Target
from interpreto_mllm.media.cuts import Cuts
from interpreto_mllm.prompts.conversation import Conversation
from interpreto_mllm.prompts.filters import Pins
from interpreto_mllm.prompts.granularity import Granularity, Span, Splitter
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.occlusion import Drop, TextOcclusion
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.prompts.prompt import Prompt
from interpreto_mllm.prompts.reader import PromptReader
from interpreto_mllm.prompts.selection import Groups
from interpreto_mllm.prompts.tokens import stand_in

T = TypeVar("T", bound=Target)
"""What is scored under an adapter."""


@dataclass(frozen=True)
class Batching:
    """How forward passes are made: rows in each, and whether prefixes that rows share are computed once."""

    rows: int = 32
    share_prefixes: bool = True


@dataclass(frozen=True)
class Generation:
    """How a model generates answers: arguments that override its own settings, and the seed of those that are sampled."""

    arguments: Mapping[str, Any]
    seed: int = 0


@dataclass(frozen=True)
class OwnAnswer(Generic[T]):
    """What a model itself answers to a prompt.

    Args:
        targets: the answer: one target, or several labels of a classifier whose labels do not exclude one another.
        notes: what the reader of a result must know about it.
    """

    targets: tuple[T, ...]
    notes: tuple[str, ...] = ()


class ModelAdapter(ABC, Generic[T]):
    """How one model reads prompts and targets, and what scores them. It is complete when constructed.

    Attributes:
        unit: what the value of a target is of: a "token", a "class" or a "response".
        ids_are_one: whether a list of ints is one target, token ids, rather than several, classes.
        answers_prompts: whether a chat is read up to where the model's answer begins, rather than as a finished one.
        reads_answered_chats: whether a chat may end with a message of the assistant.
        draws: responses generated for each model input; 1 where none are.
        answer_tokens: the most tokens generated for one response; 0 where none are.
        responder: generates the responses of the similarity game, None in others.
        generation_settings: under which they are generated, as results keep them.
        notes: what the reader of a result must know about its values.
        max_positions: how many tokens the model reads, None where there is no limit or it is not known.
    """

    unit: ClassVar[str] = "token"
    ids_are_one: ClassVar[bool] = True
    answers_prompts: ClassVar[bool] = True
    reads_answered_chats: ClassVar[bool] = False
    draws: int = 1
    answer_tokens: int = 0
    responder: Responder | None = None
    generation_settings: Mapping[str, Any] = {}
    notes: tuple[str, ...] = ()
    max_positions: int | None = None

    def __init__(self, model: Any, processing: Processing):
        self.model, self.processing, self.tokenizer = model, processing, processing.tokenizer

    @abstractmethod
    def target(self, given: Any, text: str, input: ModelInput) -> T:
        """A target as the user gave it, to be scored after the whole prompt.

        Args:
            given: the target.
            text: the prompt.
            input: the prompt as the model reads it.

        Raises:
            TypeError, ValueError: for what cannot be a target; the message says what is accepted.
        """

    def call_target(self, given: ToolCall, chat: Conversation | None, text: str, input: ModelInput) -> T:
        """A call of a tool as a target.

        Args:
            given: it.
            chat: the prompt, None where it is no chat.
            text: the prompt as it is rendered.
            input: the prompt as the model reads it.

        Raises:
            TypeError: for a model that makes no calls.
            ValueError: for a call that the chat template does not write, or where the model's own answer is none.
        """
        raise TypeError(f"{given} is no target of this model: tool calls are answers of models that generate text.")

    def span_target(self, given: AnswerSpan, text: str, input: ModelInput) -> T:
        """A part of an answer as a target, after a prompt of this text.

        Raises:
            TypeError: for a model whose values are not of the tokens of answers.
            ValueError: for a part that is not in the model's own answer.
        """
        raise TypeError(f"{given} is no target here: parts are of the log-probabilities of answers; give the whole target.")

    def check_answerable(self, conversation: Conversation | None) -> None:
        """Raise a ValueError for a chat to which the model gives no answer of its own."""

    @abstractmethod
    def own_answer(self, input: ModelInput) -> OwnAnswer[T]:
        """The model's own answer to the whole prompt.

        Raises:
            ValueError: when it is empty.
        """

    @abstractmethod
    def scorer_of_call(self) -> Scorer[Any]:
        """What scores the targets of one call; what it remembers is forgotten with it."""

    def games(self, prompts: Sequence[Prompt], questions: Sequence[Question[T]]) -> list[ModelGame]:
        """The games of one call, which share a scorer."""
        scorer, anchor = self.scorer_of_call(), stand_in(self.tokenizer)
        return [
            ModelGame(prompt, question, scorer, anchor, self.preserved_state)
            for prompt, question in zip(prompts, questions, strict=True)
        ]

    def reader(
        self,
        granularity: Granularity | Splitter | list[Span],
        occlusion: TextOcclusion | None,
        roles: Collection[str],
        pinned: Pins,
        groups: Groups | None,
        cuts: Cuts,
    ) -> PromptReader:
        """Reads inputs into prompts for this model.

        Args:
            granularity, roles, pinned, groups: see `PromptReader`.
            occlusion: of texts; the model's default when None.
            cuts: how images and clips are cut and occluded.

        Raises:
            ValueError: for a granularity or an occlusion that does not work with this model.
        """
        prepared = self.prepared_occlusion(occlusion)
        return PromptReader(
            self.processing,
            granularity,
            prepared,
            roles,
            pinned,
            groups,
            cuts,
            generation_prompt=self.answers_prompts,
            may_be_answered=self.reads_answered_chats,
            positions=self.max_positions,
        )

    def prepared_occlusion(self, occlusion: TextOcclusion | None) -> TextOcclusion:
        """The occlusion, or the default one, checked and prepared for the tokenizer."""
        occlusion = self.default_occlusion() if occlusion is None else occlusion
        with self.turn():
            self.check_occlusion(occlusion)
        with self.preserved_state():
            return occlusion.prepared(self.tokenizer)

    def default_occlusion(self) -> TextOcclusion:
        """How an absent feature of a text disappears unless the user says otherwise."""
        return Drop()

    def check_occlusion(self, occlusion: TextOcclusion) -> None:
        """Raise a ValueError for an occlusion that does not work with this model."""

    def check_ids(self, input: ModelInput) -> None:
        """Raise a ValueError for token ids that the model does not have."""

    def check_shown(self, prompt: Prompt, input: ModelInput) -> None:
        """Raise a ValueError where something of the whole prompt is taken and not shown to the model."""

    def check_room(self, input: ModelInput, target: T | None = None) -> None:
        """Raise a ValueError unless the model has positions for the input and what follows it: the target, or a response."""

    def prompt_tokens(self, input: ModelInput) -> int:
        """How many tokens the model reads of an input."""
        return len(input.ids)

    def peak_memory(self, input: ModelInput) -> PeakMemory | None:
        """The most that scoring answers to such an input takes; None where it is not known."""
        return None

    @abstractmethod
    def preserved_state(self) -> AbstractContextManager[None]:
        """A context in which the model may be used, and after which it is as it was."""

    def turn(self) -> AbstractContextManager[None]:
        """A context in which no other thread uses the model; one on a server serves all at once."""
        return nullcontext()
