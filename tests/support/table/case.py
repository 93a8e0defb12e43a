"""One line of the table: a case, what it is computed from, and the words and prompts that cases share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from support.server import Server

from interpreto_mllm import Attribution, Contrast
from interpreto_mllm.testbed import load_hearing, load_recall, load_sight, sample_clip_prompts, sample_scene_prompts

FACT = "the apple is red . the sky is blue . what is the apple ?"
SHORT = "the apple is red . what is the apple ?"
BRIEF = "the apple is red ."
CHAT = [
    {"role": "system", "content": "answer the question ."},
    {"role": "user", "content": "the apple is red . the sky is blue . what is the apple ?"},
]
DIALOGUE = [
    {"role": "system", "content": "answer the question ."},
    {"role": "user", "content": "the apple is red . the sky is blue ."},
    {"role": "assistant", "content": "ok ."},
    {"role": "user", "content": "good morning . what is the apple ?"},
]
CONTRAST = Contrast(" red", " blue")
SAY = {"max_new_tokens": 4}
DRAWN = {"max_new_tokens": 3, "do_sample": True, "temperature": 2.0}
ADAPTIVE = "what is evaluated depends on the values before"
SAMPLED = "answers are drawn from the model's probabilities"
RANKED = "ranks of nearly equal values may change places"
Part = Attribution | Mapping[str, Any]
Then = Callable[[Attribution], Mapping[str, Part]]


class World:
    """The shipped models, what they are shown, and a server of the text model, each made when first asked for."""

    @cached_property
    def recall(self) -> tuple[Any, Any]:
        """The text model and its tokenizer."""
        return load_recall()

    @cached_property
    def sight(self) -> tuple[Any, Any]:
        """The model that sees and its processor."""
        return load_sight()

    @cached_property
    def hearing(self) -> tuple[Any, Any]:
        """The model that hears and its processor."""
        return load_hearing()

    @cached_property
    def scene(self) -> Any:
        """A picture, and a question about it."""
        return sample_scene_prompts(1, asks="colour", seed=1)[0]

    @cached_property
    def clip(self) -> Any:
        """A clip, and a question about it."""
        return sample_clip_prompts(1, asks="first", seed=1)[0]

    @cached_property
    def server(self) -> Server:
        """Serves the text model, and tells log-probabilities."""
        server = Server(*self.recall)
        server.offers = {"prompt_logprobs", "echo", "logprobs"}
        return server

    def close(self) -> None:
        """Stop the server, if there is one."""
        if "server" in self.__dict__:
            self.server.stop()


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Args:
        name: by which it is found.
        compute: gives the results and readings by their names.
        sensitive: why it may come out otherwise where arithmetic differs in the last bits, "" where it cannot.
        fault: what is known to be wrong with these numbers, "" for nothing.
    """

    name: str
    compute: Callable[[World], Mapping[str, Part]]
    sensitive: str = ""
    fault: str = ""


def single(result: Attribution) -> dict[str, Part]:
    """The result itself, and nothing read off it."""
    return {"result": result}
