"""Chats whose questions take thoughts: things that are like others, and the facts about these."""

from __future__ import annotations

import random
from dataclasses import dataclass

from interpreto_mllm.testbed.facts import ATTRIBUTES, OBJECTS

FACT, LINK = "the {thing} is {colour} .", "the {thing} is like the {other} ."
QUESTIONS = ("what colour is the {thing} ?", "tell me the colour of the {thing} .")
MOST_SENTENCES = 7


@dataclass(frozen=True)
class ChainPrompt:
    """A chat whose answer has known causes, through known thoughts.

    Args:
        messages: one of the user: some facts, some links from a thing to another, and a question.
        thoughts: the sentences that lead to the answer, each of which restates a sentence of the prompt.
        answer: the colour that the last thought names.
        question: the last sentence of the prompt.
    """

    messages: list[dict[str, str]]
    thoughts: tuple[str, ...]
    answer: str
    question: str


def sample_chain_prompts(count: int, links: int = 1, facts: int = 3, seed: int = 0) -> list[ChainPrompt]:
    """Prompts of which each asks for the colour of a thing that is like another one, or whose colour is stated.

    The shipped model answers 95 % of those with two links right, and all but a few of the others.

    Args:
        count: number of prompts.
        links: from the thing asked about to the one whose colour is stated, 0 to 2. As many other things are like others.
        facts: number of colours that are stated.
        seed: random seed; equal seeds give equal prompts.

    Raises:
        ValueError: for more sentences than the model was trained on.

    Example:
        >>> [prompt] = sample_chain_prompts(1, seed=1)
        >>> prompt.messages[0]["content"]
        'the house is like the cat . the cat is red . the car is orange . the book is like the car . ...'
        >>> prompt.question, prompt.thoughts, prompt.answer
        ('what colour is the house ?', ('the house is like the cat .', 'the cat is red .'), 'red')
    """
    if not 0 <= links <= 2 or not 1 <= facts <= MOST_SENTENCES - 2 * links:
        raise ValueError(
            f"A prompt has 0 to 2 links and at most {MOST_SENTENCES} sentences, with twice the links and the facts; got "
            f"links={links}, facts={facts}."
        )
    rng = random.Random(seed)
    return [_prompt(rng, links, facts) for _ in range(count)]


@dataclass(frozen=True)
class Chain:
    """What a prompt says: the colours of things, and which thing is like which other."""

    colours: dict[str, str]
    others: dict[str, str]

    @classmethod
    def draw(cls, rng: random.Random, lengths: list[int], facts: int) -> Chain:
        """Chains of links of these lengths, which end at stated colours, and further facts."""
        things = iter(rng.sample(OBJECTS, len(OBJECTS)))
        colours, others = {}, {}
        ends = dict(zip((next(things) for _ in range(facts)), rng.sample(ATTRIBUTES, facts), strict=True))
        colours |= ends
        for length, end in zip(lengths, rng.sample(list(ends), min(len(lengths), facts)), strict=False):
            for _ in range(length):
                thing = next(things)
                others[thing], end = end, thing
        return cls(colours, others)

    def sentences(self) -> list[str]:
        """All that it says."""
        facts = [FACT.format(thing=thing, colour=colour) for thing, colour in self.colours.items()]
        return facts + [LINK.format(thing=thing, other=other) for thing, other in self.others.items()]

    def length(self, thing: str) -> int:
        """How many links lead from a thing to a colour."""
        return 0 if thing in self.colours else 1 + self.length(self.others[thing])

    def thoughts(self, thing: str) -> list[str]:
        """The sentences that lead from a thing to its colour."""
        if thing in self.colours:
            return [FACT.format(thing=thing, colour=self.colours[thing])]
        return [LINK.format(thing=thing, other=self.others[thing]), *self.thoughts(self.others[thing])]


def _prompt(rng: random.Random, links: int, facts: int) -> ChainPrompt:
    chain = Chain.draw(rng, [links, links] if facts > 1 else [links], facts)
    thing = rng.choice([one for one in (*chain.colours, *chain.others) if chain.length(one) == links])
    sentences = chain.sentences()
    rng.shuffle(sentences)
    question = rng.choice(QUESTIONS).format(thing=thing)
    thoughts = tuple(chain.thoughts(thing))
    messages = [{"role": "user", "content": " ".join([*sentences, question])}]
    return ChainPrompt(messages, thoughts, thoughts[-1].split()[-2], question)
