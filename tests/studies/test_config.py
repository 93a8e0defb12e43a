"""What a config may say, how its mistakes are told, and the runs that it stands for."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from interpreto_mllm.studies.aliases import METHODS
from interpreto_mllm.studies.config import Study
from interpreto_mllm.studies.options import explainer_options
from interpreto_mllm.studies.problems import ConfigError
from interpreto_mllm.studies.reading import read_config

LEAST: dict[str, Any] = {"name": "s", "model": "shipped:text", "data": "shipped:text", "method": "KernelShap"}


def runs(**given: Any) -> list[Any]:
    return Study.from_values({**LEAST, **given}).runs()


def refused(**given: Any) -> str:
    with pytest.raises(ConfigError) as found:
        Study.from_values({**LEAST, **given})
    return str(found.value)


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_a_file_is_read_with_its_base_and_mistakes_have_their_line(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml", "model: {name: shipped:text, dtype: float32}\ndata: shipped:text\nbudget: [32]\nseed: 3\n")
    child = "base: base.yaml\nmodel: {device: cpu}\nmethod:\n  - KernelShap\n  - {name: Lime, arguments: {alpha: 1e-2}}\n"
    study = Study.load(write(tmp_path, "child.yaml", child + "budget: 64\n"))
    first, second = study.runs()
    assert study.name == "child"
    assert (first.model.dtype, first.model.device, first.method.call, first.seed) == ("float32", "cpu", {"budget": 64}, 3)
    assert second.method.arguments == {"alpha": 0.01}
    with pytest.raises(ConfigError, match=r"child.yaml, line 5: method\[1\]: Lime has no argument 'alhpa'; did you"):
        Study.load(write(tmp_path, "child.yaml", child.replace("alpha", "alhpa")))
    write(tmp_path, "base.yaml", "model: {name: shipped:text, dtpye: float32}\ndata: shipped:text\n")
    with pytest.raises(ConfigError, match=r"base.yaml, line 1: model.dtpye: there is no key 'dtpye'"):
        Study.load(tmp_path / "child.yaml")


def test_json_says_the_same_as_yaml(tmp_path: Path) -> None:
    given = {**LEAST, "budget": [8, 0.5], "occlusion": {"Replace": "_"}}
    of_json = Study.load(write(tmp_path, "a.json", json.dumps(given, indent="\t")))
    of_yaml = Study.load(write(tmp_path, "a.yaml", json.dumps(given)))
    assert of_json == of_yaml == Study.from_values(given)


def test_a_part_of_another_name_takes_nothing_from_the_base(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml", "method: {name: Lime, arguments: {alpha: 1}}\nocclusion: {Replace: x}\n")
    read = read_config(write(tmp_path, "a.yaml", "base: [base.yaml]\nmethod: {name: KernelShap}\nocclusion: {Drop: }\n"))
    assert read.values == {"method": {"name": "KernelShap"}, "occlusion": {"Drop": None}}


def test_paths_start_from_the_working_folder_or_the_configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    config = write(tmp_path / "configs", "a.yaml", "data: [rows.csv, {name: rows.csv, split: x}, shipped:text]\nmodel: m\n")
    write(tmp_path / "configs", "rows.csv", "prompt\n")
    there = str(tmp_path / "configs" / "rows.csv")
    assert read_config(config).values["data"] == [there, {"name": there, "split": "x"}, "shipped:text"]
    write(tmp_path, "rows.csv", "prompt\n")
    assert read_config(config).values["data"][0] == "rows.csv"


@pytest.mark.parametrize(
    "text, said",
    [
        ("a: 1\na: 2\n", "line 2: the key 'a' is written twice"),
        ("a: [1\n", "this is no YAML"),
        ("- a\n", "a config is a mapping of keys to values"),
        ("base: a.yaml\n", "cannot be based on itself: a.yaml → a.yaml"),
        ("base: other.yaml\n", "there is no such file"),
        ("base: 3\n", "must be the path of a file"),
    ],
)
def test_files_that_are_no_configs(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_config(write(tmp_path, "a.yaml", text))


def test_words_such_as_no_stay_texts(tmp_path: Path) -> None:
    read = read_config(write(tmp_path, "a.yaml", "a: no\nb: true\nc: 2020-01-01\nd: 1e3\ne: '1e3'\nf: 07\n"))
    assert read.values == {"a": "no", "b": True, "c": "2020-01-01", "d": 1000.0, "e": "1e3", "f": 7}


@pytest.mark.parametrize(
    "given, said",
    [
        ({"fractoin": 0.5}, "fractoin: there is no key 'fractoin'; did you mean 'fraction'?"),
        ({"model": [LEAST["model"], {"name": "x", "dtpye": 1}]}, "model[1].dtpye: there is no key 'dtpye'"),
        ({"data": {"name": "x", "select": {"max": 0}}}, "data.select.max: must be at least 1; got 0"),
        (
            {"data": {"name": "x", "columns": {"promt": "q"}}},
            "data.columns.promt: there is no key 'promt'; did you",
        ),
        ({"data": 3}, "data: must be a name or a mapping; got 3"),
        ({"method": "kernelshap"}, "method: method has no 'kernelshap'; did you mean 'KernelShap'?"),
        ({"method": "no.such.module:Mine"}, "there is no module no"),
        ({"method": "math:sqrt"}, "math:sqrt is no method"),
        (
            {"method": {"name": "KernelShap", "call": {"budgte": 3}}},
            "method.call.budgte: There is no option 'budgte'; did",
        ),
        ({"method": []}, "method: the list is empty"),
        ({"seed": [0, 0]}, "seed[1]: the same is there twice"),
        ({"seed": "a"}, "seed: must be a whole number; got 'a'"),
        ({"budget": [32, 32]}, "budget[1]: 32 is there twice"),
        ({"budget": "many"}, "budget is a number of evaluations, such as 128, or a fraction such as 0.25; got 'many'"),
        ({"budget": 1.5}, "a fraction of at most 1; got 1.5"),
        ({"fraction": 2}, "fraction is the share of all 2^n coalitions"),
        ({"granularity": "wrod"}, "granularity has no 'wrod'; did you mean 'word'? Accepted: all_tokens, token, word"),
        ({"occlusion": ["Drop", {"Replce": "_"}]}, "occlusion[1]: occlusion has no 'Replce'; did you mean 'Replace'?"),
        ({"image_granularity": {"Patches": [1, 2, 3]}}, "image_granularity Patches takes"),
        ({"image_granularity": {"Patches": {"row": 2}}}, "has no argument 'row'; did you mean 'rows'?"),
        ({"image_granularity": {"Patches": [0, 2]}}, "image_granularity: image_granularity Patches:"),
        ({"occlusion": {"Drop": None, "Replace": "_"}}, "occlusion is a name, or {name: arguments}"),
        ({"mode": "log_sofmax"}, "did you mean 'log_softmax'?"),
        ({"similarity": "CosinSimilarity"}, "similarity has no 'CosinSimilarity'"),
        ({"reducer": "maen"}, "reducer has no 'maen'; did you mean 'mean'?"),
        ({"normaliser": "abssum"}, "normaliser has no 'abssum'; did you mean 'abs_sum'?"),
        ({"modality": "smell"}, "modality has no 'smell'. Accepted: text, image, audio, video, all"),
        ({"batch_size": [8, 16]}, "batch_size must be a positive int; got [8, 16]"),
        ({"metrics": ["gini", "ginni"]}, "metrics[1]: metrics has no 'ginni'; did you mean 'gini'?"),
        ({"metrics": [{"name": "gini", "arguments": {"x": 1}}]}, "metrics[0]: gini has no argument 'x'. It has none."),
        ({"metrics": [{"gini": {}}]}, "metrics[0].gini: there is no key 'gini'. Accepted: name, arguments."),
        ({"data": {"name": "x", "columns": "q"}}, "data.columns: must be a mapping; got 'q'"),
        ({"seed": True}, "seed: must be a whole number; got True"),
        ({"mode": {"similarity": {"repeats": 2}}}, "repeats need generate=dict(do_sample=True, ...)"),
        ({"metrics": ["gini", "seed_sensitivity"]}, "metrics[1]: seed_sensitivity compares several results of a prompt"),
        ({"metrics": ["recall"], "data": "rows.csv"}, "metrics[0]: recall needs the causes of the answers"),
        ({"metrics": ["math:no"]}, "math:no: math has no 'no'"),
        ({"until": {"TopK": {"kk": 3}}}, "has no argument 'kk'; did you mean 'k'?"),
        ({"mode": "softmax", "embedding": "STATIC"}, "embedding: it says nothing to any run here: no run compares answers"),
        ({"method": "exact", "budget": 3}, "budget: it says nothing to any run here: the cost of these methods follows"),
        ({"modality": "text", "pinned": [3]}, "features are pinned by their texts or a filter"),
    ],
)
def test_mistakes_are_told_with_their_key_and_what_is_accepted(given: dict[str, Any], said: str) -> None:
    assert said in refused(**given)


def test_all_mistakes_are_told_at_once() -> None:
    assert "2 problems" in (told := refused(granularity="wrod", reducer="maen")) and told.count("\n") == 2


def test_missing_keys() -> None:
    with pytest.raises(ConfigError, match="the key 'method' is missing") as found:
        Study.from_values({"name": "s", "model": "shipped:text", "data": "shipped:text"})
    assert "method" in str(found.value.problems[0])


def test_answers_are_drawn_again_as_the_study_says() -> None:
    [run] = runs(mode={"similarity": {"repeats": 2}}, generate={"do_sample": True}, metrics={"name": "gini"})
    mode: Any = explainer_options(run.method.call, 0).get("inference_mode")
    assert (mode.repeats, mode.generate, run.metrics) == (2, {"do_sample": True}, ("gini",))


def test_lists_are_swept_over_in_every_combination() -> None:
    found = runs(budget=[8, 16], granularity=["word", "token"], seed=[0, 1], mode=["logits"])
    assert [(run.method.call["budget"], run.method.call["granularity"], run.seed) for run in found] == [
        *product([8, 16], ["word", "token"], [0, 1])
    ]
    assert [run.name for run in found][:2] == ["budget=8,granularity=word,seed=0", "budget=8,granularity=word,seed=1"]
    assert len({run.folder_name() for run in found}) == 8


def test_budgets_and_fractions_follow_each_other() -> None:
    assert [run.method.call for run in runs(budget=[8, 16], fraction=[0.5])] == [
        {"budget": 8},
        {"budget": 16},
        {"fraction": 0.5},
    ]


def test_what_says_nothing_is_left_out_and_equal_runs_are_one() -> None:
    assert [run.name for run in runs(method=["exact", "KernelShap"], budget=[8, 16])] == [
        "method=exact",
        "method=KernelShap,budget=8",
        "method=KernelShap,budget=16",
    ]
    found = runs(mode=["logits", "similarity"], embedding=["STATIC", "CONTEXTUAL"], similarity=["Cosine", "ExactMatch"])
    assert [run.method.call for run in found] == [
        {"mode": "logits"},
        {"mode": "similarity", "embedding": "Static", "similarity": "Cosine"},
        {"mode": "similarity", "similarity": "ExactMatch"},
        {"mode": "similarity", "embedding": "Contextual", "similarity": "Cosine"},
    ]


def test_a_methods_own_options_take_the_place_of_the_studys() -> None:
    found = runs(method=["Lime", {"name": "KernelShap", "call": {"budget": [4, 5], "granularity": "token"}}], budget=64)
    assert [(run.method.name, run.method.call) for run in found] == [
        ("Lime", {"budget": 64}),
        ("KernelShap", {"budget": 4, "granularity": "token"}),
        ("KernelShap", {"budget": 5, "granularity": "token"}),
    ]


def test_every_axis_of_the_parts_is_swept() -> None:
    found = runs(
        model=["shipped:text", {"name": "shipped:text", "dtype": "bfloat16"}],
        data=["shipped:text", {"name": "shipped:text", "arguments": {"facts": 2}}],
        selection=[{"max": 2}, {"max": 4}],
        method=["KernelShap", {"name": "KernelShap", "arguments": {"size_effects": False}}],
    )
    assert len({run.identity() for run in found}) == len({run.name for run in found}) == 16
    assert {run.data.select.max for run in found} == {2, 4}
    assert found[0].name == "model=shipped:text,data=shipped:text,selection=max=2,method=KernelShap"


def test_the_names_of_the_literature() -> None:
    resolved = {alias: runs(method=alias)[0].method for alias in METHODS}
    assert {alias: (one.name, one.arguments) for alias, one in resolved.items()} == {
        "exact": ("ExactShapley", {}),
        "limited_mc": ("MonteCarloShapley", {"cover_minimal": True}),
        "standard_mc": ("MonteCarloShapley", {"cover_minimal": False}),
        "limited_cc": ("ComplementaryShapley", {"cover_minimal": True}),
        "standard_cc": ("ComplementaryShapley", {"cover_minimal": False}),
        "limited_neyman": ("NeymanShapley", {"cover_minimal": True}),
        "standard_neyman": ("NeymanShapley", {"cover_minimal": False}),
        "hierarchical": ("HierarchicalShapley", {}),
        "auto": ("AutoShapley", {}),
    }


def test_one_run_has_the_name_of_the_study() -> None:
    assert [run.name for run in runs()] == ["s"]
