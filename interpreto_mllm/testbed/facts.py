"""Prompts that state facts and ask for one of them, so that the words behind each answer are known."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

OBJECTS = [
    *("apple", "sky", "car", "house", "cat", "dog", "bird", "ball", "book", "cup", "door", "hat"),
    *("lamp", "chair", "table", "flower", "boat", "shirt", "fish", "stone", "bike", "box", "key", "tree"),
]
ATTRIBUTES = ["red", "blue", "green", "yellow", "black", "white", "pink", "brown", "grey", "purple", "orange", "gold"]
MOST_FACTS = 6
FACT_FORMS = ("the {object} is {attribute} .", "i see that the {object} is {attribute} .")
QUESTION_FORMS = ("what is the {object} ?", "what colour is the {object} ?", "tell me the colour of the {object} .")
FILLERS = ("hello .", "good morning .", "it rains today .", "i like music .", "please listen .", "thank you .")
SYSTEMS = ("you are a helpful assistant .", "you are a friendly assistant .", "answer the question .", "be brief and honest .")
REPLIES = ("ok .", "i see .", "thank you .")


WordPosition = tuple[int, int]
"""The index of a turn, and the index of a word in it."""


@dataclass
class FactConversation:
    """A conversation under construction: its words, and the positions of those that matter.

    Args:
        roles: one per turn; a single None for plain text.
        turns: the words of each turn.
        facts: for each object, its attribute and the positions of both words.
    """

    roles: list[str | None] = field(default_factory=list)
    turns: list[list[str]] = field(default_factory=list)
    facts: dict[str, tuple[str, WordPosition, WordPosition]] = field(default_factory=dict)

    def open(self, role: str | None) -> None:
        """Start a turn."""
        self.roles.append(role)
        self.turns.append([])

    def say(self, form: str, **slots: str) -> dict[str, WordPosition]:
        """Add a sentence to the current turn; returns the positions of the words in its slots."""
        words, places = self.turns[-1], {}
        for word in form.split():
            if word.startswith("{"):
                places[word[1:-1]] = (len(self.turns) - 1, len(words))
            words.append(word.format(**slots))
        return places

    def state(self, thing: str, attribute: str, form: str) -> None:
        """Add a fact."""
        places = self.say(form, object=thing, attribute=attribute)
        self.facts[thing] = attribute, places["object"], places["attribute"]

    def ask(self, thing: str, form: str) -> tuple[WordPosition, WordPosition, WordPosition]:
        """Add a question about an object; returns the positions of the three words that cause its answer."""
        _, stated, attribute = self.facts[thing]
        return stated, attribute, self.say(form, object=thing)["object"]


def draw_conversation(rng: random.Random, facts: int, chat: bool) -> FactConversation:
    """A conversation that states `facts` facts among other sentences, with a last turn that takes the question."""
    conversation = FactConversation()
    if chat and rng.random() < 0.5:
        conversation.open("system")
        conversation.say(rng.choice(SYSTEMS))
    conversation.open("user" if chat else None)
    for thing, attribute in zip(rng.sample(OBJECTS, facts), rng.sample(ATTRIBUTES, facts), strict=True):
        if rng.random() < 0.1:
            conversation.say(rng.choice(FILLERS))
        conversation.state(thing, attribute, rng.choices(FACT_FORMS, (4, 1))[0])
        if chat and rng.random() < 0.25:
            conversation.open("assistant")
            conversation.say(rng.choice(REPLIES))
            conversation.open("user")
    return conversation


@dataclass(frozen=True)
class Word:
    """A word of a prompt: its text, its (start, end) characters, and in a chat the message they are counted in."""

    text: str
    span: tuple[int, int]
    turn: int | None = None


@dataclass(frozen=True)
class FactPrompt:
    """A prompt whose answer has known causes.

    Args:
        prompt: the text, or the chat's messages.
        answer: the correct answer.
        causes: the words without which the answer is not determined: the fact's object, the fact's attribute and the
            question's object. A model that uses nothing else gives each an equal share.
    """

    prompt: str | list[dict[str, str]]
    answer: str
    causes: tuple[Word, Word, Word]


def sample_fact_prompts(count: int, facts: int = 3, seed: int = 0, chat: bool = False) -> list[FactPrompt]:
    """Prompts that state some facts and ask for one of them.

    Args:
        count: number of prompts.
        facts: number of facts that each one states, 1 to 6.
        seed: random seed; equal seeds give equal prompts.
        chat: whether to give messages, often with a system message and earlier turns, instead of text.

    Raises:
        ValueError: when `facts` is out of range.

    Example:
        >>> [example] = sample_fact_prompts(1, facts=2, seed=3)
        >>> [word.text for word in example.causes][1] == example.answer
        True
    """
    if not 1 <= facts <= MOST_FACTS:
        raise ValueError(f"A prompt states 1 to {MOST_FACTS} facts; got facts={facts}.")
    rng = random.Random(seed)
    return [_fact_prompt(rng, facts, chat) for _ in range(count)]


def _fact_prompt(rng: random.Random, facts: int, chat: bool) -> FactPrompt:
    conversation = draw_conversation(rng, facts, chat)
    thing = rng.choice(list(conversation.facts))
    stated, attribute, question = conversation.ask(thing, rng.choice(QUESTION_FORMS))
    texts = [" ".join(words) for words in conversation.turns]

    def word(place: WordPosition) -> Word:
        turn, index = place
        words = conversation.turns[turn]
        start = len(" ".join([*words[:index], ""]))
        return Word(words[index], (start, start + len(words[index])), turn if chat else None)

    messages = [{"role": str(role), "content": text} for role, text in zip(conversation.roles, texts, strict=True)]
    causes = (word(stated), word(attribute), word(question))
    return FactPrompt(messages if chat else texts[0], conversation.facts[thing][0], causes)
