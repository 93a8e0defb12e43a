"""Train the shipped language model: `python -m interpreto_mllm.testbed.train_recall`, a few minutes on two cores."""

from __future__ import annotations

import random
from typing import Any

import torch
from transformers import Lfm2Config, Lfm2ForCausalLM, PreTrainedTokenizerFast

from interpreto_mllm.testbed import RECALL, facts
from interpreto_mllm.testbed.training import (
    CONTEXT,
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

BATCH, RATE, LEARNT = 64, 3e-3, 0.2


def make_words() -> list[str]:
    """The vocabulary."""
    forms = [*facts.FACT_FORMS, *facts.QUESTION_FORMS, *facts.FILLERS, *facts.SYSTEMS, *facts.REPLIES]
    words = sorted({word for form in forms for word in form.split() if not word.startswith("{")} | {",", "!"})
    return [*facts.ATTRIBUTES, *facts.OBJECTS, *words]


def make_model(tokenizer: Any) -> Lfm2ForCausalLM:
    """An untrained model of alternating convolution and attention layers, about 390 k parameters."""
    config = Lfm2Config(
        vocab_size=len(tokenizer),
        hidden_size=96,
        intermediate_size=192,
        num_hidden_layers=4,
        num_attention_heads=2,
        num_key_value_heads=2,
        layer_types=["conv", "full_attention", "conv", "full_attention"],
        conv_L_cache=3,
        block_auto_adjust_ff_dim=False,
        max_position_embeddings=CONTEXT,
        initializer_range=0.08,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = Lfm2ForCausalLM(config)
    generate_briefly(model, tokenizer)
    return model


def occlude(conversation: facts.FactConversation, rng: random.Random) -> set[facts.WordPosition]:
    """The places of words to be hidden, any share being as likely: of all, of all but objects and attributes, or by sentence.

    Where only the words between are hidden, the answer stays known however close an attribute moves to its object.
    """
    share, kind = rng.random(), rng.choices(("any", "between", "sentence"), (2, 2, 1))[0]
    spared = {*facts.OBJECTS, *facts.ATTRIBUTES} if kind == "between" else set()
    hidden, hide = set(), False
    for turn, words in enumerate(conversation.turns):
        for index, word in enumerate(words):
            starts = index == 0 or words[index - 1] in ".?"
            if starts or kind != "sentence":
                hide = rng.random() < share
            if hide and word not in spared:
                hidden.add((turn, index))
    return hidden


def easy_example(rng: random.Random) -> Example:
    """Plain facts in one form, and many questions in one form; that an answer ends is left for later, it distracts."""
    conversation = facts.FactConversation()
    conversation.open(None)
    for thing, attribute in zip(rng.sample(facts.OBJECTS, 3), rng.sample(facts.ATTRIBUTES, 3), strict=True):
        conversation.state(thing, attribute, facts.FACT_FORMS[0])
    words, visible, answers = write(conversation, ask(conversation, rng, questions=6, forms=1), set(), rng)
    return Example(words, visible, [() if choice == ("<eos>",) else choice for choice in answers])


def make_example(rng: random.Random, occluded: bool) -> Example:
    """A conversation with one to four questions; an attribute whose fact or question is hidden may be any."""
    conversation = facts.draw_conversation(rng, rng.randint(1, facts.MOST_FACTS), chat=rng.random() < 0.5)
    asked = ask(conversation, rng, questions=rng.randint(1, 4), forms=len(facts.QUESTION_FORMS))
    return write(conversation, asked, occlude(conversation, rng) if occluded else set(), rng)


Asked = dict[int, tuple[str, tuple[facts.WordPosition, ...]]]
"""For each turn that ends in a question, the attribute to answer and the words that cause it."""


def ask(conversation: facts.FactConversation, rng: random.Random, questions: int, forms: int) -> Asked:
    """Add questions, each in a turn of its own but the first, in the first so many forms."""
    asked: Asked = {}
    for question in range(questions):
        if question:
            conversation.open(conversation.roles[-1])
        thing = rng.choice(list(conversation.facts))
        causes = conversation.ask(thing, rng.choice(facts.QUESTION_FORMS[:forms]))
        asked[len(conversation.turns) - 1] = conversation.facts[thing][0], causes
    return asked


def write(conversation: facts.FactConversation, asked: Asked, hidden: set[facts.WordPosition], rng: random.Random) -> Example:
    """A conversation as a training sequence."""
    writer = Writer(rng)
    for turn, (role, words) in enumerate(zip(conversation.roles, conversation.turns, strict=True)):
        if role:
            writer.add(f"<|{role}|>")
        for index, word in enumerate(words):
            writer.add(word, (turn, index) not in hidden)
        if role:
            writer.add("<|end|>")
        if turn in asked:
            if role:
                writer.add("<|assistant|>")
            attribute, causes = asked[turn]
            if hidden.isdisjoint(causes):
                writer.say((attribute,), attribute)
            else:
                writer.say(tuple(facts.ATTRIBUTES))
            end = "<|end|>" if role else "<eos>"
            writer.say((end,), end)
    return writer.example


def train(seed: int, steps: int) -> tuple[Lfm2ForCausalLM, PreTrainedTokenizerFast]:
    """Train from scratch: plain prompts of few facts until looking facts up is learnt, then all kinds, more and more occluded.

    Args:
        seed: of the weights and the prompts.
        steps: after the easy ones.
    """
    torch.manual_seed(seed)
    rng = random.Random(seed)
    tokenizer = make_tokenizer(make_words())
    model = make_model(tokenizer)
    trainer = Trainer(model, RATE)
    trainer.until(LEARNT, lambda: make_batch([easy_example(rng) for _ in range(BATCH)], tokenizer), name="easy")

    def draw(done: float) -> Batch:
        occluded = 0.6 * min(1, 2 * done)
        return make_batch([make_example(rng, rng.random() < occluded) for _ in range(BATCH)], tokenizer)

    trainer.steps(steps, draw, name="all kinds")
    return model.eval(), tokenizer


def rendered(prompt: facts.FactPrompt, tokenizer: Any) -> str:
    """The text that the model sees, special tokens included."""
    if isinstance(prompt.prompt, str):
        return tokenizer.bos_token + prompt.prompt
    return str(tokenizer.apply_chat_template(prompt.prompt, tokenize=False, add_generation_prompt=True))


def main() -> None:
    """Train, report the accuracy on held-out prompts, and save."""
    options = read_options(main.__doc__, steps=1000, output=RECALL)
    model, tokenizer = train(options.seed, options.steps)
    for chat in (False, True):
        prompts = facts.sample_fact_prompts(500, facts=4, seed=10**6 + options.seed, chat=chat)
        texts, answers = [rendered(prompt, tokenizer) for prompt in prompts], [prompt.answer for prompt in prompts]
        logger.info("%s: %.2f %% right", "chat" if chat else "plain", 100 * accuracy(model, tokenizer, texts, answers))
    model.save_pretrained(options.output)
    tokenizer.save_pretrained(options.output)


if __name__ == "__main__":
    main()
