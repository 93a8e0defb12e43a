"""The command `explain`: from what is typed to a result in the terminal and in files."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from interpreto_mllm import Attribution, Chat, KernelShap, punctuation
from interpreto_mllm.cli.app import app
from interpreto_mllm.cli.explain import Asked, method_spec, model_spec, read_chat, read_inputs
from interpreto_mllm.cli.problems import UNUSABLE, Problem
from interpreto_mllm.testbed import sample_scene_prompts

TEXT = "the apple is red . what is the apple ?"
cli = CliRunner()


def explain(*arguments: object, given: str | None = None) -> Any:
    with warnings.catch_warnings():
        return cli.invoke(app, ["explain", *map(str, arguments)], input=given)


def test_a_prompt_is_shown_and_written_with_the_numbers_of_the_library(tmp_path: Path, recall: Any) -> None:
    files = [tmp_path / name for name in ("a.html", "a.json", "a.png")]
    given = ["--html", files[0], "--json", files[1], "--plot", files[2], "--method", "KernelShap", "-b", 40, "--seed", 3]
    said = explain(TEXT, *given, "--pin-punctuation", "--plain")
    assert said.exit_code == 0, said.output
    assert "KernelShap" in said.output and "apple" in said.output and f"Written: {files[0]}, {files[1]}" in said.output
    [expected] = KernelShap(*recall, pinned=punctuation, budget=40, seed=3, progress=False)(TEXT)
    assert Attribution.load(files[1]).attributions.equal(expected.attributions)
    assert files[0].read_text().startswith("<!doctype html>") and files[2].read_bytes().startswith(b"\x89PNG")


def test_the_standard_streams_hold_a_chat_and_a_result() -> None:
    chat = json.dumps({"messages": [{"role": "user", "content": TEXT}]})
    said = explain("--chat", "-", "--json", "-", "-b", 30, "-t", " red", "--granularity", "sentence", given=chat)
    assert said.exit_code == 0, said.output
    found = json.loads(said.stdout)
    assert found["format"] == "interpreto_mllm attribution" and [one["text"] for one in found["features"]][-1].endswith("?")


def test_a_chat_file_may_be_a_request_with_tools_and_documents(tmp_path: Path) -> None:
    tool = {"type": "function", "function": {"name": "weather"}}
    message = {"role": "user", "content": "Oslo ?"}
    request = {"messages": [message], "tools": [tool], "documents": [{"text": "Wet."}], "chat_template_kwargs": {"a": 1}}
    file = tmp_path / "chat.json"
    file.write_text(json.dumps({"model": "m", **request}))
    chat = read_chat(file)
    assert isinstance(chat, Chat)
    assert (chat.messages, chat.tools, chat.documents, chat.template) == ([message], [tool], [{"text": "Wet."}], {"a": 1})
    file.write_text(json.dumps({**request, "tools": [{}]}))
    with pytest.raises(Problem, match="this one has no name"):
        read_chat(file)


def test_an_image_is_read_and_options_are_set_by_name(tmp_path: Path) -> None:
    [scene] = sample_scene_prompts(1, things=3, seed=1, asks="colour")
    scene.image.save(tmp_path / "scene.png")
    settings = ["--set", "image_granularity={Patches: [3, 3]}", "--set", "size_effects=false", "--method", "KernelShap"]
    file = tmp_path / "a.json"
    said = explain(scene.question.text, "--image", tmp_path / "scene.png", *settings, "-q", "-b", 20, "--json", file)
    assert (said.exit_code, said.output) == (0, "")
    found = Attribution.load(file)
    assert [feature.modality for feature in found.features].count("image") == 9
    assert found.settings is not None and found.settings.arguments["size_effects"] is False


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Give either a prompt"),
        ([TEXT, "--chat", "a.json"], "got both"),
        (["--chat", "missing.json"], "missing.json cannot be read: there is no such file"),
        ([TEXT, "--image", "missing.png"], "There is no file missing.png"),
        ([TEXT, "--html", "no/folder/a.html"], "There is no folder no/folder"),
        ([TEXT, "--plot", "a.gif"], "--plot writes .png"),
        ([TEXT, "--method", "kernelshap"], "did you mean 'KernelShap'?"),
        ([TEXT, "--granularity", "wrod"], "did you mean 'word'?"),
        ([TEXT, "--set", "budget"], "--set takes KEY=VALUE"),
        ([TEXT, "--set", "bugdet=3"], "bugdet"),
        ([TEXT, "--set", "pinned=["], "is no value in YAML"),
        ([TEXT, "-m", "shipped:txt"], "shipped:txt"),
        ([TEXT, "-m", "http://localhost:1/v1"], "give --served-name"),
        ([TEXT, "-m", "shipped:text", "--served-name", "x"], "--served-name is for servers"),
        ([TEXT, "-b", "1"], "budget"),
    ],
)
def test_what_cannot_be_used_is_one_line(arguments: list[str], words: str) -> None:
    said = explain(*arguments)
    assert said.exit_code == UNUSABLE and words in said.output and "Traceback" not in said.output
    assert said.output.startswith("Error: ") and said.output.count("\n") == 1


def test_what_a_model_is_follows_from_the_prompt_and_its_name() -> None:
    text, image, clip = Asked("a", None), Asked("a", None, (Path("a.png"),)), Asked("a", None, (), (Path("a.wav"),))
    assert [model_spec(None, None, None, None, one).name for one in (text, image, clip)] == [
        "shipped:text",
        "shipped:vision",
        "shipped:audio",
    ]
    served = model_spec("https://host/v1", "llama", None, None, text)
    assert (served.name, served.url) == ("llama", "https://host/v1")
    assert model_spec("folder", None, "bfloat16", "cuda:0", text).dtype == "bfloat16"


def test_arguments_of_a_method_and_options_are_told_apart() -> None:
    spec = method_spec("Lime", {"budget": 40, "occlusion": "{Replace: _}"}, ["alpha=0.1", "pinned=[0, 1]"])
    assert spec.arguments == {"alpha": 0.1}
    assert spec.call == {"budget": 40, "occlusion": {"Replace": "_"}, "pinned": [0, 1]}


def test_a_chat_is_a_list_of_messages(tmp_path: Path) -> None:
    def read(text: str) -> Any:
        (tmp_path / "chat.json").write_text(text)
        return read_inputs(Asked(None, tmp_path / "chat.json"))

    assert read('[{"role": "user", "content": "hi"}]') == [{"role": "user", "content": "hi"}]
    with pytest.raises(Problem, match="line 1: this is no JSON"):
        read("[")
    with pytest.raises(Problem, match="must hold a list of messages"):
        read('{"role": "user"}')
    with pytest.raises(Problem, match="names its own images"):
        read_inputs(Asked(None, tmp_path / "chat.json", (tmp_path / "chat.json",)))
