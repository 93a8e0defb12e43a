"""Train the shipped model: `python -m interpreto_mllm.testbed.train`, a few minutes on two cores."""

from __future__ import annotations

import argparse
import logging
import math
import random
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Int
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from tqdm.auto import tqdm
from transformers import Lfm2Config, Lfm2ForCausalLM, PreTrainedTokenizerFast

from interpreto_mllm.testbed import RECALL, facts

logger = logging.getLogger(__name__)

IGNORED, UNKNOWN = -100, -1
CONTEXT = 256
RATE, LEARNT = 3e-3, 0.2
ROLES = ("system", "user", "assistant")
SPECIALS = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<bos>", "eos_token": "<eos>"}
MARKUP = [*(f"<|{role}|>" for role in ROLES), "<|end|>"]
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message.role not in ['system', 'user', 'assistant'] %}"
    "{{ raise_exception('A role is system, user or assistant, not ' ~ message.role) }}{% endif %}"
    "{{ '<|' ~ message.role ~ '|>\n' ~ message.content ~ '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word or punctuation mark, in lower case, with a chat template.

    Example:
        >>> make_tokenizer().tokenize("The apple is red.")
        ['the', 'apple', 'is', 'red', '.']
    """
    forms = [*facts.FACT_FORMS, *facts.QUESTION_FORMS, *facts.FILLERS, *facts.SYSTEMS, *facts.REPLIES]
    words = sorted({word for form in forms for word in form.split() if not word.startswith("{")} | {",", "!"})
    vocabulary = [*SPECIALS.values(), *MARKUP, *facts.ATTRIBUTES, *facts.OBJECTS, *words]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(vocabulary)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    begin = ("<bos>", vocabulary.index("<bos>"))
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[begin])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **SPECIALS,
        extra_special_tokens=MARKUP,
        chat_template=CHAT_TEMPLATE,
        padding_side="left",
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


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
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|end|>")]
    model.generation_config.do_sample = False
    model.generation_config.max_new_tokens = 8
    return model


class Example(NamedTuple):
    """A training sequence: its words, which are visible, and what to say after each (IGNORED: nothing)."""

    words: list[str]
    visible: list[bool]
    said: list[str | int]


def occlude(conversation: facts.Conversation, rng: random.Random) -> set[facts.Place]:
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
    conversation = facts.Conversation()
    conversation.open(None)
    for thing, attribute in zip(rng.sample(facts.OBJECTS, 3), rng.sample(facts.ATTRIBUTES, 3), strict=True):
        conversation.state(thing, attribute, facts.FACT_FORMS[0])
    words, visible, said = write(conversation, ask(conversation, rng, questions=6, forms=1), set(), rng)
    return Example(words, visible, [IGNORED if word == "<eos>" else word for word in said])


def make_example(rng: random.Random, occluded: bool) -> Example:
    """A conversation with one to four questions; an attribute whose fact or question is hidden is to be told as UNKNOWN."""
    conversation = facts.converse(rng, rng.randint(1, facts.MOST_FACTS), chat=rng.random() < 0.5)
    asked = ask(conversation, rng, questions=rng.randint(1, 4), forms=len(facts.QUESTION_FORMS))
    return write(conversation, asked, occlude(conversation, rng) if occluded else set(), rng)


Asked = dict[int, tuple[str, tuple[facts.Place, ...]]]
"""For each turn that ends in a question, the attribute to answer and the words that cause it."""


def ask(conversation: facts.Conversation, rng: random.Random, questions: int, forms: int) -> Asked:
    """Add questions, each in a turn of its own but the first, in the first so many forms."""
    asked: Asked = {}
    for question in range(questions):
        if question:
            conversation.open(conversation.roles[-1])
        thing = rng.choice(list(conversation.facts))
        causes = conversation.ask(thing, rng.choice(facts.QUESTION_FORMS[:forms]))
        asked[len(conversation.turns) - 1] = conversation.facts[thing][0], causes
    return asked


def write(conversation: facts.Conversation, asked: Asked, hidden: set[facts.Place], rng: random.Random) -> Example:
    """A conversation as a training sequence; hidden words are all dropped, all replaced, or all kept out of sight."""
    occlusion = rng.choice(("drop", "drop", "replace", "attention"))
    example = Example(["<bos>"], [True], [IGNORED])

    def add(word: str, visible: bool = True) -> None:
        if visible or occlusion != "drop":
            example.words.append("<unk>" if not visible and occlusion == "replace" else word)
            example.visible.append(visible or occlusion == "replace")
            example.said.append(IGNORED)

    def say(word: str, known: bool = True) -> None:
        example.said[-1] = word if known else UNKNOWN
        add(word if known else rng.choice(facts.ATTRIBUTES))

    for turn, (role, words) in enumerate(zip(conversation.roles, conversation.turns, strict=True)):
        if role:
            add(f"<|{role}|>")
        for index, word in enumerate(words):
            add(word, (turn, index) not in hidden)
        if role:
            add("<|end|>")
        if turn in asked:
            if role:
                add("<|assistant|>")
            attribute, causes = asked[turn]
            say(attribute, known=hidden.isdisjoint(causes))
            say("<|end|>" if role else "<eos>")
    return example


Batch = tuple[Int[Tensor, "b l"], Bool[Tensor, "b l"], Int[Tensor, "b l"]]


def make_batch(examples: list[Example], tokenizer: PreTrainedTokenizerFast) -> Batch:
    """Token ids, attention mask and what to say next, padded on the right."""
    ids_of = tokenizer.get_vocab()
    length = max(len(example.words) for example in examples)
    ids = torch.full((len(examples), length), ids_of["<pad>"])
    visible = torch.zeros(len(examples), length, dtype=torch.bool)
    said = torch.full((len(examples), length), IGNORED)
    for row, example in enumerate(examples):
        size = len(example.words)
        ids[row, :size] = torch.tensor([ids_of[word] for word in example.words])
        visible[row, :size] = torch.tensor(example.visible)
        said[row, :size] = torch.tensor([word if isinstance(word, int) else ids_of[word] for word in example.said])
    return ids, visible, said


def loss_of(model: Lfm2ForCausalLM, batch: Batch, attributes: Int[Tensor, "a"]) -> Tensor:
    """Cross-entropy where something is to be said; UNKNOWN asks for all attributes equally."""
    ids, visible, said = batch
    states = model.model(input_ids=ids, attention_mask=visible.long(), use_cache=False).last_hidden_state
    spoken = said != IGNORED
    said = said[spoken]
    log_probs = model.lm_head(states[spoken]).log_softmax(-1)
    exact = -log_probs.gather(1, said.clamp_min(0)[:, None])[:, 0]
    even = -log_probs[:, attributes].mean(1)
    return torch.where(said == UNKNOWN, even, exact).mean()


def train(seed: int = 0, steps: int = 1000, batch_size: int = 64) -> tuple[Lfm2ForCausalLM, PreTrainedTokenizerFast]:
    """Train from scratch: plain prompts of few facts until looking facts up is learnt, then all kinds, more and more occluded.

    Args:
        seed: of the weights and the prompts.
        steps: after the easy ones.
        batch_size: prompts in a step.
    """
    torch.manual_seed(seed)
    rng = random.Random(seed)
    tokenizer = make_tokenizer()
    model = make_model(tokenizer).train()
    attributes = torch.tensor(tokenizer.convert_tokens_to_ids(facts.ATTRIBUTES))
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.95), weight_decay=0.01)

    def learn(examples: list[Example], rate: float) -> float:
        optimizer.param_groups[0]["lr"] = rate
        loss = loss_of(model, make_batch(examples, tokenizer), attributes)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    with tqdm(desc="easy", unit="step") as bar:
        average, step = math.inf, 0
        while average > LEARNT:
            loss = learn([easy_example(rng) for _ in range(batch_size)], RATE * min(1, (step + 1) / 30))
            average = loss if step == 0 else 0.9 * average + 0.1 * loss
            step += 1
            bar.set_postfix(loss=f"{average:.3f}", refresh=False)
            bar.update()
    with tqdm(range(steps), desc="all kinds", unit="step") as bar:
        for step in bar:
            occluded = 0.6 * min(1, 2 * step / steps)
            examples = [make_example(rng, rng.random() < occluded) for _ in range(batch_size)]
            loss = learn(examples, RATE * min(1, 2 * (1 - step / steps) + 0.01))
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
    return model.eval(), tokenizer


@torch.no_grad()
def accuracy(model: Any, tokenizer: Any, prompts: list[facts.FactPrompt]) -> float:
    """The share of prompts that greedy generation answers exactly."""
    right = 0
    for start in range(0, len(prompts), 100):
        some = prompts[start : start + 100]
        texts = [rendered(prompt, tokenizer) for prompt in some]
        inputs = tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt")
        said = model.generate(**inputs)[:, inputs["input_ids"].shape[1] :]
        answers = tokenizer.batch_decode(said, skip_special_tokens=True)
        right += sum(answer == prompt.answer for answer, prompt in zip(answers, some, strict=True))
    return right / len(prompts)


def rendered(prompt: facts.FactPrompt, tokenizer: Any) -> str:
    """The text that the model sees, special tokens included."""
    if isinstance(prompt.prompt, str):
        return tokenizer.bos_token + prompt.prompt
    return str(tokenizer.apply_chat_template(prompt.prompt, tokenize=False, add_generation_prompt=True))


def main() -> None:
    """Train, report the accuracy on held-out prompts, and save."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--output", type=Path, default=RECALL)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    model, tokenizer = train(options.seed, options.steps)
    for chat in (False, True):
        prompts = facts.sample_fact_prompts(500, facts=4, seed=10**6 + options.seed, chat=chat)
        logger.info("%s: %.2f %% right", "chat" if chat else "plain", 100 * accuracy(model, tokenizer, prompts))
    model.save_pretrained(options.output)
    tokenizer.save_pretrained(options.output)


if __name__ == "__main__":
    main()
