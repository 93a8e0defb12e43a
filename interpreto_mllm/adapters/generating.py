"""What the adapters of models that answer in tokens have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, ClassVar

import torch

from interpreto_mllm.adapters.base import Batching, Generation
from interpreto_mllm.adapters.calls import opens_thoughts, renderer, within, written
from interpreto_mllm.adapters.cut_answers import notes_on_cut, text_before
from interpreto_mllm.adapters.generation_arguments import check_generation
from interpreto_mllm.adapters.local import LocalAdapter
from interpreto_mllm.calls.own import own_call
from interpreto_mllm.calls.rendered import WrittenAnswer, rendered_call
from interpreto_mllm.calls.tool_call import ToolCall
from interpreto_mllm.core.description import describe
from interpreto_mllm.core.labels import labels
from interpreto_mllm.core.shown import shown
from interpreto_mllm.engine.decoding import Decoding, draw_seed
from interpreto_mllm.engine.device import input_device
from interpreto_mllm.engine.plain_generation import generate, seeded_by
from interpreto_mllm.engine.queries import Generator, Mode
from interpreto_mllm.engine.signature import forward_parameters
from interpreto_mllm.engine.vocabulary import vocabulary_size
from interpreto_mllm.games.answer_span import AnswerSpan
from interpreto_mllm.games.targets import TokenTarget, is_ids
from interpreto_mllm.prompts.chat import ENDS_WITH_ASSISTANT, ends_with_assistant
from interpreto_mllm.prompts.checks import check_characters
from interpreto_mllm.prompts.conversation import Conversation
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.processing import TYPES, Processing
from interpreto_mllm.thoughts.marks import ThoughtMarks
from interpreto_mllm.thoughts.thinker import ModelThinker, Thinker

DEFAULT_MAX_NEW_TOKENS = 32
"""The most tokens of the model's own answer, unless it or the user sets `max_new_tokens`."""


DEFAULT_MAX_THOUGHTS = 256
"""The most tokens of thoughts, unless the user says otherwise."""


@dataclass(frozen=True)
class _Generated:
    """A generated answer, what the decoder was given to start with, and notes on it."""

    ids: list[int]
    start: tuple[int, ...]
    notes: tuple[str, ...]


class GeneratingAdapter(LocalAdapter[TokenTarget]):
    """Models that answer in tokens."""

    reads_answered_chats: ClassVar[bool] = True
    kind: ClassVar[str]
    """What the model is called in messages."""

    def target(self, given: Any, text: str, input: ModelInput) -> TokenTarget:
        if is_ids(given):
            return self._ids_target(self._checked_ids(given), input)
        if isinstance(given, str):
            check_characters(given, "target")
            return self._text_target(given, text, input)
        raise TypeError(f"A target of {self.kind} is a text, token ids, a Contrast or None; got {shown(given)}.")

    def call_target(self, given: ToolCall, chat: Conversation | None, text: str, input: ModelInput) -> TokenTarget:
        if given.own:
            target, answer, notes = self._own_words(input)
            return self._excerpt(target, own_call(given, answer, notes))
        call = rendered_call(given, renderer(given, chat, self.processing), opens_thoughts)
        check_characters(call.text, "target")
        return self._excerpt(self._text_target(call.text, text, input), call)

    def span_target(self, given: AnswerSpan, text: str, input: ModelInput) -> TokenTarget:
        if given.answer is None:
            target, answer, _ = self._own_words(input)
        else:
            check_characters(given.answer, "target")
            target, answer = self._text_target(given.answer, text, input), given.answer
        return self._excerpt(target, WrittenAnswer(answer, given.place(answer)))

    def _excerpt(self, target: TokenTarget, answer: WrittenAnswer) -> TokenTarget:
        """An answer of which only the tokens of a part are scored."""
        scored = within(target, answer, self.tokenizer)
        texts = _token_labels([target.ids[position] for position in scored], self.tokenizer)
        return replace(target, scored=tuple(scored), texts=tuple(texts))

    def _own_words(self, input: ModelInput) -> tuple[TokenTarget, str, tuple[str, ...]]:
        """The model's own answer, what its tokens say, and notes on it."""
        answer = self.own_answer(input)
        [target] = answer.targets
        return target, written(target, self.tokenizer), answer.notes

    def check_answerable(self, conversation: Conversation | None) -> None:
        if conversation is not None and not conversation.continued_message and ends_with_assistant(conversation.messages):
            raise ValueError(
                f"{ENDS_WITH_ASSISTANT} (For a model that judges answers, give its verdict as the target: explainer(chat, "
                '"unsafe").)'
            )

    def __init__(self, model: Any, processing: Processing, mode: Mode, generation: Generation, batching: Batching):
        check_generation(model, generation.arguments)
        super().__init__(model, processing, mode, generation, batching)

    @abstractmethod
    def _text_target(self, given: str, text: str, input: ModelInput) -> TokenTarget:
        """A text as a target."""

    @abstractmethod
    def target_of_response(self, ids: list[int], start: Sequence[int] = ()) -> TokenTarget:
        """A generated response, its special tokens included, as a target.

        Args:
            ids: of the response.
            start: what the decoder of an encoder-decoder was given to start with.

        Raises:
            ValueError: when there are no other tokens in it.
        """

    @abstractmethod
    def generator(self, decoding: Decoding) -> Generator:
        """What generates responses under these settings."""

    @property
    def answer_positions(self) -> int | None:
        """How many positions there are for an input and its response, None where there is no limit."""
        return self.max_positions

    @abstractmethod
    def positions_to_respond(self, input: ModelInput, tokens: int) -> int:
        """Positions that an input and a response of so many tokens take together, of those in `answer_positions`."""

    def no_room_to_respond(self, input: ModelInput, tokens: int, needed: int) -> ValueError:
        """The refusal of a response of up to so many tokens, which needs more positions than there are."""
        return ValueError(
            f"The prompt ({len(input.ids)} tokens) and an answer of up to {tokens} need {needed} positions, the model has "
            f"{self.answer_positions}: shorten the prompt or lower max_new_tokens (nothing is truncated)."
        )

    def response(self, input: ModelInput, thoughts: int, greedy: bool = False) -> list[int]:
        """All tokens that the model generates: so many of thoughts at most, and then an answer of the usual length."""
        return self._generate(input, thoughts + self._wanted, greedy).ids

    def most_thoughts(self, input: ModelInput, wanted: int | None) -> int:
        """The most tokens of thoughts after an input: as many as wanted, or by default as the context has room for.

        Raises:
            ValueError: when more are wanted than there is room for beside an answer.
        """
        most, limit = wanted or DEFAULT_MAX_THOUGHTS, self.answer_positions
        needed = self.positions_to_respond(input, most + self._wanted)
        if limit is None or needed <= limit:
            return most
        if wanted is None and needed - limit < most:
            return most - (needed - limit)
        raise ValueError(
            f"The prompt ({len(input.ids)} tokens), thoughts of up to {most} and an answer of up to {self._wanted} need "
            f"{needed} positions, the model has {limit}: shorten the prompt, or lower Reasoned(max_tokens=...) or "
            "generate={'max_new_tokens': ...} (nothing is truncated)."
        )

    def thinker(self, marks: ThoughtMarks, limit: int, repeats: int, progress: bool) -> Thinker:
        """What writes thoughts, as this adapter generates answers; `repeats` of them for each input are drawn."""
        arguments = {**self.generation.arguments, "max_new_tokens": limit}
        arguments |= {"do_sample": True} if repeats > 1 else {}
        padding = next((token for token in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id) if token is not None), 0)
        decoding = Decoding.of(self.model, arguments, padding, self.generation.seed)
        end = self.tokenizer.encode(marks.end, add_special_tokens=False)
        if len(end) == 1:
            arguments["eos_token_id"] = [*decoding.endings, *end]
            decoding = Decoding.of(self.model, arguments, padding, self.generation.seed)
        settings = describe({**arguments, **({"seed": self.generation.seed} if decoding.sampled else {})})
        return ModelThinker(self.generator(decoding), self.model, self.tokenizer, marks, limit, settings, repeats, progress)

    def _checked_ids(self, given: Any) -> list[int]:
        values = [int(value) for value in given]
        vocabulary = vocabulary_size(self.model) or 2**31
        wrong = [value for value in values if not 0 <= value < vocabulary]
        if wrong:
            raise ValueError(f"Target id {wrong[0]} is out of range: the model's ids lie in [0, {vocabulary}).")
        return values

    def _token_target(self, ids: list[int], scored: list[int]) -> TokenTarget:
        if not scored:
            raise ValueError(
                "The target is empty: give a text or ids with at least one token, or None to let the model answer."
            )
        texts = _token_labels([ids[index] for index in scored], self.tokenizer)
        return TokenTarget(tuple(ids), tuple(scored), tuple(texts))

    def _ids_target(self, given: list[int], input: ModelInput) -> TokenTarget:
        """Token ids as a target, all of them scored."""
        return self._token_target(given, list(range(len(given))))

    def _generate(self, input: ModelInput, most: int | None = None, greedy: bool = False) -> _Generated:
        """What the model generates, by greedy decoding unless its generation arguments say otherwise.

        Args:
            input: the prompt.
            most: tokens at most; as many as are wanted and there is room for without it.
            greedy: whether the likeliest token is taken, whatever the arguments say.
        """
        limit = self._limit(input) if most is None else most
        device = input_device(self.model)
        given: dict[str, Any] = {}
        if len(input.ids):
            ids = torch.from_numpy(input.ids)[None].to(device)
            given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if input.media:
            given |= self.processing.media([input.media])
            name = next((name for name in TYPES if name in forward_parameters(self.model)), None)
            if name and input.segments is not None:
                given[name] = torch.from_numpy(input.segments)[None].to(device)
        padding = self.tokenizer.pad_token_id
        if padding is None:
            padding = self.tokenizer.eos_token_id if self.tokenizer.eos_token_id is not None else 0
        arguments = {"do_sample": False, "pad_token_id": padding, **self.generation.arguments, "max_new_tokens": limit}
        arguments |= {"do_sample": False} if greedy else {}
        with seeded_by(draw_seed(self.generation.seed, input), device):
            sequences, start = generate(self.model, {**given, **arguments})
        sequence = sequences[0].tolist()
        ids, ends = sequence[start:], self._endings()
        cut = len(ids) >= limit and ids[-1] not in ends
        written = text_before(input, self.tokenizer) + str(self.tokenizer.decode(ids))
        room = limit < self._wanted
        return _Generated(ids, tuple(sequence[:start]), notes_on_cut(limit, written, at_end_of_context=room) if cut else ())

    @property
    def _wanted(self) -> int:
        """The most tokens of an answer, where the context has room for them."""
        default = getattr(self.model.generation_config, "max_new_tokens", None) or DEFAULT_MAX_NEW_TOKENS
        return int(self.generation.arguments.get("max_new_tokens") or default)

    def _limit(self, input: ModelInput) -> int:
        """The most tokens that the model generates for this input: as many as wanted, or as the context has room for.

        Raises:
            ValueError: when the user wants more than there is room for.
        """
        limit, available = self._wanted, self.answer_positions
        if available is None or (needed := self.positions_to_respond(input, limit)) <= available:
            return limit
        if self.generation.arguments.get("max_new_tokens") or needed - available >= limit:
            raise self.no_room_to_respond(input, limit, needed)
        return limit - (needed - available)

    def _endings(self) -> set[int]:
        """Ids that end an answer."""
        ends = self.generation.arguments.get("eos_token_id", self.model.generation_config.eos_token_id)
        return {ends} if isinstance(ends, int) else set(ends or ())


def _token_labels(ids: list[int], tokenizer: Any) -> list[str]:
    """The text that each token adds to that of the tokens before it, and which part of a character it is."""
    text = _decoded(ids, tokenizer)
    spans: list[tuple[int, int]] = []
    reached = 0
    for end in range(1, len(ids) + 1):
        now = _decoded(ids[:end], tokenizer)
        done = max(reached, _shared(text, now.rstrip("\ufffd")))
        if text[done : done + 1] == "\ufffd":  # bytes that are no character, whatever follows
            done = max(done, _shared(text, now))
        name = tokenizer.convert_ids_to_tokens(ids[end - 1]) or ""
        bare = bool(name.strip(" ▁Ġ")) and not _decoded(ids[end - 1 : end], tokenizer)
        inside = done < len(text) and ((now.endswith("\ufffd") and text[:done] != now) or (bare and done == reached))
        spans.append((reached, done + inside))
        reached = done
    return labels(text, spans)


def _shared(one: str, other: str) -> int:
    """How many characters both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _decoded(ids: list[int], tokenizer: Any) -> str:
    return str(tokenizer.decode(ids, clean_up_tokenization_spaces=False))
