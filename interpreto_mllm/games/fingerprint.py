"""The fingerprint of a prompt and of the question about it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch

from interpreto_mllm.core.description import describe
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.core.fingerprint import Fingerprint, hashed, quoted
from interpreto_mllm.games.modes import Joint
from interpreto_mllm.games.targets import Question, Target
from interpreto_mllm.media.clip import Clip
from interpreto_mllm.media.encoded import Encoded
from interpreto_mllm.media.picture import Picture
from interpreto_mllm.media.state import Medium, State
from interpreto_mllm.media.video import Video
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.prompt import Prompt
from interpreto_mllm.prompts.template_prompt import TemplatePrompt
from interpreto_mllm.thoughts.anew import Rethinking

KINDS = {"image": "image", "audio": "clip", "video": "video"}
IDS, IDS_WITHOUT_FEATURES = "token ids", "token ids without features"
MEDIUM = "((pieces|occlusion) of )?(image|clip|video) [0-9]+"
OF_PROMPT = re.compile(f"text|template|features|thoughts|targets|{IDS}|{IDS_WITHOUT_FEATURES}|{MEDIUM}")
"""The names of what prompts and questions differ in."""


def without_prompt(fingerprint: Fingerprint) -> Fingerprint:
    """What games of other prompts share with this one: the model, the value function, how features are occluded.

    Example:
        >>> without_prompt({"model": "LlamaForCausalLM", "text": "'the apple'", "occlusion of image 1": "Fill()"})
        {'model': 'LlamaForCausalLM'}
    """
    return {name: content for name, content in fingerprint.items() if not OF_PROMPT.fullmatch(name)}


def prompt_fingerprint(prompt: Prompt) -> Fingerprint:
    """The text, the features, and the images and clips: their content, their pieces, and what is left without any of them."""
    found = {"text": quoted(prompt.text)}
    if isinstance(prompt, TemplatePrompt):
        found["template"] = describe((prompt.template.text, dict(prompt.template.values), prompt.used.baseline_rows))
    found["features"] = _features(prompt.features)
    if isinstance(prompt, Rethinking):
        found["thoughts"] = prompt.content
    for number, medium in enumerate(prompt.media, 1):
        found |= _medium(f"{KINDS[medium.modality]} {number}", medium)
    return found


def ids_fingerprint(prompt: Prompt) -> Fingerprint:
    """The token ids that the model reads with every feature and with none."""
    n = len(prompt.features)
    empty, full = prompt.inputs_for(torch.tensor([[False] * n, [True] * n]))
    return {IDS: _ids(full), IDS_WITHOUT_FEATURES: _ids(empty)}


def question_fingerprint(question: Question[Target]) -> Fingerprint:
    """The targets, and how their values become those of the game."""
    labels = ", ".join(quoted(label) for label in question.labels)
    content = describe((*(target.content for target in question.targets), question.columns, question.joint is Joint.PRODUCT))
    return {"targets": f"{labels if len(labels) < 200 else f'{len(question.labels)} of them'} {hashed(content)}"}


def _ids(inputs: Sequence[ModelInput]) -> str:
    parts = [
        b"|".join(b"" if part is None else part.tobytes() for part in (input.ids, input.seen, input.segments))
        + (b"" if input.positions is None else b"|" + input.positions.tobytes())
        for input in inputs
    ]
    return f"{', '.join(str(len(input.ids)) for input in inputs[:3])} {hashed(*parts)}"


def _features(features: Sequence[Feature]) -> str:
    shown = ", ".join(quoted(feature.text, 40) for feature in features[:6])
    content = [describe((one.text, one.spans, one.positions, one.role, one.turn, one.modality, one.pieces)) for one in features]
    return f"{shown}{', …' if len(features) > 6 else ''} ({len(features)}) {hashed(*content)}"


def _medium(name: str, medium: Medium) -> dict[str, str]:
    """An image, a clip or a video, its pieces, and what is left without any of them."""
    if isinstance(medium, Encoded):
        return {name: f"encoded {hashed(medium.key(State.whole(medium).present))}"}
    whole = State.whole(medium)
    left = f"{describe(medium.occlusion)} {hashed(medium.key(~whole.present))}"
    if isinstance(medium, Picture):
        width, height = medium.image.size
        pieces = hashed(*(part.tobytes() for part in medium.areas), *medium.areas[1].shape)
        size = f"{width} × {height}"
    elif isinstance(medium, Video):
        pieces = hashed(describe(medium.tubes), medium.regions.area.tobytes(), medium.regions.cover.tobytes())
        size = f"{medium.footage.count} frames of {medium.footage.frames.shape[2]} × {medium.footage.frames.shape[1]}"
    else:
        assert isinstance(medium, Clip)
        pieces, size = hashed(describe(medium.segments)), f"{medium.seconds:.2f} s"
    return {
        name: f"{size} {hashed(whole.key)}",
        f"pieces of {name}": f"{len(medium.labels)} {pieces}",
        f"occlusion of {name}": left,
    }
