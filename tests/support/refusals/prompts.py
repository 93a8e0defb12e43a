"""Prompts and targets that are refused."""

from __future__ import annotations

import copy
from typing import Any

import torch
import transformers as hf
from support import zoo
from support.refusals.row import CHAT, SKY, Row, bpe, classify, explain, llama

from interpreto_mllm import Contrast, Drop, KernelShap, Replace, Template

ASSISTANT = {"role": "assistant", "content": "x"}
TEMPLATE: dict[str, Any] = {"values": {"a": "x"}, "baselines": {"a": "y"}}


def dynamic() -> Any:
    config = copy.deepcopy(llama().config)
    config.rope_parameters = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}
    return hf.LlamaForCausalLM(config)


PROMPTS = [
    Row("an empty prompt", lambda: explain(""), "The prompt is empty"),
    Row("a prompt of white space", lambda: explain(" \n\t"), "The prompt is empty"),
    Row("an empty list of prompts", lambda: explain([]), "There are no inputs: the list is empty."),
    Row("an empty prompt in a list", lambda: explain([SKY, ""]), "inputs[1]: The prompt is empty"),
    Row("a long prompt in a list", lambda: explain([SKY, SKY * 80]), "inputs[1]: The prompt has"),
    Row("a number, `None` or bytes as a prompt", lambda: explain(7), "Cannot explain an input of type int", TypeError),
    Row("a prompt beyond the context", lambda: explain(SKY * 80), "shorten it (nothing is truncated)"),
    Row("a million characters", lambda: explain("a b " * 250_000), "The prompt has 1,000,000 characters; the first"),
    Row("half of a surrogate pair", lambda: explain("the \ud83d sky"), "The prompt holds half of a character, '\\ud83d' at 4"),
    Row("the same in a target", lambda: explain(SKY, " \ud83d"), "The target holds half of a character"),
    Row("a chat without a chat template", lambda: classify(CHAT), "This tokenizer has no chat template"),
    Row("a message without content", lambda: explain([{"role": "user"}]), "Message 0 needs a text under 'content'"),
    Row("a message with another kind of content", lambda: explain([{"role": "user", "content": 7}]), "list of parts; got 7"),
    Row("a message with an empty text", lambda: explain([{"role": "user", "content": ""}]), "there is nothing to explain"),
    Row(
        "no message whose role is explained",
        lambda: explain([{"role": "system", "content": "a"}]),
        "No message has a role to explain",
    ),
    Row("a misspelt role", lambda: explain(CHAT, roles=("user", "asistant")), "roles names 'asistant', which no message has"),
    Row(
        "a chat that ends with the assistant, no target",
        lambda: explain([*CHAT, ASSISTANT], None),
        "ends with an assistant message",
    ),
    Row("an encoding without ids", lambda: explain({"attention_mask": [1]}), "An encoding needs 'input_ids'"),
    Row(
        "an encoding of padding only",
        lambda: explain({"input_ids": [[5, 6]], "attention_mask": [[0, 0]]}),
        "Row 0 of the encoding is empty",
    ),
    Row("ids that the model does not have", lambda: explain({"input_ids": [40, 600]}), "The prompt has token id 600"),
    Row(
        "ids of three dimensions",
        lambda: explain({"input_ids": torch.ones(1, 2, 3)}),
        "'input_ids' of the encoding has the shape",
    ),
    Row(
        "a mask of another length",
        lambda: explain({"input_ids": [[5, 6]], "attention_mask": [[1]]}),
        "has 2 ids and 1 entries of 'attention_mask'",
    ),
    Row(
        "an encoding with pictures for a text model",
        lambda: explain({"input_ids": [5], "pixel_values": torch.ones(1, 3, 2, 2)}),
        "give the model's processor as the second argument",
    ),
    Row(
        "positions for a model that takes none",
        lambda: KernelShap(zoo.build("mamba"), bpe())({"input_ids": [40, 41], "position_ids": [3, 9]}, " x"),
        "takes no positions, but the encoding has some of its own",
    ),
    Row(
        "positions beyond the model's",
        lambda: explain({"input_ids": [40, 41], "position_ids": [3, 256]}),
        "positions go up to 256; those of the model lie in [0, 256)",
    ),
    Row(
        "negative positions",
        lambda: explain({"input_ids": [40, 41], "position_ids": [-1, 0]}),
        "has the position -1: positions count from 0",
    ),
    Row(
        "positions for a model whose RoPE changes with the highest one",
        lambda: KernelShap(dynamic(), bpe())({"input_ids": [40, 41], "position_ids": [3, 9]}, " x"),
        "changes how it reads all positions by the highest one in a batch",
    ),
    Row(
        "positions and a replacement of several tokens",
        lambda: explain({"input_ids": [40, 41], "position_ids": [3, 9]}, occlusion=Replace("blue sky")),
        "the positions of the encoding have no room",
    ),
    Row("a template without slots", lambda: Template("a", {}, {}), "has no slots; write them in braces"),
    Row("a template slot without a name", lambda: Template("{} a", **TEMPLATE), "a slot has a name, such as {name}"),
    Row("a numbered template slot", lambda: Template("{0} a", **TEMPLATE), "a slot has a name, such as {name}"),
    Row("an attribute in a template slot", lambda: Template("{a.b}", **TEMPLATE), "a slot has a name, such as {name}"),
    Row("an open brace in a template", lambda: Template("{a", **TEMPLATE), "write {{ and }} for braces"),
    Row("a format that does not fit the value", lambda: Template("{a:d}", **TEMPLATE), "cannot be written as '{a:d}'"),
    Row(
        "a list as a template value",
        lambda: Template("{a}", {"a": ["x"]}, {"a": "y"}),
        "is a text or a number; got ['x']",
        TypeError,
    ),
    Row(
        "a template without values for all slots",
        lambda: Template("{a} {b}", **TEMPLATE),
        "The template's slots are ['a', 'b'], but values has ['a']",
    ),
    Row("a template without baselines", lambda: Template("{a}", {"a": "x"}, []), "at least one baseline"),
    Row(
        "a slot with different values in two messages",
        lambda: explain([{"role": "user", "content": Template("{a}", {"a": text}, {"a": "z"})} for text in "xy"]),
        "a slot of one name is one feature",
    ),
    Row("an empty target", lambda: explain(SKY, ""), "The target is empty"),
    Row("an empty list of targets", lambda: explain(SKY, []), "targets is empty"),
    Row("a tensor of no ids as a target", lambda: explain(SKY, torch.zeros(0, dtype=torch.int64)), "The target is empty"),
    Row(
        "a number or a mapping as a target of a language model",
        lambda: explain(SKY, 1.5),
        "A target of a language model is a text, token ids",
        TypeError,
    ),
    Row("target ids that the model does not have", lambda: explain(SKY, [3, 512]), "Target id 512 is out of range"),
    Row("a target beyond the context", lambda: explain(SKY, " blue" * 200), "shorten one of them (nothing is truncated)"),
    Row("two prompts and three targets", lambda: explain([SKY, SKY], [" a", " b", " c"]), "2 inputs but 3 targets"),
    Row("a contrast with nothing", lambda: explain(SKY, Contrast(" a", "")), "The target is empty"),
    Row("a class beyond the last", lambda: classify(SKY, 3), "Class 3 is out of range: the model has 3 classes"),
    Row("a negative class", lambda: classify(SKY, -1), "Class -1 is out of range"),
    Row("an unknown class name", lambda: classify(SKY, "joy"), "There is no class named 'joy'; the model's classes are"),
    Row("a class as a fraction", lambda: classify(SKY, 0.5), "A target of a classifier is a class index", TypeError),
    Row("spans for a chat", lambda: explain(CHAT, granularity=[(0, 2)]), "Explicit spans index into a plain prompt"),
    Row(
        "an encoding that is to be tokenised again",
        lambda: explain(dict(bpe()(SKY)), occlusion=Drop(retokenize=True)),
        "Drop(retokenize=True) writes the text",
    ),
]
