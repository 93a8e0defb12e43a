"""Classifiers of texts, images and clips."""

from __future__ import annotations

from typing import Any, ClassVar

from interpreto_mllm.adapters.local import LocalAdapter
from interpreto_mllm.engine.encoders import ClassifierScorer
from interpreto_mllm.engine.queries import Classify, Mode, Scorer
from interpreto_mllm.engine.whole_prompts import WholePrompts
from interpreto_mllm.games.modes import InferenceModes
from interpreto_mllm.games.targets import ClassTarget
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.occlusion import Drop, Replace, TextOcclusion


class ClassifierAdapter(LocalAdapter[ClassTarget]):
    """Classifiers. An absent feature of a text is replaced by the mask token if there is one, else dropped, by default."""

    unit: ClassVar[str] = "class"
    ids_are_one: ClassVar[bool] = False

    def default_occlusion(self) -> TextOcclusion:
        return Drop() if getattr(self.tokenizer, "mask_token_id", None) is None else Replace()

    def target(self, given: Any, text: str, input: ModelInput) -> ClassTarget:
        names = {int(index): str(name) for index, name in self.model.config.id2label.items()}
        given = given.item() if hasattr(given, "item") else given
        if isinstance(given, str):
            index = next((index for index, name in names.items() if name == given), None)
            if index is None:
                raise ValueError(f"There is no class named {given!r}; the model's classes are {list(names.values())}.")
        elif isinstance(given, int) and not isinstance(given, bool):
            index = given
        else:
            raise TypeError(f"A target of a classifier is a class index, a class name, a Contrast or None; got {given!r}.")
        if not 0 <= index < self.model.config.num_labels:
            raise ValueError(f"Class {index} is out of range: the model has {self.model.config.num_labels} classes, from 0.")
        return ClassTarget(index, names.get(index, str(index)))

    def own_answer(self, input: ModelInput) -> ClassTarget:
        inputs = WholePrompts(self.model, self.processing, batch_size=1).inputs([input])
        return self.target(int(self.model(**inputs).logits[0].argmax()), "", input)

    def positions(self, input: ModelInput, target: ClassTarget) -> int:
        return len(input.ids)

    def _scorer(self, mode: Mode) -> Scorer[Classify]:
        if self.model.config.num_labels == 1 and mode in (InferenceModes.SOFTMAX, InferenceModes.LOG_SOFTMAX):
            raise ValueError(
                "This model gives one number, whose probability is always 1: use inference_mode=InferenceModes.LOGITS."
            )
        return ClassifierScorer(WholePrompts(self.model, self.processing, self.batching.rows, self.counter), mode)
