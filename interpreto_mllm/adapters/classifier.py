"""Classifiers of texts, images and clips."""

from __future__ import annotations

from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.adapters.base import Batching, Generation, OwnAnswer
from interpreto_mllm.adapters.local import LocalAdapter
from interpreto_mllm.core.numbers import is_whole
from interpreto_mllm.core.shown import shown
from interpreto_mllm.engine.counter import ForwardCounter
from interpreto_mllm.engine.encoders import ClassifierScorer
from interpreto_mllm.engine.queries import Classify, Mode, Scorer
from interpreto_mllm.engine.reading import ClassifierReading
from interpreto_mllm.engine.tiny_forward import classes_of
from interpreto_mllm.engine.whole_prompts import WholePrompts
from interpreto_mllm.games.modes import InferenceModes, mode_name, needs_distribution, of_independent_labels
from interpreto_mllm.games.targets import ClassTarget
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.occlusion import Drop, Replace, TextOcclusion
from interpreto_mllm.prompts.processing import Processing

NO_LABEL = "The model gives no label a probability above one half: its strongest one is explained."


PROBABILITIES = (
    InferenceModes.SOFTMAX,
    InferenceModes.LOG_SOFTMAX,
    InferenceModes.MEAN_LOG_SOFTMAX,
    InferenceModes.ANSWER_LOGIT,
)
"""Modes that ask for the probability of a class."""


class ClassifierAdapter(LocalAdapter[ClassTarget]):
    """Classifiers. An absent feature of a text is replaced by the mask token if there is one, else dropped, by default."""

    unit: ClassVar[str] = "class"
    ids_are_one: ClassVar[bool] = False
    answers_prompts: ClassVar[bool] = False
    reads_answered_chats: ClassVar[bool] = True
    sigmoid: ClassVar[str] = "The labels of this model do not exclude one another: probabilities are those of the sigmoid."
    no_probability: ClassVar[str] = (
        "This model gives one number, which has no probability by itself: use inference_mode=InferenceModes.LOGITS. (If it was "
        "trained as one label that applies or not, set model.config.problem_type = 'multi_label_classification'.)"
    )

    def __init__(self, model: Any, processing: Processing, mode: Mode, generation: Generation, batching: Batching):
        self.model, self.processing = model, processing
        self.classes, self.multi_label = self._count(), self._independent()
        if mode in PROBABILITIES:
            if self.multi_label:
                self.notes = (self.sigmoid,)
            elif self.classes == 1:
                raise ValueError(self.no_probability)
        super().__init__(model, processing, mode, generation, batching)

    def default_occlusion(self) -> TextOcclusion:
        return Drop() if getattr(self.tokenizer, "mask_token_id", None) is None else Replace()

    def target(self, given: Any, text: str, input: ModelInput) -> ClassTarget:
        names = {int(index): str(name) for index, name in self.model.config.id2label.items()}
        given = given.tolist() if hasattr(given, "tolist") else given
        if isinstance(given, str):
            index = next((index for index, name in names.items() if name == given), None)
            if index is None:
                raise ValueError(f"There is no class named {given!r}; the model's classes are {list(names.values())}.")
        elif is_whole(given):
            index = given
        else:
            raise TypeError(f"A target of a classifier is a class index, a class name, a Contrast or None; got {shown(given)}.")
        if not 0 <= index < self.classes:
            raise ValueError(f"Class {index} is out of range: the model has {self.classes} classes, from 0.")
        return ClassTarget(index, names.get(index, str(index)))

    def own_answer(self, input: ModelInput) -> OwnAnswer[ClassTarget]:
        logits = self.logits(self.model(**self._prompts(1).inputs([input])))[0]
        likely = (logits > 0).nonzero()[:, 0].tolist() if self.multi_label else []
        notes = (NO_LABEL,) if self.multi_label and not likely else ()
        targets = [self.target(index, "", input) for index in likely or [int(logits.argmax())]]
        return OwnAnswer(tuple(targets), notes)

    def positions(self, input: ModelInput, target: ClassTarget) -> int:
        return len(input.ids)

    def logits(self, output: Any) -> Float[Tensor, "b v"]:
        """A row of classes for each prompt."""
        return output.logits

    def _prompts(self, rows: int, counter: ForwardCounter | None = None) -> WholePrompts:
        """Batches of prompts."""
        return WholePrompts(self.model, self.processing, rows, counter)

    def reading(self, scorer: Scorer[Any]) -> ClassifierReading:
        assert isinstance(scorer, ClassifierScorer)
        return ClassifierReading(scorer.prompts, scorer.mode, scorer.logits)

    def _scorer(self, mode: Mode) -> Scorer[Classify]:
        if needs_distribution(mode) and (self.multi_label or self.classes == 1):
            raise ValueError(
                f"The labels of this model do not exclude one another, so that there is no distribution to take "
                f"{mode_name(mode)} of: use InferenceModes.LOGITS or LOG_SOFTMAX."
            )
        mode = of_independent_labels(mode) if self.multi_label else mode
        return ClassifierScorer(self._prompts(self.batching.rows, self.counter), mode, self.logits)

    def _count(self) -> int:
        """How many classes the model has."""
        return classes_of(self.model, self.processing) or 0

    def _independent(self) -> bool:
        """Whether the labels do not exclude one another."""
        return getattr(self.model.config, "problem_type", None) == "multi_label_classification"
