"""Contexts of many short sentences, one of which, the needle, answers a question."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import product

NAMES = (
    "Alma Bruno Clara Dario Elsa Felix Greta Hugo Irma Jonas Karla Leon Marta Nils Olga Pavel Rosa Simon Tilda Ugo Vera Walter "
    "Yara Zeno Anton Berta Cyril Dora Emil Frida"
).split()
VERBS = "sold bought painted drew found lost hid kept moved counted fixed cleaned dropped carried wanted saw".split()
THINGS = "boats lamps shoes books coins chairs plates gloves maps stamps ropes apples clocks knives spoons hats".split()
FACTS = (
    (
        "The password of the cellar is {}.",
        "What is the password of the cellar?",
        "walnut velvet copper magnet pepper",
    ),
    ("The red suitcase belongs to Doctor {}.", "To which doctor does the red suitcase belong?", "Keller Moreau Santos Ivanov"),
    (
        "The museum bought the statue for {} dollars.",
        "What did the museum pay for the statue?",
        "9400 3700 5200 8100",
    ),
    ("The night train departs from platform {}.", "From which platform does the night train depart?", "seven twelve nine four"),
    ("The orchids need water every {} days.", "How often do the orchids need water?", "five eight three eleven"),
    ("The lost ring was found inside a {}.", "Where was the lost ring found?", "teapot piano drawer helmet"),
)


@dataclass(frozen=True)
class Needle:
    """A context: its sentences, the question, what a right answer holds, and the index of the sentence that gives it."""

    name: str
    sentences: list[str]
    question: str
    answer: str
    place: int


def make_needle(n: int, seed: int) -> Needle:
    """A context of n sentences, the needle anywhere among them."""
    chance = random.Random(seed)
    others = chance.sample(list(product(NAMES, VERBS, THINGS)), n - 1)
    fact, question, answers = FACTS[seed % len(FACTS)]
    answer, place = chance.choice(answers.split()), chance.randrange(n)
    sentences = [f"{name} {verb} {things}." for name, verb, things in others]
    sentences.insert(place, fact.format(answer))
    return Needle(f"needle-{n}-{seed}", sentences, question, answer, place)
