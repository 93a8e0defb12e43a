"""What decides the values of an explainer's games besides the prompt and the question, as their fingerprints hold it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from interpreto_mllm.adapters.base import ModelAdapter
from interpreto_mllm.adapters.remote.model import RemoteModel, server_address
from interpreto_mllm.core.description import describe
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.core.fingerprint import Fingerprint
from interpreto_mllm.core.weights import weights
from interpreto_mllm.engine.queries import Mode
from interpreto_mllm.explainers.options import Settings
from interpreto_mllm.games.modes import InferenceModes
from interpreto_mllm.prompts.granularity import check_granularity
from interpreto_mllm.prompts.occlusion import TextOcclusion
from interpreto_mllm.prompts.reader import PromptReader
from interpreto_mllm.similarity.response_similarity import ResponseSimilarity

INCIDENTAL = ("_name_or_path", "transformers_version", "dtype", "torch_dtype", "attn_implementation")
"""Settings of configs that do not decide what a model computes, or that its weights show."""

VALUE_FUNCTION = "value function"


def setting(adapter: ModelAdapter[Any], mode: Mode | ResponseSimilarity) -> Fingerprint:
    """The value function, the model, and how it generates answers where these are compared."""
    found = {VALUE_FUNCTION: _value_function(mode), **_model(adapter.model)}
    if readers := adapter.processing.media_readers:
        found["processor"] = describe([_config(reader) for reader in readers])
    if adapter.responder is not None:
        own = getattr(adapter.model, "generation_config", None)
        found["generation"] = describe(dict(adapter.generation_settings))
        found["generation config"] = describe(None if own is None else _config(own))
    return found


def text_occlusion(occlusion: TextOcclusion, features: Sequence[Feature]) -> dict[str, str]:
    """How absent features of the text disappear, if there are any."""
    return {"occlusion": describe(occlusion)} if any(feature.positions for feature in features) else {}


def reader_for(adapter: ModelAdapter[Any], settings: Settings) -> PromptReader:
    """Reads inputs into prompts as the options of an explainer say."""
    return adapter.reader(
        check_granularity(settings.granularity),
        settings.occlusion,
        tuple(settings.roles),
        settings.pinned,
        settings.groups,
        settings.cuts(adapter.processing.rate, adapter.processing.sample),
    )


def _value_function(mode: Mode | ResponseSimilarity) -> str:
    if isinstance(mode, ResponseSimilarity):
        return describe(replace(mode, generate={"do_sample": True} if mode.repeats > 1 else {}))
    return mode.value if isinstance(mode, InferenceModes) else describe(mode)


def _model(model: Any) -> Fingerprint:
    if isinstance(model, RemoteModel):
        stand_in = {"stand-in": repr(model.stand_in)} if model.stand_in else {}
        return {"server": server_address(model.base_url), "model": model.model, "route": model.route, **stand_in}
    active = sorted({describe(one) for module in model.modules() if (one := _adapters(module))})
    return {
        "model": type(model).__name__,
        "the model's config": describe(_config(model.config)),
        "the model's weights": weights(model),
        **({"the model's adapters": ", ".join(active)} if active else {}),
    }


def _adapters(module: Any) -> tuple[Any, ...]:
    """Which adapters of PEFT act in a layer."""
    if not isinstance(getattr(module, "disable_adapters", None), bool):
        return ()
    return tuple(module.active_adapters), module.disable_adapters


def _config(config: Any) -> Mapping[str, Any]:
    """The settings of a config that count."""

    def kept(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {key: kept(one) for key, one in value.items() if key not in INCIDENTAL and not str(key).startswith("_")}

    return kept(config.to_dict())
