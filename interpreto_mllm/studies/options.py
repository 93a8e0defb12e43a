"""The options of an explainer from the plain values of a config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interpreto_mllm.core.numbers import is_number
from interpreto_mllm.evaluation.stopping import Rule
from interpreto_mllm.explainers.options import Options, Settings
from interpreto_mllm.games.modes import InferenceModes, TopMass
from interpreto_mllm.media.audio_granularity import AudioGranularity
from interpreto_mllm.media.audio_occlusion import AudioOcclusion
from interpreto_mllm.media.image_granularity import ImageGranularity
from interpreto_mllm.media.image_occlusion import Blur, Fill, ImageOcclusion, ReplaceImage
from interpreto_mllm.media.video_granularity import VideoGranularity
from interpreto_mllm.media.video_occlusion import VideoOcclusion
from interpreto_mllm.prompts.baseline import OtherPrompt
from interpreto_mllm.prompts.filters import MODALITIES, OtherModalities, StopPhrases, punctuation
from interpreto_mllm.prompts.granularity import Granularity
from interpreto_mllm.prompts.occlusion import Replace, TextOcclusion
from interpreto_mllm.prompts.sentences import Sentences
from interpreto_mllm.prompts.sources import Sources
from interpreto_mllm.results.normalisation import NORMALISATIONS
from interpreto_mllm.similarity.embeddings import Embedding, External
from interpreto_mllm.similarity.measures import Measure
from interpreto_mllm.similarity.reducers import REDUCERS
from interpreto_mllm.similarity.response_similarity import ResponseSimilarity
from interpreto_mllm.similarity.texts import TextMeasure
from interpreto_mllm.similarity.tf_idf import TfIdfCosine
from interpreto_mllm.studies.aliases import EMBEDDINGS, SIMILARITIES, resolved
from interpreto_mllm.studies.names import imported, is_import_path, suggestion, unknown
from interpreto_mllm.studies.objects import called, made, named

AXES = (
    *("budget", "fraction", "granularity", "image_granularity", "audio_granularity", "video_granularity"),
    *("occlusion", "image_occlusion", "audio_occlusion", "video_occlusion"),
    *("mode", "embedding", "similarity", "reducer", "normaliser", "modality"),
)
"""Options that a list of values sweeps over."""

PLAIN = (
    *("until", "num_trials", "batch_size", "rows", "roles", "pinned", "groups", "generate", "share_prefixes"),
    *("baseline", "layer", "whole_answer", "batched_rows", "gradient_checkpointing"),
)
"""Options with one value, which may be a list itself."""

OF_SIMILARITY = ("embedding", "similarity", "reducer")
"""Options that say something only where answers are compared."""

CLASSES_OF: dict[str, dict[str, type]] = {
    "granularity": {"Sentences": Sentences, "Sources": Sources},
    "image_granularity": named(ImageGranularity),
    "audio_granularity": named(AudioGranularity),
    "video_granularity": named(VideoGranularity),
    "occlusion": named(TextOcclusion),
    "image_occlusion": named(ImageOcclusion),
    "audio_occlusion": named(AudioOcclusion),
    "video_occlusion": {**named(VideoOcclusion), "Blur": Blur, "Fill": Fill, "ReplaceImage": ReplaceImage},
    "mode": {"TopMass": TopMass},
    "until": named(Rule),
    "embedding": {**named(Embedding), "External": External},
    "similarity": {**named(Measure, TextMeasure), "TfIdfCosine": TfIdfCosine},
    "pinned": {"StopPhrases": StopPhrases},
    "baseline": {"OtherPrompt": OtherPrompt, "Replace": Replace},
}
"""The classes that each option may name."""

MEMBERS_OF: dict[str, dict[str, Any]] = {
    "granularity": {one.value: one for one in Granularity},
    "mode": {one.value: one for one in InferenceModes},
    "reducer": dict.fromkeys(REDUCERS),
    "normaliser": dict.fromkeys(NORMALISATIONS),
    "modality": {**dict.fromkeys(MODALITIES), "all": None},
    "pinned": {"punctuation": punctuation},
}
"""The further names that each option accepts."""


def check_option(name: str, value: Any) -> None:
    """Raise a ValueError for a value that an option does not accept; the message says what it accepts.

    Example:
        >>> check_option("granularity", "wrod")
        Traceback (most recent call last):
        ...
        ValueError: granularity has no 'wrod'; did you mean 'word'? Accepted: all_tokens, token, word, ...
    """
    if name not in (*AXES, *PLAIN):
        accepted = ", ".join((*AXES, *PLAIN))
        raise ValueError(f"There is no option {name!r}{suggestion(name, (*AXES, *PLAIN))} Accepted: {accepted}.")
    if value is None:
        return
    if name in ("reducer", "normaliser", "modality"):
        _check_member(name, value)
    elif name in ("embedding", "similarity"):
        if not _is_external(value) and not is_corpus_measure(value):
            _object(name, value)
    else:
        beside = {"generate": {"do_sample": True}} if name == "mode" else {}  # repeats need it; that it is given is seen later
        Settings(**explainer_options({name: value, **beside}, 0, texts=TfIdfCosine(1, {})))


def is_corpus_measure(value: Any) -> bool:
    """Whether a similarity is tf–idf with the words of the data as its corpus."""
    return resolved(value, SIMILARITIES) == "TfIdfCosine"


def explainer_options(call: Mapping[str, Any], seed: int, texts: TfIdfCosine | None = None) -> Options:
    """The options of an explainer.

    Args:
        call: options by name, as plain values.
        seed: of the run.
        texts: tf–idf over the words of the data, where the similarity asks for it.

    Raises:
        ValueError: for an option that there is not, or a value that it does not accept.

    Example:
        >>> explainer_options({"fraction": 0.5, "granularity": "sentence"}, seed=1)
        {'seed': 1, 'progress': False, 'budget': 0.5, 'granularity': <Granularity.SENTENCE: 'sentence'>}
    """
    given: dict[str, Any] = {name: value for name, value in call.items() if value is not None}
    options: dict[str, Any] = {"seed": seed, "progress": False}
    budget = _budget(given)
    if budget is not None:
        options["budget"] = budget
    if (mode := _mode(given, texts)) is not None:
        options["inference_mode"] = mode
    if (pinned := _pinned(given)) is not None:
        options["pinned"] = pinned
    done = ("budget", "fraction", "mode", *OF_SIMILARITY, "modality", "pinned", "normaliser")
    for name, value in given.items():
        if name not in done:
            options[name] = _object(name, value) if name in CLASSES_OF or name == "groups" else _read_plain(name, value)
    return Options(**options)


def compares_answers(call: Mapping[str, Any]) -> bool:
    """Whether answers are compared: under the mode "similarity", or without a mode where a similarity or embedding is given."""
    mode = call.get("mode")
    if mode is None:
        return any(call.get(name) is not None for name in OF_SIMILARITY)
    return mode == "similarity" or (isinstance(mode, Mapping) and list(mode) == ["similarity"])


def reads_texts(call: Mapping[str, Any]) -> bool:
    """Whether answers are compared by a measure of texts of this library, which has no embedding."""
    value = resolved(call.get("similarity"), SIMILARITIES)
    name = next(iter(value)) if isinstance(value, Mapping) and value else value
    kind = CLASSES_OF["similarity"].get(name) if isinstance(name, str) else None
    return kind is not None and issubclass(kind, TextMeasure)


def _budget(given: Mapping[str, Any]) -> int | float | None:
    budget, fraction = given.get("budget"), given.get("fraction")
    if budget is not None and fraction is not None:
        raise ValueError(f"Give either a budget ({budget!r}) or a fraction ({fraction!r}) of all coalitions, not both.")
    if fraction is not None and not (is_number(fraction) and 0 < fraction <= 1):
        raise ValueError(f"fraction is the share of all 2^n coalitions, more than 0 and at most 1; got {fraction!r}.")
    if budget is not None and not (is_number(budget) and budget > 0 and (budget >= 1 or isinstance(budget, float))):
        raise ValueError(f"budget is a number of evaluations, such as 128, or a fraction such as 0.25; got {budget!r}.")
    if isinstance(budget, float) and budget > 1:
        raise ValueError(f"budget is a whole number of evaluations, or a fraction of at most 1; got {budget!r}.")
    return budget if fraction is None else float(fraction)


def _mode(given: Mapping[str, Any], texts: TfIdfCosine | None) -> Any:
    mode = given.get("mode")
    parts = {name: given[name] for name in OF_SIMILARITY if name in given}
    if not compares_answers(given):
        if parts:
            raise ValueError(
                f"{' and '.join(parts)}: only mode: similarity compares answers, and the mode is {mode!r}. Give that mode, or "
                "leave them out."
            )
        return None if mode is None else _object("mode", mode)
    further = dict((mode["similarity"] or {}) if isinstance(mode, Mapping) else {})
    if "repeats" in further and "generate" in given:
        further.setdefault("generate", given["generate"])
    return _similarity(parts, further, texts)


def _similarity(parts: Mapping[str, Any], further: dict[str, Any], texts: TfIdfCosine | None) -> ResponseSimilarity:
    arguments = dict(further)
    if "embedding" in parts:
        arguments["embedding"] = _object("embedding", parts["embedding"])
    if "reducer" in parts:
        arguments["reducer"] = _check_member("reducer", parts["reducer"])
    if is_corpus_measure(parts.get("similarity")):
        if texts is None:
            raise ValueError("TfIdfCosine weighs words by how rare they are in the data: it needs the texts of the data.")
        arguments["similarity"] = texts
    elif "similarity" in parts:
        arguments["similarity"] = _object("similarity", parts["similarity"])
    return called("mode similarity", ResponseSimilarity, arguments)


def _pinned(given: Mapping[str, Any]) -> Any:
    pinned = given.get("pinned")
    if isinstance(pinned, (str, Mapping)):
        pinned = _object("pinned", pinned)
    modality = _check_member("modality", given.get("modality", "all"))
    if modality == "all":
        return pinned
    if isinstance(pinned, list):
        if not all(isinstance(one, str) for one in pinned):
            raise ValueError(f"With modality: {modality}, features are pinned by their texts or a filter; got {pinned!r}.")
        pinned = StopPhrases(*pinned)
    return OtherModalities(modality, also=pinned)


def _object(name: str, value: Any) -> Any:
    """What a name, or {name: arguments}, stands for; other values of a baseline and of groups are themselves."""
    if name == "groups":
        return imported(value) if is_import_path(value) else value
    if name == "baseline" and not (isinstance(value, Mapping) or is_import_path(value)):
        return value
    value = resolved(value, {"embedding": EMBEDDINGS, "similarity": SIMILARITIES}.get(name, {}))
    members = MEMBERS_OF.get(name, {})
    if isinstance(value, str) and value.lower() in members:
        return members[value.lower()]
    return made(name, value, CLASSES_OF[name], members)


def _check_member(name: str, value: Any) -> Any:
    """A name of a member, or what an import path leads to."""
    if isinstance(value, str) and value in MEMBERS_OF[name]:
        return value
    if name == "reducer" and is_import_path(value):
        return imported(value)
    raise unknown(name, value, MEMBERS_OF[name], 'a function of your own as "package.module:name"' if name == "reducer" else "")


def _is_external(value: Any) -> bool:
    """Whether an embedding names an encoder, which is loaded with the model."""
    return isinstance(value, Mapping) and list(value) == ["External"]


def _read_plain(name: str, value: Any) -> Any:
    return tuple(value) if name == "roles" and isinstance(value, list) else value
