"""What a person asks on the page, and the explainer that answers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from interpreto_mllm.adapters.remote.model import RemoteModel
from interpreto_mllm.attribution import Attribution
from interpreto_mllm.core.callbacks import Callback
from interpreto_mllm.evaluation.stopping import Rule
from interpreto_mllm.studies.methods import find_method
from interpreto_mllm.studies.models import load_model
from interpreto_mllm.studies.options import explainer_options
from interpreto_mllm.studies.spec import ModelSpec

METHODS = (
    "auto",
    "GaussianProcessShapley",
    "KernelShap",
    "PermutationShapley",
    "NeymanShapley",
    "MonteCarloShapley",
    "Banzhaf",
)
"""Those that can be stopped."""

GRANULARITIES = ("word", "sentence", "token", "turn")

LIKELIHOOD, SIMILARITY = "how likely the answer is", "how similar new answers are"
VALUES = (LIKELIHOOD, SIMILARITY)
"""What a part of the prompt is asked about; servers that return answers alone have the second."""


@dataclass(frozen=True)
class Question:
    """A prompt, and how its answer is explained.

    Args:
        text: of the prompt.
        image, clip: files of it.
        target: the answer that is explained; empty for the model's own.
        method, granularity: their names.
        value: one of `VALUES`.
        budget: evaluations, 0 for the method's own number.
        seed: of all randomness.
    """

    text: str
    image: str | None = None
    clip: str | None = None
    target: str = ""
    method: str = "auto"
    granularity: str = "word"
    value: str = LIKELIHOOD
    budget: int = 0
    seed: int = 0

    @property
    def media(self) -> list[dict[str, str]]:
        """The image and the clip as parts of a message."""
        given = (("image", self.image), ("audio", self.clip))
        return [{"type": kind, kind: file} for kind, file in given if file]

    def check(self) -> None:
        """Raise a ValueError for a question without a prompt."""
        if not self.text.strip():
            raise ValueError("Write a prompt first.")

    def remove_files(self) -> None:
        """Delete what was uploaded."""
        for file in (self.image, self.clip):
            if file:
                Path(file).unlink(missing_ok=True)


@dataclass(frozen=True, eq=False)
class Models:
    """The model that the page is about, or the shipped one that suits a prompt; each is loaded when it is first used.

    Args:
        spec: of the model; None for the shipped ones.
    """

    spec: ModelSpec | None = None

    @cached_property
    def _loaded(self) -> dict[str, tuple[Any, Any]]:
        return {}

    def get(self, question: Question) -> tuple[Any, Any]:
        """Model and processor for a prompt."""
        kind = "vision" if question.image else "audio" if question.clip else "text"
        spec = self.spec or ModelSpec(name=f"shipped:{kind}")
        if spec.name not in self._loaded:
            self._loaded[spec.name] = load_model(spec)
        return self._loaded[spec.name]

    def explaining(self, question: Question) -> tuple[list[str], Callable[[Rule, Callback], Attribution]]:
        """The names of the features, and what explains the answer.

        Raises:
            TypeError, ValueError: for a question that cannot be asked of this model.
        """
        question.check()
        model, processor = self.get(question)
        inputs: Any = question.text
        if question.media or getattr(processor, "chat_template", None):
            parts = [*question.media, {"type": "text", "text": question.text}] if question.media else question.text
            inputs = [{"role": "user", "content": parts}]

        call: dict[str, Any] = {"granularity": question.granularity, **({"budget": question.budget} if question.budget else {})}
        if question.value == SIMILARITY:
            call |= {"similarity": "TfIdf"} if isinstance(model, RemoteModel) else {"mode": "similarity"}
        options = {**explainer_options(call, question.seed), "progress": False}
        method, target = find_method(question.method), question.target if question.target.strip() else None
        read = method(model, processor, **options).reasoning.reader.read  # pyright: ignore[reportCallIssue]
        [prompt] = read(inputs)

        def explain(rule: Rule, watch: Callback) -> Attribution:
            explainer = method(model, processor, **options, until=rule, callbacks=[watch])  # pyright: ignore[reportCallIssue]
            [result] = explainer(prompt, target)
            return result

        return [feature.name for feature in prompt.features], explain
