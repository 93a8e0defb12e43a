"""Train the shipped thinking model: `python -m interpreto_mllm.testbed.train_thoughts`, a few minutes on two cores.

It goes on from the shipped language model, which finds facts already.
"""

from __future__ import annotations

import random
from typing import Any

import torch
from tokenizers import AddedToken

from interpreto_mllm.testbed import THOUGHTS, load_recall
from interpreto_mllm.testbed.chains import MOST_SENTENCES, QUESTIONS, Chain, sample_chain_prompts
from interpreto_mllm.testbed.facts import ATTRIBUTES, OBJECTS
from interpreto_mllm.testbed.train_recall import make_words
from interpreto_mllm.testbed.training import (
    CHAT_TEMPLATE,
    Batch,
    Example,
    Trainer,
    Writer,
    accuracy,
    generate_briefly,
    logger,
    make_batch,
    make_tokenizer,
    read_options,
)

BATCH, RATE = 64, 3e-3
MARKS = ("<think>", "</think>")
THOUGHTLESS = (
    "{% set content = message.content %}"
    "{% if message.role == 'assistant' and '</think>' in content %}"
    "{% set content = content.split('</think>')[-1].strip() %}{% endif %}"
)
"""Of templates: thoughts of earlier turns are left out."""


def make_thinking_tokenizer() -> Any:
    """That of the language model, with the marks of thoughts and a word for likeness."""
    tokenizer: Any = make_tokenizer([*make_words(), "like"])
    tokenizer.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in MARKS])
    template = CHAT_TEMPLATE.replace("{{ '<|'", THOUGHTLESS + "{{ '<|'").replace("CONTENT", "content")
    tokenizer.chat_template = template
    return tokenizer


def make_thinking_model(tokenizer: Any) -> Any:
    """The language model with embeddings for the new words."""
    model: Any
    model, known = load_recall()
    before = model.get_input_embeddings().weight.detach().clone()
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    weights = model.get_input_embeddings().weight
    with torch.no_grad():
        weights.normal_(0.0, float(before.std()))
        for word, index in known.get_vocab().items():
            weights[tokenizer.convert_tokens_to_ids(word)] = before[index]
    generate_briefly(model, tokenizer)
    model.generation_config.max_new_tokens = 48
    return model


class Thinking:
    """A question of a training sequence, some words of its prompt hidden, and what is thought of the rest.

    Args:
        rng: random generator.
        hide: whether words are hidden.
    """

    def __init__(self, rng: random.Random, hide: bool):
        self.rng, self.writer = rng, Writer(rng)
        facts = rng.randint(1, 4)
        lengths = [rng.choice((1, 1, 2)) for _ in range(rng.randint(0, min(facts, 2)))]
        while sum(lengths) + facts > MOST_SENTENCES:
            lengths.pop()
        self.chain = Chain.draw(rng, lengths, facts)
        self.share = rng.random() if hide else 0.0
        self.by_sentence = rng.random() < 0.6

    def example(self) -> Example:
        """The sequence."""
        things = [*self.chain.others, *self.chain.others, *self.chain.colours]
        question = self.rng.choice(QUESTIONS).format(thing=self.rng.choice(things))
        sentences = self.chain.sentences()
        self.rng.shuffle(sentences)
        self.writer.add("<|user|>")
        seen = [self._read(sentence) for sentence in [*sentences, question]]
        for word in ("<|end|>", "<|assistant|>"):
            self.writer.add(word)
        known: dict[str, str] = {}
        for words in seen[:-1]:
            named = [word for word in words if word in OBJECTS or word in ATTRIBUTES]
            if len(named) == 2:
                known[named[0]] = named[1]
        asked = next((word for word in seen[-1] if word in OBJECTS), None)
        self._think(known, asked)
        return self.writer.example

    def _read(self, sentence: str) -> list[str]:
        """A sentence of the prompt; the words of it that are seen."""
        whole, seen = self.rng.random() >= self.share, []
        for word in sentence.split():
            visible = whole if self.by_sentence else self.rng.random() >= self.share
            self.writer.add(word, visible)
            seen += [word] * visible
        return seen

    def _think(self, known: dict[str, str], asked: str | None) -> None:
        """From the thing asked about to a colour; what is not known may be anything."""
        hidden = self.rng.random() < 0.3
        self._say(("<think>",), True, True)
        for _ in range(4):
            shown = not hidden or self.rng.random() < 0.5
            self._say(("the",), shown, not hidden)
            thing = self._say(tuple(OBJECTS) if asked is None else (asked,), shown, not hidden)
            self._say(("is",), shown, not hidden)
            then = known.get(thing)
            if then in OBJECTS:
                for choice in (("like",), ("the",), (then,), (".",)):
                    self._say(choice, shown, not hidden)
                asked = then
                continue
            colour = self._say(tuple(ATTRIBUTES) if then is None else (then,), shown, not hidden)
            self._say((".",), shown, not hidden)
            break
        self._say(("</think>",), True, not hidden)
        self._say((colour,) if shown else tuple(ATTRIBUTES), True, True)
        self._say(("<|end|>",), True, True)

    def _say(self, choice: tuple[str, ...], shown: bool, learnt: bool) -> str:
        word = self.rng.choice(choice)
        if learnt:
            self.writer.say(choice, word)
        else:
            self.writer.add(word, shown)
        return word


def train(seed: int, steps: int) -> tuple[Any, Any]:
    """Go on from the language model: whole prompts at first, then more and more occluded.

    Args:
        seed: of the new embeddings and the prompts.
        steps: of training.
    """
    torch.manual_seed(seed)
    rng = random.Random(seed)
    tokenizer = make_thinking_tokenizer()
    model = make_thinking_model(tokenizer)
    trainer = Trainer(model, RATE)

    def draw(done: float) -> Batch:
        occluded = 0.7 * min(1, 2 * done)
        return make_batch([Thinking(rng, rng.random() < occluded).example() for _ in range(BATCH)], tokenizer)

    trainer.steps(steps, draw, name="thinking")
    return model.eval(), tokenizer


def main() -> None:
    """Train, report the accuracy on held-out prompts, and save."""
    options = read_options(main.__doc__, steps=2000, output=THOUGHTS)
    model, tokenizer = train(options.seed, options.steps)
    for links in (0, 1, 2):
        prompts = sample_chain_prompts(500, links=links, seed=10**6 + options.seed)
        texts = [
            tokenizer.apply_chat_template(prompt.messages, tokenize=False, add_generation_prompt=True) for prompt in prompts
        ]
        answers = [f"<think> {' '.join(prompt.thoughts)} </think> {prompt.answer}" for prompt in prompts]
        logger.info("%d links: %.2f %% right", links, 100 * accuracy(model, tokenizer, texts, answers))
    model.save_pretrained(options.output)
    tokenizer.save_pretrained(options.output)


if __name__ == "__main__":
    main()
