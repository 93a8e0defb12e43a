"""Asking the shipped models of pictures, clips and videos, one plain forward or generation for many prompts."""

from __future__ import annotations

from typing import Any

import torch

from interpreto_mllm.testbed import ClipPrompt, ScenePrompt, VideoPrompt


def medium_of(prompts: list[Any]) -> dict[str, Any]:
    """The pictures or clips as a processor takes them."""
    if isinstance(prompts[0], ScenePrompt):
        return {"images": [prompt.image for prompt in prompts]}
    if isinstance(prompts[0], VideoPrompt):
        return {"videos": [prompt.frames for prompt in prompts]}
    return {"audio": [prompt.audio for prompt in prompts], "sampling_rate": 16_000}


def rendered(processor: Any, prompt: ScenePrompt | ClipPrompt | VideoPrompt, chat: bool) -> str:
    """The text that the model sees, special tokens included."""
    if not chat:
        return f"<bos>{prompt.text}"
    return processor.apply_chat_template(prompt.messages, tokenize=False, add_generation_prompt=True)


@torch.no_grad()
def answers(model: Any, processor: Any, prompts: list[Any], chat: bool) -> list[str]:
    """What greedy generation says."""
    texts = [rendered(processor, prompt, chat) for prompt in prompts]
    inputs = processor(text=texts, **medium_of(prompts), add_special_tokens=False, padding=True, return_tensors="pt")
    said = model.generate(**inputs)[:, inputs["input_ids"].shape[1] :]
    return processor.batch_decode(said, skip_special_tokens=True)


@torch.no_grad()
def log_probs(model: Any, processor: Any, texts: list[str], answer: str, **media: Any) -> torch.Tensor:
    """log p(answer | text, medium), one for each text; pictures or clips are given one for each, too."""
    inputs = processor(
        text=[f"{text} {answer}" for text in texts], **media, add_special_tokens=False, padding=True, return_tensors="pt"
    )
    length = len(answer.split())
    logits = model(**inputs).logits[:, -length - 1 : -1].double().log_softmax(-1)
    return logits.gather(-1, inputs["input_ids"][:, -length:, None]).sum((1, 2))


def without_each_word(text: str, question: str) -> list[str]:
    """The text with one word of the question gone, for each of its words in turn."""
    words = question.split()
    start = text.index(question)
    gone = [" ".join(words[:place] + words[place + 1 :]) for place in range(len(words))]
    return [text[:start] + less + text[start + len(question) :] for less in gone]
