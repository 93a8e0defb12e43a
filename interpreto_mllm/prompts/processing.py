"""What the library needs from a processor, found through the interfaces of the processor and the model."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from interpreto_mllm.chats.tools import with_arguments_as_text
from interpreto_mllm.media.encoded import Encoded
from interpreto_mllm.media.read_video import Sampler
from interpreto_mllm.media.state import State, tensors_of
from interpreto_mllm.prompts.frame_sampling import FrameSampling
from interpreto_mllm.prompts.media_readers import PLACEHOLDERS, SOFT_IDS, fewest_frames, reads, video_arguments

TYPES = ("mm_token_type_ids", "token_type_ids")
"""Names of the tensors that hold a number per token beside its id."""

Tensors = dict[str, Shaped[Tensor, "..."]]

NO_FIELDS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Processing:
    """A tokenizer, a processor, an image processor or a feature extractor, as one thing.

    Args:
        processor: as the user gave it.
        model: whose config names the ids that stand for images and audio.
        side_by_side: whether the model reads a text and an image that has no place in it.
    """

    processor: Any
    model: Any
    side_by_side: bool = False
    _holders: dict[str, str] = field(default_factory=dict)

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer, None for a processor without text."""
        if callable(getattr(self.processor, "convert_ids_to_tokens", None)):
            return self.processor
        return getattr(self.processor, "tokenizer", None)

    @cached_property
    def modalities(self) -> tuple[str, ...]:
        """The modalities besides text: some of "image", "audio" and "video", or none."""
        kinds = {reads(reader) for reader in self.media_readers} - {"video"}
        return (*(kind for kind in ("image", "audio") if kind in kinds), *(("video",) if self.video_processor else ()))

    @cached_property
    def video_processor(self) -> Any:
        """What makes tensors of the frames of videos, None for a processor without, or without a placeholder for them."""
        return getattr(self.processor, "video_processor", None) if self._written("video") else None

    @cached_property
    def fewest_frames(self) -> int:
        """How many frames a video has to have for this processor."""
        return fewest_frames(self.processor, self.placeholder("video"))

    @cached_property
    def sample(self) -> Sampler | None:
        """Chooses the frames of a video file that the model is shown; None if it is shown none."""
        return None if self.video_processor is None else FrameSampling(self.video_processor)

    @cached_property
    def media_readers(self) -> tuple[Any, ...]:
        """The processors of images and videos, and feature extractors."""
        parts = (self.processor, *getattr(self.processor, "__dict__", {}).values())
        return tuple(part for part in parts if reads(part) is not None)

    @cached_property
    def reads_text(self) -> bool:
        """Whether prompts may hold text. A model of images or audio without placeholder tokens takes no text."""
        return self.tokenizer is not None and (bool(self.soft_ids) or not self.modalities or self.side_by_side)

    @cached_property
    def needs_image(self) -> bool:
        """Whether the model reads no text without an image."""
        if self.model is None:
            return False
        pixels = inspect.signature(self.model.forward).parameters.get("pixel_values")
        return self.side_by_side or (pixels is not None and pixels.default is pixels.empty)

    @cached_property
    def templater(self) -> Any:
        """The processor or its tokenizer, whichever has a chat template; None if neither has one."""
        return next((one for one in (self.processor, self.tokenizer) if getattr(one, "chat_template", None)), None)

    @cached_property
    def takes_parts(self) -> bool:
        """Whether the chat template wants the contents of messages as lists of parts rather than as texts."""
        if self.templater is self.tokenizer and not self.modalities:
            return False
        try:
            probe = self.chat([{"role": "user", "content": [{"type": "text", "text": "\u2983"}]}])
        except Exception:  # a template fails in its own ways on what it does not expect
            return False
        return "\u2983" in probe and "'type'" not in probe

    def chat(
        self, messages: list[dict[str, Any]], generation_prompt: bool = True, fields: Mapping[str, Any] = NO_FIELDS
    ) -> str:
        """The messages as one text, with what comes before the model's answer or without.

        Args:
            messages: as the template takes them.
            generation_prompt: whether what comes before the answer is written; not where a message is continued.
            fields: what else `apply_chat_template` is given: tools, documents, arguments of the template.

        Raises:
            ValueError: when the template refuses them.
        """
        ended = generation_prompt and not fields.get("continue_final_message")
        try:
            return str(self.templater.apply_chat_template(messages, tokenize=False, add_generation_prompt=ended, **fields))
        except Exception as error:  # a template fails in its own ways on what it does not expect
            if (texts := with_arguments_as_text(messages)) == messages:
                raise ValueError(f"The chat template cannot write this chat: {error}") from error
        return self.chat(texts, generation_prompt, fields)

    @cached_property
    def rate(self) -> int | None:
        """Samples per second of its clips, None if it takes no audio."""
        parts = (self.processor, *getattr(self.processor, "__dict__", {}).values())
        rates = [getattr(part, "sampling_rate", None) for part in parts]
        return next((rate for rate in rates if isinstance(rate, int)), None)

    @cached_property
    def soft_ids(self) -> dict[str, int]:
        """For each modality the id whose embeddings an encoder fills in."""
        found = {}
        for modality, names in SOFT_IDS.items():
            values = [getattr(getattr(self.model, "config", None), name, None) for name in names]
            known = [value for value in values if isinstance(value, int)]
            if known:
                found[modality] = known[0]
        if "image" in found and self.video_processor is not None:
            found.setdefault("video", found["image"])  # its frames are images to the model
        return found

    def placeholder(self, modality: str, text: str = "", count: int = 1) -> str:
        """What stands for an image or a clip in a text: of the candidates, the one that is there `count` times.

        Raises:
            ValueError: when none is; the message says what to write.
        """
        known = self._written(modality)
        if not known:
            raise ValueError(f"{type(self.processor).__name__} names no token that stands for {modality} in a text.")
        if not text:
            return self._holders.get(modality, known[0])
        found = next((candidate for candidate in known if text.count(candidate) == count), None)
        if found is None:
            raise ValueError(
                f"The prompt comes with {count} {modality} part(s), but the text has {text.count(known[-1])} placeholders "
                f"{known[-1]!r} for them: write one where each belongs."
            )
        self._holders[modality] = found
        return found

    def placeholders(self, text: str, kinds: Sequence[str]) -> list[str]:
        """What stands for each of these images and clips in a text; none where they have no place in it.

        Raises:
            ValueError: when they do not fit the text, or the model.
        """
        if self.side_by_side:
            if len(kinds) != 1:
                raise ValueError(f"This model reads one image beside a text; the prompt has {len(kinds)}.")
            return []
        if list(kinds) == ["image"] and self.places_images:
            written = next((token for token in self._written("image") if token in text), None)
            if written is None:
                return []
            if self._doubles_images:
                name = type(self.processor).__name__
                raise ValueError(f"{name} puts the tokens of an image before the text by itself: leave {written!r} out of it.")
        return [self.placeholder(kind, text, kinds.count(kind)) for kind in kinds]

    @cached_property
    def places_images(self) -> bool:
        """Whether the processor itself puts an image's tokens into a text without a place for it; tried on a blank one."""
        return self.reads_text and self._soft_tokens("a") > 0

    @cached_property
    def _doubles_images(self) -> bool:
        """Whether it does so beside a placeholder too."""
        return self.places_images and self._soft_tokens(f"{self.placeholder('image')}a") != self._soft_tokens("a")

    def _soft_tokens(self, text: str) -> int:
        """How many tokens of a text with a blank image stand for that; 0 where the processor refuses it."""
        from PIL import Image

        try:
            ids = self.processor(text=[text], images=[Image.new("RGB", (32, 32))], return_tensors="pt")["input_ids"]
        except Exception:  # a processor may refuse a text without a placeholder in any way it likes
            return 0
        return int((ids == self.soft_ids.get("image", -1)).sum())

    def _written(self, modality: str) -> list[str]:
        """What the processor says that stands for an image or a clip in a text, likeliest first."""
        named = [getattr(self.processor, name, None) for name in PLACEHOLDERS[modality]]
        contents = [getattr(one, "content", one) for one in named]  # some are given as `AddedToken`
        return [content for content in contents if isinstance(content, str)]

    def stands(self, modality: str) -> set[int]:
        """Ids of the tokens that stand for an image or a clip, before the processor has seen them and after."""
        ids = [self.tokenizer.convert_tokens_to_ids(token) for token in self._written(modality)]
        return {*ids, self.soft_ids.get(modality, -1)} - {self.tokenizer.unk_token_id, None}

    def __call__(
        self, texts: Sequence[str] | None, rows: Sequence[Sequence[State]], special: bool | None = False, tells: bool = False
    ) -> Tensors:
        """The model inputs for several rows of text, each with images, clips and videos in some state.

        Args:
            texts: None for a model without text.
            rows: the images, clips and videos of each.
            special: whether the tokenizer adds its special tokens; as the processor wants it for None.
            tells: whether it is asked where tokens and replaced placeholders are in the text, which some do not say.
        """
        rendered = [[(state.medium.modality, state.rendered) for state in row] for row in rows]
        images = [[item for modality, item in row if modality == "image" and item is not None] for row in rendered]
        clips = [item for row in rendered for modality, item in row if modality == "audio" and item is not None]
        arguments: dict[str, Any] = {"return_tensors": "pt"}
        if clips:
            arguments |= {"sampling_rate": self.rate}
        if texts is None:
            given = clips if clips else [image for row in images for image in row]
            return dict(self.processor(given, **arguments))
        if clips:
            arguments["audio"] = clips
        if any(images):
            arguments["images"] = images
        videos = [item for row in rendered for modality, item in row if modality == "video" and item is not None]
        arguments |= video_arguments(videos, self.fewest_frames if videos else 1)
        if tells and self.tokenizer.is_fast:
            arguments |= {"return_offsets_mapping": True, "return_text_replacement_offsets": True}
        if special is not None:
            arguments["add_special_tokens"] = special
        made = dict(self.processor(text=list(texts), **arguments))
        made.pop("labels", None)
        return made

    def types(self, given: Tensors) -> Int[Tensor, "b l"] | None:
        """Of what the processor gave, the numbers that tell tokens of one kind from those of another, if there are any."""
        return next((given[name] for name in TYPES if name in given), None)

    def bare(self, rows: Sequence[Sequence[State]]) -> Tensors:
        """The model inputs for rows of nothing but images and clips, each behind its placeholder."""
        if ready := _ready(rows):
            return _joined([{**medium.around, **tensors} for medium, tensors in ready])
        known = [tensors for tensors in map(tensors_of, rows) if tensors is not None]
        if len(known) == len(rows):
            return _joined(known)
        if self.side_by_side:
            return dict(self.processor(images=[state.rendered for row in rows for state in row], return_tensors="pt"))
        if not self.reads_text:
            return self(None, rows)
        if "image" in self.modalities and self._doubles_images:
            return self([""] * len(rows), rows)
        return self(["".join(self.placeholder(state.medium.modality) for state in row) for row in rows], rows)

    def media(self, rows: Sequence[Sequence[State]]) -> Tensors:
        """The model inputs that hold the images and clips of these rows, on the model's device and of its kind of number."""
        ready = _ready(rows)
        given = _joined([tensors for _, tensors in ready]) if ready else self.bare(rows)
        return {name: self.moved(tensor) for name, tensor in given.items() if name not in self.of_tokens}

    @property
    def of_tokens(self) -> set[str]:
        """Names of the tensors with a number per token."""
        return {"input_ids", "attention_mask", *TYPES} if self.reads_text else set()

    def moved(self, tensor: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
        """A tensor on the model's device, in its precision where it holds fractions."""
        is_content = tensor.is_floating_point() and tensor.ndim > 1  # others are numbers such as the seconds between frames
        return tensor.to(self.model.device, self.model.dtype if is_content else tensor.dtype)


def _ready(rows: Sequence[Sequence[State]]) -> list[tuple[Encoded, Tensors]]:
    """Those images and clips of these rows that come from ready encodings, and what is left of them."""
    states = [state for row in rows for state in row]
    return [(state.medium, state.rendered) for state in states if isinstance(state.medium, Encoded)]


def _joined(each: Sequence[Tensors]) -> Tensors:
    """The tensors of several rows, one after the other."""
    names = dict.fromkeys(name for tensors in each for name in tensors)
    return {name: torch.cat([tensors[name] for tensors in each if name in tensors]) for name in names}
