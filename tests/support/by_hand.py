"""The slow and obvious way to the value of a coalition: from the processor and the raw model alone, one forward each.

Nothing here uses the library: pictures are painted, clips silenced, chats rendered and processed, and the tokens of absent
words deleted by what the processor says about where they lie.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from support.family_parts import RATE, Family

Box = tuple[int, int, int, int]
Span = tuple[int, int]

PER_TOKEN = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")
ANSWER_TYPE = {"paligemma": 1}
"""By family, the type of an answer's tokens where it is not 0; `test_families.py` holds the families to it.

Given no types, PaliGemma reads everything in both directions, so that an answer would see its own end.
"""
BEGINS = {"paligemma": "<bos>"}
"""By family, what its processor writes between the images and the text."""


def words_of(text: str) -> list[Span]:
    """Words, and signs of punctuation by themselves, each with the space before it."""
    return [match.span() for match in re.finditer(r"\s*(?:\w+|[^\w\s])", text)]


def painted(image: Image.Image, boxes: Sequence[Box]) -> Image.Image:
    """The image with these boxes in its mean colour."""
    mean = tuple(round(float(channel)) for channel in np.asarray(image).reshape(-1, 3).mean(0))
    copy = image.copy()
    for box in boxes:
        copy.paste(mean, box)
    return copy


def silenced(clip: np.ndarray, spans: Sequence[tuple[float, float]]) -> np.ndarray:
    """The clip without a sound between these seconds."""
    copy = clip.copy()
    for start, end in spans:
        copy[round(start * RATE) : round(end * RATE)] = 0
    return copy


def cut_video(video: dict[str, Any], absent: Sequence[Span], times: str) -> dict[str, Any]:
    """The video without the frames in these seconds, its gaps closed or the times of the others kept."""
    count, fps = len(video["frames"]), video["fps"]
    kept = [n for n in range(count) if not any(start <= n / fps < end for start, end in absent)]
    indices, total = (kept, count) if times == "kept" else ([*range(len(kept))], len(kept))
    if len(kept) == 1:  # Qwen3-VL's processor takes pairs, and repeats the last frame of any other odd number
        kept, indices = kept * 2, indices * 2
    return {**video, "frames": video["frames"][kept], "indices": indices, "total": total}


def painted_video(video: dict[str, Any], pieces: Sequence[tuple[Span, Box | None]]) -> dict[str, Any]:
    """The video with these seconds, or boxes in these seconds, in its mean colour."""
    frames = video["frames"].copy()
    mean = frames.reshape(-1, 3).mean(0).round()
    for (start, end), box in pieces:
        left, top, right, bottom = box or (0, 0, frames.shape[2], frames.shape[1])
        for number in range(len(frames)):
            if start <= number / video["fps"] < end:
                frames[number, top:bottom, left:right] = mean
    return {**video, "frames": frames}


def video_arguments(videos: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What a processor is given for videos of which all frames are there."""
    if not videos:
        return {}
    told = [
        {
            "total_num_frames": video.get("total", len(video["frames"])),
            "fps": video["fps"],
            "duration": video.get("total", len(video["frames"])) / video["fps"],
            "frames_indices": [*video.get("indices", range(len(video["frames"])))],
        }
        for video in videos
    ]
    return {
        "videos": [video["frames"] for video in videos],
        "videos_kwargs": {"video_metadata": told, "do_sample_frames": False},
    }


def parts(messages: list[dict], kind: str) -> list[Any]:
    """The contents of all parts of one type."""
    contents = [part for message in messages for part in message["content"]]
    return [part[kind] for part in contents if part["type"] == kind]


def processed(
    subject: Family,
    text: str,
    images: Sequence[Any] = (),
    clips: Sequence[Any] = (),
    videos: Sequence[Any] = (),
    **options: Any,
) -> dict:
    """The processor's encoding of one text with its images, clips and videos."""
    given: dict[str, Any] = {"images": [list(images)]} if images else {}
    given |= video_arguments(videos)
    if clips:
        given |= {"audio": list(clips), "sampling_rate": RATE}
    reads = subject.processor if given else subject.processor.tokenizer
    encoding = dict(reads(text=[text], return_tensors="pt", **given, **options))
    encoding.pop("labels", None)
    return encoding


def rendered(subject: Family, messages: list[dict]) -> str:
    """The chat as text, up to where the answer begins."""
    return subject.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


def without_words(subject: Family, messages: list[dict], absent: Sequence[tuple[str, Span]]) -> dict:
    """The encoding of a chat less the tokens of words, given by the text of a part and where they lie in it.

    A stretch of white space takes along the tokens within it, a word those that it shares a character with.
    Where nothing at all is left, it is the token that begins texts.
    """
    text, media = rendered(subject, messages), [parts(messages, kind) for kind in ("image", "audio", "video")]
    told = {"return_offsets_mapping": True} | ({"return_text_replacement_offsets": True} if any(media) else {})
    encoding = processed(subject, text, *media, **told)
    replaced = encoding.pop("text_replacement_offsets", [_replaced(subject, text)])[0]
    gone, blank = [], []
    for said, (begin, end) in absent:
        start = text.index(said)
        grown = sum(len(item["replacement"]) - len(item["text"]) for item in replaced if item["span"][0] < start)
        after = bool(replaced) and replaced[-1]["span"][0] < start
        start += grown + (len(BEGINS.get(subject.name, "")) if after else 0)
        (blank if said[begin:end].isspace() else gone).append((start + begin, start + end))
    offsets = encoding.pop("offset_mapping")[0].tolist()
    kept = [
        not any(low < end and begin < high for begin, end in gone)
        and not any(begin <= low < high <= end for begin, end in blank)
        for low, high in offsets
    ]
    if not any(kept):
        return {"input_ids": torch.tensor([[subject.processor.tokenizer.bos_token_id]]), "attention_mask": torch.ones(1, 1)}
    return {name: tensor[:, kept] if name in PER_TOKEN else tensor for name, tensor in encoding.items()}


def _replaced(subject: Family, text: str) -> list[dict]:
    """What took the places of placeholders, for a processor that does not tell: Idefics 2's, with a space before a word."""
    if subject.name != "idefics2":
        return []
    fake = "<fake_token_around_image>"
    start = text.index("<image>")
    return [{"text": "<image>", "replacement": f"{fake}{'<image>' * 4}{fake} ", "span": (start, start + 7)}]


def left(messages: list[dict], features: Sequence[Any], coalition: Sequence[bool], roles: Sequence[str]) -> tuple[list, list]:
    """The chat with its media as they are without absent features, and the words to delete from what is said in it."""
    absent = [feature for feature, there in zip(features, coalition, strict=True) if not there]
    words = [
        (part["text"], span)
        for message in messages
        if message["role"] in roles
        for part in message["content"]
        if part["type"] == "text"
        for span in words_of(part["text"])
    ]
    written = [feature for feature in features if feature.modality == "text"]
    assert [feature.text for feature in written] == [said[slice(*span)].strip() for said, span in words]
    occluded, medium = [], 0
    for message in messages:
        content = []
        for part in message["content"]:
            mine = [feature for feature in absent if any(index == medium for index, _ in feature.pieces)]
            if part["type"] == "image":
                part = {**part, "image": painted(part["image"], [feature.box for feature in mine])}
            elif part["type"] == "audio":
                part = {**part, "audio": silenced(part["audio"], [feature.time for feature in mine])}
            elif part["type"] == "video":
                part = {**part, "video": painted_video(part["video"], [(feature.time, feature.box) for feature in mine])}
            medium += part["type"] != "text"
            content.append(part)
        occluded.append({**message, "content": content})
    gone = [word for word, feature in zip(words, written, strict=True) if feature in absent]
    there = [word for word, feature in zip(words, written, strict=True) if feature not in absent]
    first = dict(reversed(there))
    leading = [(said, (start, start + _blank(said[start:end]))) for said, (start, end) in first.items() if start]
    return occluded, gone + [(said, span) for said, span in leading if span[1] > span[0]]


def _blank(text: str) -> int:
    """How many characters of white space a text begins with."""
    return len(text) - len(text.lstrip())


def value(
    subject: Family,
    messages: list[dict],
    features: Sequence[Any],
    coalition: Sequence[bool],
    answer: str,
    roles: Sequence[str] = ("user",),
) -> torch.Tensor:
    """What a coalition is worth: log-probabilities of the answer's tokens."""
    return answered(subject, without_words(subject, *left(messages, features, coalition, roles)), ids_of(subject, answer))


def answered(subject: Family, encoding: dict, answer: Sequence[int], **options: Any) -> torch.Tensor:
    """Log-probabilities of the answer's tokens after a prompt, by one plain forward."""
    longer = extended(subject, encoding, answer[:-1])
    with torch.no_grad():
        logits = subject.model(**longer, **options).logits[0, -len(answer) :]
    return logits.log_softmax(-1)[range(len(answer)), list(answer)].double()


def extended(subject: Family, encoding: dict, answer: Sequence[int]) -> dict:
    """The encoding of a prompt with an answer after it."""
    longer, tail = dict(encoding), torch.tensor([answer], dtype=torch.int64)
    if subject.name in ANSWER_TYPE:
        encoding = {"token_type_ids": torch.zeros_like(encoding["input_ids"]), **encoding}
    longer["input_ids"] = torch.cat([encoding["input_ids"], tail], 1)
    longer["attention_mask"] = torch.cat([encoding["attention_mask"], torch.ones_like(tail)], 1)
    for name in ("token_type_ids", "mm_token_type_ids"):
        if name in encoding:
            kind = ANSWER_TYPE.get(subject.name, 0)
            longer[name] = torch.cat([encoding[name], torch.full_like(tail, kind)], 1)
    return longer


def ids_of(subject: Family, answer: str) -> list[int]:
    """The answer's tokens by themselves."""
    return subject.processor.tokenizer(answer, add_special_tokens=False)["input_ids"]


def generated(subject: Family, messages: list[dict]) -> tuple[dict, list[int]]:
    """A chat as its processor encodes it, and what the model's own `generate` answers, without special tokens at the end."""
    media = [parts(messages, kind) for kind in ("image", "audio", "video")]
    encoding = processed(subject, rendered(subject, messages), *media)
    length = encoding["input_ids"].shape[1]
    said = subject.model.generate(**encoding, max_new_tokens=4, do_sample=False)[0, length:].tolist()
    special = subject.processor.tokenizer.all_special_ids
    said = said[: 1 + max(index for index, token in enumerate(said) if token not in special)]
    return encoding, said
