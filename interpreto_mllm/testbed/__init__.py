"""Tiny trained models whose answers have known causes, and the prompts that show them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from interpreto_mllm.core.renamed import renamed
from interpreto_mllm.testbed.chains import ChainPrompt, sample_chain_prompts
from interpreto_mllm.testbed.facts import FactPrompt, Word, sample_fact_prompts
from interpreto_mllm.testbed.injections import CALLS, InjectionPrompt, sample_injections
from interpreto_mllm.testbed.question import PlantedQuestion
from interpreto_mllm.testbed.shapes import ScenePrompt, sample_scene_prompts
from interpreto_mllm.testbed.sounds import ClipPrompt, sample_clip_prompts
from interpreto_mllm.testbed.videos import VideoPrompt, sample_video_prompts

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast, ProcessorMixin

__all__ = [
    "HEARING",
    "RECALL",
    "SIGHT",
    "THOUGHTS",
    "WATCHING",
    "ChainPrompt",
    "ClipPrompt",
    "FactPrompt",
    "InjectionPrompt",
    "PlantedQuestion",
    "ScenePrompt",
    "VideoPrompt",
    "Word",
    "load_caller",
    "load_hearing",
    "load_recall",
    "load_sight",
    "load_thoughts",
    "load_watching",
    "sample_chain_prompts",
    "sample_clip_prompts",
    "sample_fact_prompts",
    "sample_injections",
    "sample_scene_prompts",
    "sample_video_prompts",
]

FOLDER = Path(__file__).parent
RECALL, SIGHT, HEARING, THOUGHTS, WATCHING = (FOLDER / name for name in ("recall", "sight", "hearing", "thoughts", "watching"))
"""The folders of the shipped models, as written by `save_pretrained`."""


def load_recall() -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """The shipped language model, in evaluation mode and fp32, and its tokenizer. Nothing is downloaded.

    It answers questions about facts in its prompt, as plain text or as a chat, and is trained so that without the fact, or
    without the object asked for, every attribute is about equally likely.

    Example:
        >>> model, tokenizer = load_recall()
        >>> prompt = tokenizer("the apple is red . the sky is blue . what is the apple ?", return_tensors="pt")
        >>> tokenizer.decode(model.generate(**prompt)[0, prompt["input_ids"].shape[1]:], skip_special_tokens=True)
        'red'
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return _load(AutoModelForCausalLM, RECALL), AutoTokenizer.from_pretrained(RECALL, local_files_only=True)


def load_caller() -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """`load_recall` with a chat template of tools: it reads their results, and calls `paint(colour=...)`.

    The template writes the call as its argument. Where the user and the result of a tool say different colours of one thing,
    the model follows one of the two.

    Example:
        >>> model, tokenizer = load_caller()
        >>> call = {"type": "function", "function": {"name": "paint", "arguments": {"colour": "red"}}}
        >>> print(tokenizer.apply_chat_template([{"role": "assistant", "tool_calls": [call]}], tokenize=False))
        <bos><|assistant|>
        red<|end|>
    """
    model, tokenizer = load_recall()
    tokenizer.chat_template = CALLS
    return model, tokenizer


def load_thoughts() -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """The shipped language model that thinks before it answers, in evaluation mode and fp32, and its tokenizer.

    It is told the colours of things and which thing is like which other, and asked for a colour. In its thoughts it goes from
    the thing asked about to the one whose colour is stated, a sentence each, and then it answers with the colour that the last
    thought names. It is trained so that a thing or a colour that is not stated is thought of as any, and that without the last
    thought every colour is about equally likely, whatever the prompt says.

    Example:
        >>> model, tokenizer = load_thoughts()
        >>> chat = [{"role": "user", "content": "the sky is like the hat . the hat is red . what colour is the sky ?"}]
        >>> prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        >>> tokenizer.decode(model.generate(**prompt)[0, prompt["input_ids"].shape[1]:], skip_special_tokens=True)
        '<think> the sky is like the hat . the hat is red . </think> red'
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return _load(AutoModelForCausalLM, THOUGHTS), AutoTokenizer.from_pretrained(THOUGHTS, local_files_only=True)


def load_sight() -> tuple[PreTrainedModel, ProcessorMixin]:
    """The shipped vision-language model, in evaluation mode and fp32, and its processor. Nothing is downloaded.

    It answers questions about the colour, the shape, the row, the column and the presence of coloured shapes in a picture. It
    is trained so that without the shape asked about, or its name, every answer of the kind is about equally likely, and
    without the word for the kind every answer of any kind; where there is no such shape to be seen, none is present.

    Example:
        >>> model, processor = load_sight()
        >>> [prompt] = sample_scene_prompts(1, asks="colour", seed=1)
        >>> inputs = processor(text=prompt.text, images=prompt.image, return_tensors="pt")
        >>> said = processor.decode(model.generate(**inputs)[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True)
        >>> said == prompt.answer
        True
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor

    return _load(AutoModelForImageTextToText, SIGHT), AutoProcessor.from_pretrained(SIGHT, local_files_only=True)


def load_hearing() -> tuple[PreTrainedModel, ProcessorMixin]:
    """The shipped audio-language model, in evaluation mode and fp32, and its processor. Nothing is downloaded.

    It answers questions about the order and the presence of short sounds in a clip of two seconds. It answers from the sounds
    that it hears: with the first sound silenced, the second comes first. It is trained so that
    every sound is about equally likely when a sound or its name is missing, and every answer when the word for the kind of
    answer is missing. Plain questions need their final mark: without it some are not answered.

    Example:
        >>> model, processor = load_hearing()
        >>> [prompt] = sample_clip_prompts(1, asks="first", seed=1)
        >>> inputs = processor(text=prompt.text, audio=prompt.audio, sampling_rate=16_000, return_tensors="pt")
        >>> said = processor.decode(model.generate(**inputs)[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True)
        >>> said == prompt.answer
        True
    """
    from transformers import AutoModelForMultimodalLM, AutoProcessor

    return _load(AutoModelForMultimodalLM, HEARING), AutoProcessor.from_pretrained(HEARING, local_files_only=True)


def load_watching() -> tuple[PreTrainedModel, ProcessorMixin]:
    """The shipped video-language model, in evaluation mode and fp32, and its processor. Nothing is downloaded.

    It answers questions about the order of coloured shapes in a video of two to six frames: what came first or last, or after
    another. It is trained so that where a frame that holds the answer or what is named is blank, or a word that matters is
    missing, every answer of the kind is about equally likely, and without the word for the kind every answer of any kind.

    Example:
        >>> model, processor = load_watching()
        >>> [prompt] = sample_video_prompts(1, frames=4, order="after", seed=1)
        >>> inputs = processor(text=prompt.text, videos=[prompt.frames], return_tensors="pt")
        >>> said = processor.decode(model.generate(**inputs)[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True)
        >>> said == prompt.answer
        True
    """
    from transformers import AutoModelForImageTextToText

    from interpreto_mllm.testbed.frame_processor import FrameProcessor

    processor = FrameProcessor.from_pretrained(WATCHING, local_files_only=True)
    return _load(AutoModelForImageTextToText, WATCHING), processor


def _load(kind: Any, folder: Path) -> Any:
    import torch

    return kind.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()


def __getattr__(name: str) -> type:
    """The class under the name it had before."""
    return renamed({"Question": PlantedQuestion}, __name__, name)
