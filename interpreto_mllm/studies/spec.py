"""One concrete run of a study: a model, data, a method, metrics and a seed, each given once and checked."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

LONGEST_FOLDER_NAME = 100


class Spec(BaseModel):
    """A part of a run: immutable, and without unknown keys. A text in its place is its name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _named(cls, given: Any) -> Any:
        return {"name": given} if isinstance(given, str) and "name" in cls.model_fields else given


class ModelSpec(Spec):
    """Which model is explained, and how it is loaded.

    Args:
        name: "shipped:text", "shipped:vision", "shipped:audio" or "shipped:video"; a folder; a name on the Hugging Face Hub; a
            `.gguf` file;
            "package:NAME", an installed Python package with such a file; or the name of a model that a server serves.
        url: of an OpenAI-compatible server.
        file: a GGUF file in the folder or repository.
        processor: the folder or name of the tokenizer or processor, where the model's own has none.
        kind: the class of transformers, such as "AutoModelForCausalLM", where another is meant than the config's architecture.
        dtype: such as "float32"; that in which the weights are stored by default.
        device: such as "cuda:0"; the CPU by default.
        arguments: further ones of `from_pretrained`, or of `RemoteModel`.
    """

    name: str
    url: str | None = None
    file: str | None = None
    processor: str | None = None
    kind: str | None = None
    dtype: str | None = None
    device: str | None = None
    arguments: dict[str, JsonValue] = Field(default_factory=dict)


class Columns(Spec):
    """Which column holds what; None for one that there is not.

    Args:
        prompt: a text.
        chat: a list of messages; in the place of `prompt`.
        image, audio, video: of the prompt; a column that holds a list of them gives several.
        target: what is explained: a text, or a class; without it the model's own answer is.
        identity: of the sample in files; the row's number by default.
        causes: the texts of the words that truly caused the answer.
    """

    prompt: str | None = None
    chat: str | None = None
    image: str | None = None
    audio: str | None = None
    video: str | None = None
    target: str | None = None
    identity: str | None = None
    causes: str | None = None


class Selection(Spec):
    """Which rows are explained: those that the filter and the length let through, shuffled, from `start`, at most `max`.

    Args:
        start: how many are left out at the beginning.
        max: how many there are at most.
        shuffle: the seed of their order; None keeps that of the data.
        min_length, max_length: of the prompt, in characters.
        where: an expression of columns, such as "label == 1 and len(text) < 200"; see `filter_expression`.
    """

    start: int = Field(default=0, ge=0)
    max: int | None = Field(default=None, ge=1)
    shuffle: int | None = None
    min_length: int | None = Field(default=None, ge=0)
    max_length: int | None = Field(default=None, ge=0)
    where: str | None = None


class DataSpec(Spec):
    """What is explained.

    Args:
        name: "shipped:text", "shipped:vision", "shipped:audio" or "shipped:video", prompts of the shipped models with known
            causes; a parquet,
            csv, json or jsonl file; a folder; or the name of a data set on the Hugging Face Hub.
        subset: of a data set with several.
        split: the part of a data set that is used, "test" where there is one, else the first, by default.
        columns: which column holds what; found by their usual names where not given.
        select: which rows are used.
        arguments: further ones of `datasets.load_dataset`, or of the function that samples a shipped model's prompts.
    """

    name: str
    subset: str | None = None
    split: str | None = None
    columns: Columns = Field(default_factory=Columns)
    select: Selection = Field(default_factory=Selection)
    arguments: dict[str, JsonValue] = Field(default_factory=dict)


class MethodSpec(Spec):
    """How it is explained.

    Args:
        name: a method of this library, an entry point, or a class as "package.module:Name".
        arguments: the method's own, such as `size_effects` of KernelShap.
        call: what all methods share: budget or fraction, granularity, occlusion, mode, embedding, similarity, reducer,
            normaliser, modality and the other options of an explainer.
    """

    name: str
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    call: dict[str, JsonValue] = Field(default_factory=dict)


class MetricSpec(Spec):
    """What is measured of each explanation.

    Args:
        name: a metric of this library, an entry point, or a function as "package.module:name".
        arguments: the metric's own.
    """

    name: str
    arguments: dict[str, JsonValue] = Field(default_factory=dict)


class RunSpec(Spec):
    """One concrete run: every sample of the data explained by one method on one model.

    Args:
        name: of the run in its study; its folder has this name.
        model, data, method: see `ModelSpec`, `DataSpec` and `MethodSpec`.
        metrics: what is measured of each explanation.
        seed: of all randomness.

    Example:
        >>> run = RunSpec(
        ...     name="kernel/64",
        ...     model=ModelSpec(name="shipped:text"),
        ...     data=DataSpec(name="shipped:text"),
        ...     method=MethodSpec(name="KernelShap", call={"budget": 64}),
        ...     metrics=("gini",),
        ... )
        >>> run.folder_name(), len(run.identity())
        ('kernel-64-23e2c3', 64)
        >>> run == RunSpec.model_validate_json(run.model_dump_json())
        True
    """

    name: str = Field(min_length=1)
    model: ModelSpec
    data: DataSpec
    method: MethodSpec
    metrics: tuple[str | MetricSpec, ...] = ()
    seed: int = 0

    def identity(self) -> str:
        """A hash of what decides the explanations: all but the name and the metrics, which are computed from what is stored."""
        return _hash(self.model_dump_json(exclude={"name", "metrics"}))

    def folder_name(self) -> str:
        """The name of the run as a folder can have it, other for each name; it does not change with the rest of the run."""
        plain = re.sub(r"[^\w.,=+-]+", "-", self.name).strip("-.")[:LONGEST_FOLDER_NAME]
        return plain if plain == self.name else f"{plain}-{_hash(json.dumps(self.name))[:6]}"

    def metric_specs(self) -> tuple[MetricSpec, ...]:
        """The metrics, each with its arguments."""
        return tuple(MetricSpec(name=one) if isinstance(one, str) else one for one in self.metrics)

    def differences(self, other: RunSpec) -> list[str]:
        """What differs in another run, as in "method.call.budget: 64, there 128"."""
        here, there = _flat(self.model_dump(mode="json")), _flat(other.model_dump(mode="json"))
        names = [*here, *(name for name in there if name not in here)]
        return [
            f"{name}: {_written(here, name)}, there {_written(there, name)}"
            for name in names
            if name not in here or name not in there or here[name] != there[name]
        ]


def _hash(text: str) -> str:
    return hashlib.sha256(json.dumps(json.loads(text), sort_keys=True).encode()).hexdigest()


def _flat(value: dict[str, Any], path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, one in value.items():
        found.update(_flat(one, f"{path}{key}.") if isinstance(one, dict) and one else {f"{path}{key}": one})
    return found


def _written(values: dict[str, Any], name: str) -> str:
    return json.dumps(values[name], ensure_ascii=False) if name in values else "not given"
