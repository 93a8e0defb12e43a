"""Shared by the scripts that train the shipped models: the tokenizer, examples, batches and steps."""

from __future__ import annotations

import logging
import math
import random
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Shaped
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerFast

from interpreto_mllm.testbed.facts import SYSTEMS
from interpreto_mllm.testbed.question import PlantedQuestion

logger = logging.getLogger(__name__)

CONTEXT = 256
"""The longest sequence, in tokens."""

ROLES = ("system", "user", "assistant")

SPECIALS = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<bos>", "eos_token": "<eos>"}
MARKUP = [*(f"<|{role}|>" for role in ROLES), "<|end|>"]
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message.role not in ['system', 'user', 'assistant'] %}"
    "{{ raise_exception('A role is system, user or assistant, not ' ~ message.role) }}{% endif %}"
    "{{ '<|' ~ message.role ~ '|>\n' ~ CONTENT ~ '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
PARTS = (
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'text' %}{{ part.text }}{% elif part.type == 'MEDIUM' %}{{ '<MEDIUM>' }}"
    "{% else %}{{ raise_exception('A part is text or MEDIUM, not ' ~ part.type) }}{% endif %}{% endfor %}{% endif %}"
)


def chat_template(medium: str | None = None) -> str:
    """A chat template for text alone, or for messages with parts of text and of one other medium."""
    if medium is None:
        return CHAT_TEMPLATE.replace("CONTENT", "message.content")
    return CHAT_TEMPLATE.replace("~ CONTENT ~", "}}" + PARTS.replace("MEDIUM", medium) + "{{")


def make_tokenizer(words: list[str], medium: str | None = None, marks: tuple[str, ...] = ()) -> PreTrainedTokenizerFast:
    """One token a word or punctuation mark, in lower case, with a chat template.

    Args:
        words: those known, besides special tokens; the order of their ids.
        medium: what messages may hold besides text, "image", "audio" or "video"; its placeholder becomes a special token.
        marks: further special tokens.

    Example:
        >>> make_tokenizer(["the", "apple", "is", "red", "."]).tokenize("The apple is red.")
        ['the', 'apple', 'is', 'red', '.']
    """
    markup = [*MARKUP, *([f"<{medium}>"] if medium else []), *marks]
    vocabulary = list(dict.fromkeys([*SPECIALS.values(), *markup, *words]))
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(vocabulary)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    begin = ("<bos>", vocabulary.index("<bos>"))
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[begin])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **SPECIALS,
        extra_special_tokens=markup,
        chat_template=chat_template(medium),
        padding_side="left",
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def generate_briefly(model: Any, tokenizer: PreTrainedTokenizerFast) -> None:
    """Make a model's own settings greedy, and let it stop where a turn or the text ends."""
    model.generation_config.bos_token_id = tokenizer.bos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|end|>")]
    model.generation_config.do_sample = False
    model.generation_config.max_new_tokens = 8


Choice = tuple[str, ...]
"""Possible next words, all equally likely; empty where there is no target."""


class Example(NamedTuple):
    """A training sequence: its words, which of them are visible, and the target after each."""

    words: list[str]
    visible: list[bool]
    answers: list[Choice]


class Writer:
    """Writes an example word by word; its hidden words are all dropped, all replaced, or all kept out of sight."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.occlusion = rng.choice(("drop", "drop", "replace", "attention"))
        self.example = Example(["<bos>"], [True], [()])

    def add(self, word: str, visible: bool = True) -> None:
        """Add a word without a target."""
        if visible or self.occlusion != "drop":
            self.example.words.append("<unk>" if not visible and self.occlusion == "replace" else word)
            self.example.visible.append(visible or self.occlusion == "replace")
            self.example.answers.append(())

    def say(self, choice: Choice, word: str | None = None) -> None:
        """Add a target, and the word of it that follows: a random one unless given."""
        self.example.answers[-1] = choice
        self.add(self.rng.choice(choice) if word is None else word)


class Turn(NamedTuple):
    """A question of a training sequence: its words, which are visible, the last that matters, and the answer."""

    words: list[str]
    visible: list[bool]
    last: int
    answer: Choice


def make_turn(
    question: PlantedQuestion, answer: str, possible: Choice, anything: Choice, rng: random.Random, hide: float
) -> Turn:
    """A question whose words are hidden at the rate `hide`; without its important words, any possible answer is right.

    Args:
        question: the question, whose first important word names the kind of answer.
        answer: the answer; empty when even the whole question does not determine it.
        possible: what to say instead.
        anything: what to say when the kind of the answer is hidden.
        rng: random generator.
        hide: between 0 and 1.
    """
    words = question.text.split()
    visible = [rng.random() >= hide for _ in words]
    places = [question.text[: word.span[0]].count(" ") for word in question.words]
    kind_seen, *names_seen = (visible[place] for place in places)
    known: Choice = (answer,) if answer and all(names_seen) else possible
    return Turn(words, visible, places[-1], known if kind_seen else anything)


def write(medium: list[str], turns: list[Turn], rng: random.Random, chat: bool, bare: bool = False) -> Example:
    """Questions about a picture or a clip, each with its answer.

    Args:
        medium: the placeholders, which come before the first question or, now and then, after it.
        turns: the questions and answers.
        rng: random generator.
        chat: as messages, often with a system message; else as one text.
        bare: whether the answers follow the last word that matters at once, without what else ends a question. What is asked
            about then stands where the answer is given, and is found much sooner.
    """
    writer = Writer(rng)
    if chat and rng.random() < 0.3:
        for word in ("<|system|>", *rng.choice(SYSTEMS).split(), "<|end|>"):
            writer.add(word)
    before = rng.random() < 0.8
    for number, turn in enumerate(turns):
        if chat:
            writer.add("<|user|>")
        question = list(zip(turn.words, turn.visible, strict=True))[: turn.last + 1 if bare else None]
        placeholders = [(word, True) for word in medium if number == 0]
        for word, visible in placeholders + question if before else question + placeholders:
            writer.add(word, visible)
        for word in ("<|end|>", "<|assistant|>") if chat and not bare else ():
            writer.add(word)
        writer.say(turn.answer)
        writer.say(("<|end|>" if chat else "<eos>",))
    return writer.example


class Batch(NamedTuple):
    """The inputs of a model, and the target probability of each next word; all zeros where there is no target."""

    inputs: dict[str, Shaped[Tensor, "b ..."]]
    targets: Float[Tensor, "b l v"]


def make_batch(examples: list[Example], tokenizer: PreTrainedTokenizerFast, **media: Shaped[Tensor, "..."]) -> Batch:
    """Examples as tensors, padded on the right, with the inputs of other media."""
    ids_of = tokenizer.get_vocab()
    length = max(len(example.words) for example in examples)
    ids = torch.full((len(examples), length), ids_of["<pad>"])
    visible = torch.zeros(len(examples), length, dtype=torch.long)
    targets = torch.zeros(len(examples), length, len(tokenizer))
    for row, example in enumerate(examples):
        size = len(example.words)
        ids[row, :size] = torch.tensor([ids_of[word] for word in example.words])
        visible[row, :size] = torch.tensor(example.visible)
        for place, choice in enumerate(example.answers):
            targets[row, place, [ids_of[word] for word in choice]] = 1 / max(1, len(choice))
    return Batch({"input_ids": ids, "attention_mask": visible, **media}, targets)


def loss_of(model: Any, batch: Batch) -> Float[Tensor, ""]:
    """The mean cross-entropy over the positions that have a target."""
    states = model.model(**batch.inputs, use_cache=False).last_hidden_state
    has_target = batch.targets.sum(-1) > 0
    log_probs = model.lm_head(states[has_target]).log_softmax(-1)
    return -(batch.targets[has_target] * log_probs).sum(-1).mean()


@torch.no_grad()
def accuracy(model: Any, processor: Callable[..., Any], texts: list[str], answers: list[str], **media: Any) -> float:
    """The share of prompts that greedy generation answers exactly.

    Args:
        model: the model.
        processor: what makes its inputs of texts and other media: a tokenizer or a processor.
        texts: as the model sees them, special tokens included.
        answers: what is right.
        media: lists of pictures or clips, one for each text, and other arguments of the processor.
    """
    right = 0
    for start in range(0, len(texts), 100):
        some = slice(start, start + 100)
        media_of = {name: value[some] if isinstance(value, list) else value for name, value in media.items()}
        inputs = processor(text=texts[some], **media_of, add_special_tokens=False, padding=True, return_tensors="pt")
        generated = model.generate(**inputs)[:, inputs["input_ids"].shape[1] :]
        found = processor.batch_decode(generated, skip_special_tokens=True)
        right += sum(answer == other for answer, other in zip(found, answers[some], strict=True))
    return right / len(texts)


def report(model: Any, processor: Any, asks: str, prompts: list[Any], **media: Any) -> None:
    """Log the accuracy on one kind of questions about pictures or clips, plain and as chats; `media` as for `accuracy`."""
    answers = [prompt.answer for prompt in prompts]
    plain = [f"<bos>{prompt.text}" for prompt in prompts]
    chat = [processor.apply_chat_template(prompt.messages, tokenize=False, add_generation_prompt=True) for prompt in prompts]
    for kind, texts in (("plain", plain), ("chat", chat)):
        logger.info("%s, %s: %.2f %% right", kind, asks, 100 * accuracy(model, processor, texts, answers, **media))


class Trainer:
    """Trains a model by AdamW at a learning rate, on batches that are drawn as it goes."""

    def __init__(self, model: Any, rate: float) -> None:
        self.model, self.rate = model.train(), rate
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.95), weight_decay=0.01)

    def learn(self, batch: Batch, share: float) -> float:
        """One step at a share of the rate; its loss."""
        self.optimizer.param_groups[0]["lr"] = self.rate * share
        loss = loss_of(self.model, batch)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return loss.item()

    def until(self, learnt: float, draw: Callable[[], Batch], name: str) -> None:
        """Steps until the mean loss of late is below `learnt`."""
        average, step = math.inf, 0
        with tqdm(desc=name, unit="step", mininterval=2) as bar:
            while average > learnt:
                loss = self.learn(draw(), min(1, (step + 1) / 30))
                average = loss if step == 0 else 0.9 * average + 0.1 * loss
                step += 1
                bar.set_postfix(loss=f"{average:.3f}", refresh=False)
                bar.update()

    def steps(self, count: int, draw: Callable[[float], Batch], name: str) -> None:
        """This many steps; the rate rises at first and falls in the second half. `draw` gets the share of steps done."""
        with tqdm(range(count), desc=name, unit="step", mininterval=2) as bar:
            for step in bar:
                loss = self.learn(draw(step / count), min(1, (step + 1) / 30, 2 * (1 - step / count) + 0.01))
                bar.set_postfix(loss=f"{loss:.3f}", refresh=False)


def read_options(description: str | None, steps: int, output: Path) -> Namespace:
    """The options `seed`, `steps` and `output` of a training script."""
    parser = ArgumentParser(description=description)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--output", type=Path, default=output)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return parser.parse_args()
