"""Models of an image beside a text: how well they fit (CLIP, SigLIP, BLIP), and classes of the two (ViLT)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.adapters.base import Batching, Generation, OwnAnswer
from interpreto_mllm.adapters.classifier import ClassifierAdapter
from interpreto_mllm.adapters.positions import max_positions
from interpreto_mllm.core.shown import shown
from interpreto_mllm.engine.counter import ForwardCounter
from interpreto_mllm.engine.device import input_device
from interpreto_mllm.engine.preserved_state import preserved_state
from interpreto_mllm.engine.queries import Mode
from interpreto_mllm.engine.rounding import excess, tolerance
from interpreto_mllm.engine.text_padding import TextPadding
from interpreto_mllm.engine.tiny_forward import blank, tiny_output
from interpreto_mllm.engine.whole_prompts import WholePrompts
from interpreto_mllm.games.targets import ClassTarget
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.occlusion import Drop, TextOcclusion
from interpreto_mllm.prompts.processing import Processing

SCORE, MATCH = "image–text score", ("no match", "match")
"""What models that compare an image and a text are asked about."""


def kind_beside(output: Any) -> type[BesideAdapter] | None:
    """The class of adapters for a model of an image beside a text, by what it returns for one of each; None for others."""
    scores = {"logits_per_image": PairAdapter, "itm_score": MatchAdapter, "logits": BesideAdapter}
    return next((kind for name, kind in scores.items() if getattr(getattr(output, name, None), "ndim", 0) == 2), None)


class BesideAdapter(ClassifierAdapter):
    """Classifiers of an image and a text together, as of questions about images."""

    def _count(self) -> int:
        return int(self.logits(tiny_output(self.model, self.processing)).shape[1])


class MatchAdapter(BesideAdapter):
    """Whether a text fits an image: two classes. An absent word is dropped by default."""

    def default_occlusion(self) -> TextOcclusion:
        return Drop()

    def logits(self, output: Any) -> Float[Tensor, "b v"]:
        return output.itm_score

    def target(self, given: Any, text: str, input: ModelInput) -> ClassTarget:
        index = MATCH.index(given) if given in MATCH else given
        if isinstance(index, bool) or index not in range(len(MATCH)):
            raise ValueError(
                f"A target of {type(self.model).__name__} is {MATCH[0]!r}, {MATCH[1]!r} or None; got {shown(given)}."
            )
        return ClassTarget(int(index), MATCH[int(index)])


class PairAdapter(BesideAdapter):
    """How well a text fits an image: one score. An absent word is dropped by default.

    Some models of this kind read the padding of texts, as SigLIP, which pools the last place. Their texts are filled up as the
    tokenizer does it.
    """

    unit: ClassVar[str] = "value"
    sigmoid: ClassVar[str] = "The probability of a score is the sigmoid's, as the model was trained."
    no_probability: ClassVar[str] = (
        "This model gives a text and an image one score, which has no probability without other texts: use "
        "inference_mode=InferenceModes.LOGITS."
    )

    def __init__(self, model: Any, processing: Processing, mode: Mode, generation: Generation, batching: Batching):
        self._padding = text_padding(model, processing)
        super().__init__(model, processing, mode, generation, batching)
        if self._padding is not None:
            self.notes = (*self.notes, f"Texts are filled up to {self._padding.length} tokens: this model reads the padding.")

    def default_occlusion(self) -> TextOcclusion:
        return Drop()

    def logits(self, output: Any) -> Float[Tensor, "b v"]:
        return output.logits_per_image.diagonal()[:, None]

    def target(self, given: Any, text: str, input: ModelInput) -> ClassTarget:
        if not (isinstance(given, str) and given == SCORE):
            raise ValueError(
                f"{type(self.model).__name__} gives a text and an image one score, which is what is explained: leave the "
                f"target out; got {shown(given)}."
            )
        return ClassTarget(0, SCORE)

    def own_answer(self, input: ModelInput) -> OwnAnswer[ClassTarget]:
        return OwnAnswer((self.target(SCORE, "", input),))

    def _independent(self) -> bool:
        return hasattr(self.model, "logit_bias")  # SigLIP's, which is trained with a sigmoid

    def _prompts(self, rows: int, counter: ForwardCounter | None = None) -> WholePrompts:
        return WholePrompts(self.model, self.processing, rows, counter, self._padding)


def text_padding(model: Any, processing: Processing) -> TextPadding | None:
    """How texts are filled up, for a model whose score changes with that; None for others."""
    tokenizer, length = processing.tokenizer, max_positions(model)
    if length is None or tokenizer.pad_token_id is None:
        return None
    masked = "attention_mask" in tokenizer.model_input_names
    filled = TextPadding(length, tokenizer.pad_token_id, tokenizer.padding_side == "left", masked)
    words = ModelInput(np.asarray(tokenizer("a")["input_ids"], dtype=np.int64))
    scores = []
    with preserved_state(model):
        for padding in (filled, replace(filled, length=len(words.ids))):
            text = {name: tensor.to(input_device(model)) for name, tensor in padding.inputs([words]).items()}
            scores.append(model(**text, **blank(processing)).logits_per_image)
    return filled if excess(scores[0], scores[1], tolerance(model)) > 1 else None
