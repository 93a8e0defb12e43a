"""A chat of 300 words about an answer of 40 tokens, with given scores."""

from __future__ import annotations

import re
from dataclasses import replace

import torch
from support.pages import explained

from interpreto_mllm.attribution import Attribution
from interpreto_mllm.core.feature import Feature

RULES = "You are a helpful travel assistant. Answer in one or two sentences, and only from the notes of the traveller."
NOTES = """\
Notes on the night train from Vienna to Venice:
The train leaves Vienna Central Station every evening at 21:27 and arrives in Venice Santa Lucia at 8:34 the next \
morning. It has seats, couchettes for four or six people, and private sleeping cabins. A seat costs 29 euros, a \
couchette 59 euros, and a sleeping cabin 119 euros. Breakfast is included in couchettes and cabins, but not in \
seats. Bicycles can be taken only in summer, from June to September, and must be reserved three days before. Dogs \
travel for half the price of a seat and must wear a muzzle. Tickets can be cancelled for free until fifteen days \
before the journey; after that, half of the price is kept. The dining car closed last year, so passengers should \
bring their own dinner. Showers exist only in the cabins of the first class.
Notes on Venice:
The station lies on the Grand Canal. The number 1 boat takes forty minutes to Saint Mark's Square and runs every \
twelve minutes. A single boat ticket costs 9.50 euros and a day ticket 25 euros. In November high water is common, \
so rubber boots are useful. Most museums are closed on Mondays, and on Sundays the lines in front of the basilica \
are long; reserve a time in the morning, when the light is best.
We are two adults with a small dog and we do not like to share a room with strangers. Is breakfast included on the \
train?"""
TURNS = (
    ("system", RULES),
    ("user", NOTES),
    ("assistant", "Yes. Breakfast is included in couchettes and in private sleeping cabins, but not in seats."),
    ("user", "Thank you. When does the train leave and when does it arrive, and what would a private cabin cost us?"),
)
TOLD = (
    " The| train| leaves| Vienna| Central| Station| every| evening| at| 21|:27| and| arrives| in| Venice| Santa| Lucia| at"
    "| 8|:34| the| next| morning|.| A| private| sleeping| cabin| costs| 119| euros|,| and"
    "| breakfast| is| included| in| it| too|."
)
PLAIN = frozenset("the a in at is it and , . on of to".split())


def long_chat() -> Attribution:
    """A chat of 300 words about an answer of 40 tokens: each token comes from the words that say it, all else is noise."""
    text, features = "", []
    for turn, (role, said) in enumerate(TURNS):
        text += f"<|im_start|>{role}\n"
        features += [
            Feature(found.group(), ((found.start() + len(text), found.end() + len(text)),), role=role, turn=turn)
            for found in re.finditer(r"\S+", said)
        ]
        text += f"{said}<|im_end|>\n"
    text += "<|im_start|>assistant\n"
    generator = torch.Generator().manual_seed(0)
    targets = TOLD.split("|")
    scores = 0.03 * torch.randn(len(targets), len(features), generator=generator, dtype=torch.float64)
    for row, target in zip(scores, targets, strict=True):
        said = target.strip().lower()
        for index, feature in enumerate(features):
            word = feature.text.lower()
            if said not in PLAIN and said in word:
                row[index] += 2.4 * len(said) / len(word) * (0.5 if feature.turn == 3 else 1.0)
            if feature.turn == 3 and word in ("leave", "arrive,", "when", "cost", "cabin") and said not in PLAIN:
                row[index] += 0.3
        row[min(range(len(features)), key=lambda i: row[i])] -= 0.5
    errors = torch.full_like(scores, 0.08).tolist()
    shown = explained(scores.tolist(), features, text, targets=targets, method="KernelShap")
    return replace(shown, standard_errors=torch.tensor(errors, dtype=torch.float64))
