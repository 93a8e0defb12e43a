"""Classifiers of texts, images and clips."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interpreto_mllm.adapters.base import ModelAdapter
from interpreto_mllm.engine.encoders import ClassifierScorer
from interpreto_mllm.engine.queries import Classify, Mode, Scorer
from interpreto_mllm.engine.whole_prompts import WholePrompts
from interpreto_mllm.games.modes import InferenceModes
from interpreto_mllm.games.targets import ClassTarget, Target
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.occlusion import Drop, Replace, TextOcclusion


class ClassifierAdapter(ModelAdapter):
    """Sequence classifiers. An absent part is replaced by the mask token where there is one, else dropped, by default."""

    unit = "class"
    ids_are_one = False

    def default_occlusion(self) -> TextOcclusion:
        return Drop() if getattr(self.tokenizer, "mask_token_id", None) is None else Replace()

    def scorer(self, mode: Mode, batch_size: int, share_prefixes: bool) -> Scorer[Classify]:
        if self.model.config.num_labels == 1 and mode in (InferenceModes.SOFTMAX, InferenceModes.LOG_SOFTMAX):
            raise ValueError(
                "This model gives one number, whose probability is always 1: use inference_mode=InferenceModes.LOGITS."
            )
        return ClassifierScorer(WholePrompts(self.model, self.processing, batch_size, self.counter), mode)

    def answer(self, target: Any, text: str, reading: ModelInput) -> ClassTarget:
        names = {int(index): str(name) for index, name in self.model.config.id2label.items()}
        target = target.item() if hasattr(target, "item") else target
        if isinstance(target, str):
            index = next((index for index, name in names.items() if name == target), None)
            if index is None:
                raise ValueError(f"There is no class named {target!r}; the model's classes are {list(names.values())}.")
        elif isinstance(target, int) and not isinstance(target, bool):
            index = target
        else:
            raise TypeError(f"A target of a classifier is a class index, a class name, a Contrast or None; got {target!r}.")
        if not 0 <= index < self.model.config.num_labels:
            raise ValueError(f"Class {index} is out of range: the model has {self.model.config.num_labels} classes, from 0.")
        return ClassTarget(index, names.get(index, str(index)))

    def own_answer(self, reading: ModelInput, generate: Mapping[str, Any]) -> ClassTarget:
        inputs = WholePrompts(self.model, self.processing, batch_size=1).inputs([reading])
        return self.answer(int(self.model(**inputs).logits[0].argmax()), "", reading)

    def length(self, reading: ModelInput, target: Target) -> int:
        return len(reading.ids)
