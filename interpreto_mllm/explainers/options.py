"""The options that all explainers share: their names, meanings, defaults and checks."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypedDict, get_args

import numpy as np
import torch

from interpreto_mllm.core.callbacks import Callback, check_callbacks
from interpreto_mllm.core.numbers import is_whole
from interpreto_mllm.core.shown import shown
from interpreto_mllm.engine.queries import Mode
from interpreto_mllm.evaluation.stopping import Rule, check_rule, check_trials
from interpreto_mllm.games.modes import InferenceModes, check_mode
from interpreto_mllm.media.audio_granularity import AudioGranularity, AudioSegmenter
from interpreto_mllm.media.audio_occlusion import AudioOcclusion
from interpreto_mllm.media.cuts import Cuts
from interpreto_mllm.media.image_granularity import ImageGranularity, ImageSegmenter
from interpreto_mllm.media.image_occlusion import ImageOcclusion
from interpreto_mllm.media.read_video import Sampler
from interpreto_mllm.media.video_granularity import VideoGranularity, VideoSegmenter
from interpreto_mllm.media.video_occlusion import VideoOcclusion
from interpreto_mllm.prompts.baseline import Baseline
from interpreto_mllm.prompts.filters import Pins
from interpreto_mllm.prompts.granularity import Granularity, Span, Splitter, check_granularity
from interpreto_mllm.prompts.occlusion import TextOcclusion
from interpreto_mllm.prompts.selection import Groups
from interpreto_mllm.similarity.response_similarity import ResponseSimilarity

Rows = Literal["tokens", "answer"]
"""What an answer has a row for: each of its tokens, or the whole."""


class Options(TypedDict, total=False):
    """Keyword arguments that every explainer and `explain` accept.

    Args:
        granularity: what a feature of a text is: a `Granularity` (words by default), a callable from a text to spans, or a
            list of spans of a plain prompt.
        inference_mode: what a coalition is worth: an `InferenceModes` (LOG_SOFTMAX by default), a `TopMass`, a
            `ResponseSimilarity`, or a callable from logits and target ids to values.
        occlusion: how an absent feature of a text disappears: `Drop()`, `Replace(...)` or `Attend()`. By default language
            models drop it, and classifiers replace it by the mask token where there is one.
        image_granularity: what a feature of an image is: `Patches(4, 4)` by default, `Superpixels`, `Boxes`, `Masks`,
            `WholeImage`, or a callable from pixels to masks.
        image_occlusion: how it disappears: `Fill("mean")` by default, `Blur`, `ReplaceImage` or `DropImage`.
        audio_granularity: what a feature of a clip is: `Windows(500)` by default, `SplitOnSilence`, `SpokenWords`, `WholeClip`,
            or a callable from samples and their rate to segments.
        audio_occlusion: how it disappears: `Mute()` by default, `WhiteNoise`, `MeanLevel` or `CutOut`.
        video_granularity: what a feature of a video is: `TimeSpans()` by default, eight of them, `Frames`, `Tubes`,
            `WholeVideo`, or a callable from frames and their seconds to pieces.
        video_occlusion: how it disappears: `Fill("mean")` by default, `Blur`, `ReplaceImage`, `Freeze` or `DropFrames`.
        budget: distinct evaluations per input, v(∅) and v(N) included, as an int or a fraction of 2^n; the method's own
            default when None. Of gradient methods: points per input.
        until: a rule that ends the sampling of an input early, such as `TopK(3)`; the budget is then the upper limit.
        num_trials: how often the sampling is repeated, from the seeds that follow, each time with the whole budget; the scores
            are the mean, and the spread is part of the standard errors. Once by default.
        batch_size: rows per forward pass at most, 32 by default; fewer where they are long or would be padded much.
        device: the device that the model is on; for another one, an error says how to move the model, which stays where it is.
        seed: of all randomness, 0 by default.
        rows: "tokens", a row for each token of an answer, by default; or "answer", a row for the whole answer, which is worth
            what `explanation.span()` says. The rows of tokens are kept: `explanation.tokens()`.
        roles: the chat roles whose messages are explained, `("user",)` by default.
        pinned: features that are always present and get no score: texts, indices, or a filter such as `punctuation`.
        groups: one label per feature, or a callable that returns them; features with equal labels form one player.
        generate: arguments of `model.generate` where the target is None; greedy decoding by default.
        share_prefixes: False runs one plain forward pass per row, the reference for the fast path.
        progress: show a progress bar when the call takes longer than a second; True by default.
        callbacks: objects derived from `Callback` that are told of each round, each batch and the end of a call.
        baseline: of gradient methods, what the embeddings of a text's features move from: "zero", "mean" (the default of
            paths), "pad", "mask", "random", a text, a token id, `Replace(...)`, `OtherPrompt(...)`, embeddings, or a list of
            these.
        layer: of gradient methods, the module at whose output gradients are taken, such as "model.layers.7"; the embedding of
            a text, and the numbers of images and clips, by default.
        whole_answer: of gradient methods, whether an answer has one row and one backward pass instead of one for each token.
        batched_rows: of gradient methods, whether the backward passes of all rows are made at once, in more memory.
        gradient_checkpointing: of gradient methods, whether inner states are computed twice instead of being kept; None, the
            default, for only where memory runs out.
    """

    granularity: Granularity | Splitter | list[Span]
    inference_mode: Mode | ResponseSimilarity
    occlusion: TextOcclusion | None
    image_granularity: ImageGranularity | ImageSegmenter | None
    image_occlusion: ImageOcclusion | None
    audio_granularity: AudioGranularity | AudioSegmenter | None
    audio_occlusion: AudioOcclusion | None
    video_granularity: VideoGranularity | VideoSegmenter | None
    video_occlusion: VideoOcclusion | ImageOcclusion | None
    budget: int | float | None
    until: Rule | None
    num_trials: int
    batch_size: int
    device: str | torch.device | None
    seed: int
    rows: Rows
    roles: Collection[str]
    pinned: Pins
    groups: Groups | None
    generate: Mapping[str, Any] | None
    share_prefixes: bool
    progress: bool
    callbacks: Sequence[Callback]
    baseline: Baseline | None
    layer: str | None
    whole_answer: bool
    batched_rows: bool
    gradient_checkpointing: bool | None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The options of one explainer, those that were not given at their defaults. What they mean is said in `Options`.

    Raises:
        TypeError, ValueError: for a value that cannot work; the message says what is accepted.
    """

    granularity: Granularity | Splitter | list[Span] = Granularity.WORD
    inference_mode: Mode | ResponseSimilarity = InferenceModes.LOG_SOFTMAX
    occlusion: TextOcclusion | None = None
    image_granularity: ImageGranularity | ImageSegmenter | None = None
    image_occlusion: ImageOcclusion | None = None
    audio_granularity: AudioGranularity | AudioSegmenter | None = None
    audio_occlusion: AudioOcclusion | None = None
    video_granularity: VideoGranularity | VideoSegmenter | None = None
    video_occlusion: VideoOcclusion | ImageOcclusion | None = None
    budget: int | float | None = None
    until: Rule | None = None
    num_trials: int = 1
    batch_size: int = 32
    device: str | torch.device | None = None
    seed: int = 0
    rows: Rows = "tokens"
    roles: Collection[str] = ("user",)
    pinned: Pins = ()
    groups: Groups | None = None
    generate: Mapping[str, Any] | None = None
    share_prefixes: bool = True
    progress: bool = True
    callbacks: Sequence[Callback] = ()
    baseline: Baseline | None = None
    layer: str | None = None
    whole_answer: bool = False
    batched_rows: bool = False
    gradient_checkpointing: bool | None = None

    def __post_init__(self) -> None:
        check_granularity(self.granularity)
        check_mode(self.inference_mode)
        check_rule(self.until)
        check_callbacks(self.callbacks)
        if not (self.occlusion is None or isinstance(self.occlusion, TextOcclusion)):
            raise ValueError(f"occlusion must be Drop(), Replace(...) or Attend(); got {shown(self.occlusion)}.")
        if not is_whole(self.batch_size) or self.batch_size < 1:
            raise ValueError(f"batch_size must be a positive int; got {shown(self.batch_size)}.")
        check_trials(self.num_trials, self.until)
        if (
            isinstance(self.roles, str)
            or not isinstance(self.roles, Collection)
            or not all(isinstance(r, str) for r in self.roles)
        ):
            raise ValueError(f"roles must be a collection of role names, such as ('user',); got {shown(self.roles)}.")
        if isinstance(self.pinned, (str, type)) or not (callable(self.pinned) or isinstance(self.pinned, Collection)):
            raise ValueError(
                f"pinned must be a list of texts or indices, or a filter such as punctuation; got {shown(self.pinned)}."
            )
        if self.rows not in get_args(Rows):
            raise ValueError(f"rows must be 'tokens' or 'answer'; got {shown(self.rows)}.")
        if not is_whole(self.seed):
            raise ValueError(f"seed must be an int; got {shown(self.seed)}.")
        for name, value in (("share_prefixes", self.share_prefixes), ("progress", self.progress)):
            if not isinstance(value, (bool, np.bool_)):
                raise ValueError(f"{name} must be True or False; got {shown(value)}.")
        if not (self.generate is None or isinstance(self.generate, Mapping)):
            raise ValueError(f"generate must be a mapping such as {{'max_new_tokens': 8}}; got {shown(self.generate)}.")
        if isinstance(self.groups, (type, str)):
            raise ValueError(f"groups must be a list of labels, or a callable that returns one; got {shown(self.groups)}.")
        self._plain()

    def _plain(self) -> None:
        """NumPy's numbers as Python's own, which files can hold."""
        for name in ("batch_size", "seed", "budget", "share_prefixes", "progress"):
            value = getattr(self, name)
            object.__setattr__(self, name, value.item() if isinstance(value, np.generic) else value)

    def cuts(self, rate: int | None, sample: Sampler | None = None) -> Cuts:
        """How images, clips and videos are cut and occluded, for a model that reads clips at this rate, and these frames."""
        of_video = {"video_granularity": self.video_granularity, "video_occlusion": self.video_occlusion, "sample": sample}
        images, audio = (self.image_granularity, self.image_occlusion), (self.audio_granularity, self.audio_occlusion)
        return Cuts(*images, *audio, **of_video, rate=rate)


_OF_TEMPLATE = (
    ' Arguments of the chat template are given with the chat: explainer(Chat(messages, template={"enable_thinking": False})).'
)
_BESIDE_MESSAGES = " Tools and documents are given with the chat: explainer(Chat(messages, tools=[...], documents=[...]))."
OF_CHATS = {
    **dict.fromkeys(("chat_template_kwargs", "template_kwargs", "template", "enable_thinking"), _OF_TEMPLATE),
    **dict.fromkeys(("tools", "documents"), _BESIDE_MESSAGES),
    "continue_final_message": " A begun answer is given with the chat: explainer(Chat(messages, continue_final_message=True)).",
}
"""What is said about names that are no options, but fields of a `Chat`."""


def check_names(options: Mapping[str, Any], method: type) -> None:
    """Raise a TypeError for an option that a method does not have; the message lists those that it has.

    Example:
        >>> from interpreto_mllm import KernelShap
        >>> check_names({"granularty": None}, KernelShap)
        Traceback (most recent call last):
        ...
        TypeError: KernelShap has no option 'granularty'. Its options are: size_effects, granularity, inference_mode, ...
    """
    shared = [field.name for field in fields(Settings)]
    unknown = [name for name in options if name not in shared]
    if unknown:
        parameters = inspect.signature(method).parameters.values()
        own = [one.name for one in parameters if one.kind is one.KEYWORD_ONLY]
        hint = "".join(dict.fromkeys(OF_CHATS[name] for name in unknown if name in OF_CHATS))
        raise TypeError(
            f"{method.__name__} has no option {', '.join(map(repr, unknown))}.{hint} Its options are: "
            f"{', '.join([*own, *shared])}."
        )
