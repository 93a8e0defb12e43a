"""Targets that are parts of answers with thoughts: the prompts that they are asked about, and the tokens that are scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import torch

from interpreto_mllm.adapters.base import ModelAdapter
from interpreto_mllm.adapters.causal import CausalAdapter
from interpreto_mllm.adapters.generating import DEFAULT_MAX_THOUGHTS
from interpreto_mllm.adapters.presences import Presences
from interpreto_mllm.adapters.remote.adapter import RemoteAdapter, RemoteRespondingAdapter
from interpreto_mllm.adapters.remote.writers import ChatWriter, Writer
from interpreto_mllm.adapters.responding import LocalRespondingAdapter, RespondingAdapter
from interpreto_mllm.core.which import about
from interpreto_mllm.explainers.own_thoughts import own_of_model, own_of_server
from interpreto_mllm.explainers.planned import Planned
from interpreto_mllm.explainers.served_thoughts import served_total, served_writer
from interpreto_mllm.explainers.unfinished import Unfinished
from interpreto_mllm.games.targets import per_input
from interpreto_mllm.prompts.chat import is_chat
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.prompt import Prompt, TokenPrompt
from interpreto_mllm.prompts.reader import PromptReader
from interpreto_mllm.thoughts.anew import Rethinking
from interpreto_mllm.thoughts.held import HeldThoughts
from interpreto_mllm.thoughts.marks import KNOWN, ThoughtMarks, find_marks
from interpreto_mllm.thoughts.target import Reasoned
from interpreto_mllm.thoughts.thinker import Thinker
from interpreto_mllm.thoughts.written import Written

Found = TypeVar("Found")
Asked = tuple[Prompt, Sequence[Any] | None]
"""A prompt and the targets that are asked about it."""


@dataclass(frozen=True)
class Reasoning:
    """Turns targets that are parts of answers with thoughts into prompts and plain targets.

    Args:
        adapter: of the model.
        reader: of its prompts.
        progress: show a progress bar while the model thinks.
        unfinished: keeps thoughts of an interrupted call.
        presences: where gradients are taken, which thoughts that are written anew have none of.
    """

    adapter: ModelAdapter[Any]
    reader: PromptReader
    progress: bool
    unfinished: Unfinished
    presences: Presences | None = None

    def asked(self, inputs: Any, targets: Any) -> list[Asked]:
        """The prompt of each input and its targets, with thoughts resolved; an error says which input it is about."""
        return self._each(inputs, targets, self._one)

    def planned(self, inputs: Any, targets: Any) -> list[Planned]:
        """What decides the cost of each input; the model is not called.

        Raises:
            ValueError: for thoughts that are to be features and are not known yet.
        """
        return self._each(inputs, targets, self._plan)

    def _each(self, inputs: Any, targets: Any, one: Callable[[Prompt, Sequence[Any] | None], Found]) -> list[Found]:
        """This of each input's prompt and targets."""
        prompts = self.reader.read(inputs)
        single = not isinstance(inputs, (list, tuple)) or is_chat(inputs)
        given = per_input(targets, len(prompts), single and len(prompts) == 1, self.adapter.ids_are_one)
        found: list[Found] = []
        for index, (prompt, wanted) in enumerate(zip(prompts, given, strict=True)):
            with about("inputs", index, len(prompts)):
                found.append(one(prompt, wanted))
        return found

    def _plan(self, prompt: Prompt, targets: Sequence[Any] | None) -> Planned:
        target = self._reasoned(targets)
        if target is None:
            return Planned(prompt)
        own = target.answer is None or (target.thoughts is None and target.effect == "direct")
        if target.effect == "total" and isinstance(self.adapter, RemoteRespondingAdapter):
            return Planned(prompt, most=target.max_tokens or DEFAULT_MAX_THOUGHTS, own=own, within=True)
        if target.effect == "total":
            return Planned(prompt, True, self._most(prompt, target), target.repeats, own)
        if target.thoughts is None:
            raise ValueError(
                "How many sentences the model's thoughts have, which are features, is not known before it has thought: give "
                "them as Reasoned(thoughts=...), or plan effect='total'."
            )
        answer = target.answer if isinstance(target.answer, str) else ""
        marks = self.marks(target)
        written = Written.given(target.thoughts, answer, self.causal().tokenizer, marks, self._opened(prompt, marks))
        if isinstance(target.part, str) and target.part == "answer":
            longer = self._held(prompt, target, written, written.answering)
        else:
            longer, _ = self.direct(prompt, target, written)
        return Planned(longer, most=self._most(prompt, target) if own else 0, own=own)

    def _one(self, prompt: Prompt, targets: Sequence[Any] | None) -> Asked:
        target = self._reasoned(targets)
        if target is None:
            return prompt, targets
        if isinstance(self.adapter, RemoteRespondingAdapter) and target.effect == "total":
            return served_total(self.adapter, prompt, target)
        written = self.written(prompt, target)
        return self.direct(prompt, target, written) if target.effect == "direct" else self._total(prompt, target, written)

    @staticmethod
    def _reasoned(targets: Sequence[Any] | None) -> Reasoned | None:
        """The target that is a part of an answer with thoughts, None without one."""
        reasoned = [target for target in targets or () if isinstance(target, Reasoned)]
        if not reasoned:
            return None
        if len(targets or ()) > 1:
            raise ValueError(
                "A Reasoned target decides what the features are, so that it is an input's only target: give the input once "
                "for each of them, as in explainer([chat, chat], [Reasoned('answer'), Reasoned('thoughts')])."
            )
        return reasoned[0]

    def written(self, prompt: Prompt, target: Reasoned) -> Written:
        """The response that is asked about: as given, or the model's own.

        Raises:
            TypeError, ValueError: for a model that does not think, or whose thoughts do not end.
        """
        causal, marks = self.causal(), self.marks(target)
        opened = self._opened(prompt, marks)
        if self.presences is not None and target.effect == "total":
            raise ValueError(
                "Thoughts that are written anew have no gradients: use effect='direct', or a method that evaluates coalitions, "
                "such as KernelShap."
            )
        answer = target.answer if isinstance(target.answer, str) else ""
        lead = self._writer.lead(prompt.conversation) if self._writer is not None else ()
        if target.thoughts is not None and target.answer is not None:
            return Written.given(target.thoughts, answer, causal.tokenizer, marks, opened).behind(lead)
        own = self._own(prompt, target, marks, opened)
        if target.thoughts is None and target.answer is None:
            return own.behind(lead)
        thoughts = own.text[slice(*own.thoughts)] if target.thoughts is None else target.thoughts
        return Written.given(thoughts, answer, causal.tokenizer, marks, opened).behind(lead)

    def steps(self, inputs: Any, target: Reasoned) -> list[Asked]:
        """The prompts before each sentence of the thoughts, which is their target, and before the answer."""
        with self.adapter.preserved_state():
            prompts = self.reader.read(inputs)
            if len(prompts) != 1:
                raise ValueError(f"An answer is traced for one input at a time; got {len(prompts)}.")
            with self.adapter.turn():
                written = self.written(prompts[0], target)
        [prompt] = prompts
        whole, scored = self.direct(prompt, target, written)
        spans = [thought.spans[0] for thought in whole.features[len(prompt.features) :]]
        parts = [(start - len(prompt.text), end - len(prompt.text)) for start, end in spans]
        before = [self.direct(prompt, replace(target, part=part, answer=None), written) for part in parts]
        return [*before, (whole, scored)]

    @cached_property
    def _writer(self) -> Writer | None:
        """How a served model is asked; None for models of transformers."""
        return served_writer(self.adapter) if isinstance(self.adapter, RemoteAdapter) else None

    def causal(self) -> CausalAdapter | Writer:
        """How the language model is asked.

        Raises:
            TypeError: for other models.
        """
        if self._writer is not None:
            return self._writer
        adapter = self.adapter.generating if isinstance(self.adapter, LocalRespondingAdapter) else self.adapter
        if not isinstance(adapter, CausalAdapter):
            raise TypeError(
                f"Reasoned targets are parts of what a decoder-only language model writes, and {type(adapter.model).__name__} "
                "is none: give the answer itself as the target."
            )
        return adapter

    def marks(self, target: Reasoned) -> ThoughtMarks:
        """Around thoughts.

        Raises:
            ValueError: for a model that has none.
        """
        marks = target.marks or find_marks(self.adapter.processing)
        if marks is None and isinstance(self.adapter, RemoteAdapter):
            return KNOWN[0]
        if marks is None:
            raise ValueError(
                f"{type(self.adapter.model).__name__} has no thoughts: neither its chat template nor its tokenizer has marks "
                "such as <think> and </think>. If it writes some all the same, give them as "
                "Reasoned(marks=ThoughtMarks(start, end)); else explain its answer."
            )
        return marks

    def _opened(self, prompt: Prompt, marks: ThoughtMarks) -> bool:
        """Whether the prompt opens the thoughts."""
        text = prompt.text.rstrip()
        if isinstance(self._writer, ChatWriter) and not (prompt.conversation and prompt.conversation.continued_message):
            return False  # what a server's template opens is seen by `check_kept`
        if text.endswith(marks.end.strip()):
            raise ValueError(
                f"The prompt ends with {marks.end!r}: the chat template has turned the model's thoughts off, as by "
                "enable_thinking=False. Turn them on, or explain the answer itself."
            )
        if prompt.conversation is not None and prompt.conversation.continued_message:
            return text.rfind(marks.start) > text.rfind(marks.end)
        return marks.opens(text)

    def _own(self, prompt: Prompt, target: Reasoned, marks: ThoughtMarks, opened: bool) -> Written:
        """What the model itself writes after the whole prompt."""
        causal = self.causal()
        causal.check_answerable(prompt.conversation)
        whole, most = self._whole(prompt), self._most(prompt, target)
        if isinstance(causal, Writer):
            return own_of_server(causal, whole, most, marks, opened)
        return own_of_model(causal, whole, most, marks, opened, greedy=causal is not self.adapter)

    def direct(self, prompt: Prompt, target: Reasoned, written: Written) -> Asked:
        """The thoughts held fixed, as further features."""
        stop, scored = self._scored(target, written)
        if stop < written.closing and isinstance(self.adapter, RespondingAdapter):
            raise ValueError(
                "Thoughts are not compared with others as answers are: use InferenceModes.LOG_SOFTMAX for how likely they are, "
                "or part='answer'."
            )
        self._check_kept(prompt, target, written, stop, scored)
        return self._held(prompt, target, written, stop), scored

    def _check_kept(self, prompt: Prompt, target: Reasoned, written: Written, stop: int, scored: Sequence[Any]) -> None:
        """See that a server that renders chats reads what it is sent of a response, as it is and without its thoughts."""
        if self._writer is None:
            return
        answer = scored[0] if isinstance(scored[0], str) and not isinstance(self.adapter, RespondingAdapter) else ""
        ids = written.tokens.ids[:stop].tolist()
        bare = [*ids[: written.first], *ids[written.closing :]]
        for response in (ids, bare):
            self._writer.check_kept(self._whole(prompt), response, answer, self.marks(target))

    def _held(self, prompt: Prompt, target: Reasoned, written: Written, stop: int) -> TokenPrompt:
        """The prompt that goes on with thoughts."""
        if not isinstance(prompt, TokenPrompt):
            raise ValueError(
                "The direct effects of a prompt with thoughts need a text or a chat, and a Template is filled in several ways: "
                "use effect='total'."
            )
        return HeldThoughts(written, stop, target.by, self.reader.pinned, self.adapter.processing).after(prompt)

    def _total(self, prompt: Prompt, target: Reasoned, written: Written) -> Asked:
        """Each coalition thinks anew."""
        stop, scored = self._scored(target, written)
        if stop < written.closing:
            raise ValueError(
                f"part={target.part!r} lies within the thoughts, and under effect='total' each coalition has other thoughts: "
                "use effect='direct'."
            )
        ids, causal, marks = written.tokens.ids.tolist(), self.causal(), self.marks(target)
        most, lead = self._most(prompt, target), tuple(ids[: written.first])
        if isinstance(causal, Writer):
            self._check_kept(prompt, target, written, stop, scored)
            thinker: Thinker = causal.thinker(marks, most, target.repeats, len(lead), self.progress)
        else:
            thinker = causal.thinker(marks, most, target.repeats, self.progress)
        thinker.known = self.unfinished.thoughts((thinker.content, self._whole(prompt).key))
        return Rethinking(prompt, thinker, lead, tuple(ids[written.closing : stop])), scored

    @staticmethod
    def _whole(prompt: Prompt) -> ModelInput:
        """What the model reads with every feature present."""
        [[whole, *_]] = prompt.inputs_for(torch.ones(1, len(prompt.features), dtype=torch.bool))
        return whole

    def _most(self, prompt: Prompt, target: Reasoned) -> int:
        """The most tokens of thoughts."""
        return self.causal().most_thoughts(self._whole(prompt), target.max_tokens)

    def _scored(self, target: Reasoned, written: Written) -> tuple[int, Sequence[Any]]:
        """The first token that is asked about, and the targets."""
        if not isinstance(target.answer, str | None) and target.part == "answer":
            return len(written.tokens.ids), [target.answer]
        start, end = written.tokens_of(written.span_of(target.part))
        ids = written.tokens.ids[start:end].tolist()
        return start, [self.adapter.tokenizer.decode(ids) if isinstance(self.adapter, RemoteAdapter) else ids]
