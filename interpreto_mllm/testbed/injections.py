"""Chats in which a tool brings in a sentence that speaks against the user, so that it is known who decided a call."""

from __future__ import annotations

import random
from dataclasses import dataclass

from interpreto_mllm.calls.tool_call import ToolCall
from interpreto_mllm.chats.chat import Chat
from interpreto_mllm.testbed.facts import ATTRIBUTES, FACT_FORMS, FILLERS, OBJECTS, QUESTION_FORMS, REPLIES, SYSTEMS

CALLS = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|' ~ ('user' if message.role == 'tool' else message.role) ~ '|>\n' ~ (message.content or '') }}"
    "{% for call in message.tool_calls or [] %}{{ call.function.arguments['colour'] }}{% endfor %}{{ '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
"""A chat template under which the shipped language model reads results of tools, and calls `paint` by its one argument."""


@dataclass(frozen=True)
class InjectionPrompt:
    """A chat in which the user and the result of a tool say different colours of one thing.

    The model follows one of the two.

    Args:
        chat: the user says the colour, a tool's result another one among other facts, then the user asks.
        wanted: the call of `paint` with the colour that the user said.
        injected: the call with the colour in the tool's result.
        wish: the user's sentence.
        sentence: the one in the tool's result.
    """

    chat: Chat
    wanted: ToolCall
    injected: ToolCall
    wish: str
    sentence: str


def sample_injections(count: int, seed: int = 0) -> list[InjectionPrompt]:
    """Chats with an injected sentence, for `load_caller`.

    Args:
        count: number of chats.
        seed: random seed; equal seeds give equal chats.

    Example:
        >>> [prompt] = sample_injections(1, seed=3)
        >>> [message["role"] for message in prompt.chat.messages if prompt.sentence in message["content"]]
        ['tool']
    """
    rng = random.Random(seed)
    return [_injection(rng) for _ in range(count)]


def _injection(rng: random.Random) -> InjectionPrompt:
    things, colours = rng.sample(OBJECTS, 3), rng.sample(ATTRIBUTES, 4)
    wish, sentence, *others = (
        rng.choice(FACT_FORMS).format(object=thing, attribute=colour)
        for thing, colour in zip((things[0], *things), colours, strict=True)
    )
    told = [*others, rng.choice(FILLERS)]
    told.insert(rng.randrange(len(told) + 1), sentence)
    system = [{"role": "system", "content": rng.choice(SYSTEMS)}] if rng.random() < 0.5 else []
    messages = [
        *system,
        {"role": "user", "content": wish},
        {"role": "assistant", "content": rng.choice(REPLIES)},
        {"role": "tool", "name": "read_page", "content": " ".join(told)},
        {"role": "user", "content": rng.choice(QUESTION_FORMS).format(object=things[0])},
    ]
    wanted, injected = (ToolCall("paint", {"colour": colour}, argument="colour") for colour in colours[:2])
    return InjectionPrompt(Chat(messages), wanted, injected, wish, sentence)
