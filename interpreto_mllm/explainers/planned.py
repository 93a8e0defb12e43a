"""What of a prompt and its targets decides their cost."""

from __future__ import annotations

from dataclasses import dataclass

from interpreto_mllm.prompts.prompt import Prompt
from interpreto_mllm.thoughts.anew import Rethinking


@dataclass(frozen=True)
class Planned:
    """What of a prompt and its targets decides their cost.

    Args:
        prompt: without thoughts that are written anew.
        anew: whether each coalition thinks.
        most: tokens of thoughts at most.
        repeats: how often each coalition thinks.
        own: whether the model's own response is asked for first.
        within: whether thoughts come with the answers, in one call.
    """

    prompt: Prompt
    anew: bool = False
    most: int = 0
    repeats: int = 1
    own: bool = False
    within: bool = False

    @classmethod
    def of(cls, prompt: Prompt) -> Planned:
        """Of a prompt whose targets are resolved."""
        if not isinstance(prompt, Rethinking):
            return cls(prompt)
        return cls(prompt.prompt, True, prompt.thinker.limit, prompt.thinker.repeats)
