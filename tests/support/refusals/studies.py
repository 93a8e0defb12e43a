"""Configs, data and models of studies that are refused."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from support.refusals.row import Row

from interpreto_mllm.studies.build import explain_sample, load_model
from interpreto_mllm.studies.config import Study
from interpreto_mllm.studies.data import Sample, load_samples
from interpreto_mllm.studies.spec import DataSpec, ModelSpec
from interpreto_mllm.studies.validation import check_study

LEAST = {"name": "s", "model": "shipped:text", "data": "shipped:text", "method": "KernelShap"}


def study(**given: Any) -> Study:
    """A config."""
    return Study.from_values({**LEAST, **given})


def file(text: str) -> Any:
    """A config in a file."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "study.yaml"
        path.write_text(text, encoding="utf-8")
        return Study.load(path)


def data(name: str = "shipped:text", **given: Any) -> Any:
    """Samples of some data."""
    return load_samples(DataSpec.model_validate({"name": name, **given}))


def rows(text: str, **given: Any) -> Any:
    """Samples of a table in a file."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        path.write_text(text, encoding="utf-8")
        return data(str(path), **given)


def model(**given: Any) -> Any:
    """A model of a config."""
    return load_model(ModelSpec.model_validate(given))


def unreadable() -> Any:
    """The explanation of a row without a text."""
    [run] = study().runs()
    return explain_sample(None, run, Sample("1", None, problem="Row 1 cannot be explained: …"))  # pyright: ignore


def tried(**given: Any) -> str:
    """What checks of a study's models and data find."""
    return str(check_study(study(**given), data=True, model=True)[0])


STUDIES = [
    Row("an unknown key in a config", lambda: study(fractoin=0.5), "there is no key 'fractoin'; did you mean 'fraction'?"),
    Row(
        "an unknown key in a part of a config",
        lambda: study(model={"name": "x", "dtpye": "float32"}),
        "model.dtpye: there is no key 'dtpye'; did you mean 'dtype'?",
    ),
    Row("a config without a method", lambda: Study.from_values({"name": "s"}), "method: the key 'method' is missing."),
    Row("an unknown method", lambda: study(method="kernelshap"), "method has no 'kernelshap'; did you mean 'KernelShap'?"),
    Row("an unknown metric", lambda: study(metrics=["ginni"]), "metrics has no 'ginni'; did you mean 'gini'?"),
    Row(
        "an argument that a method does not have",
        lambda: study(method={"name": "Lime", "arguments": {"alpah": 1}}),
        "Lime has no argument 'alpah'; did you mean 'alpha'?",
    ),
    Row("an option with an unknown name", lambda: study(granularity="wrod"), "granularity has no 'wrod'; did you mean 'word'?"),
    Row("an import path that leads nowhere", lambda: study(method="nowhere:Mine"), "there is no module nowhere"),
    Row("a value twice in a sweep", lambda: study(budget=[8, 8]), "budget[1]: 8 is there twice."),
    Row("a budget and no method that has one", lambda: study(method="exact", budget=8), "it says nothing to any run here"),
    Row(
        "an embedding where no answers are compared",
        lambda: study(mode="logits", embedding="STATIC"),
        "no run compares answers",
    ),
    Row("a file that is no YAML", lambda: file("a: [1"), "this is no YAML"),
    Row("a key twice in a file", lambda: file("name: a\nname: b\n"), "line 2: the key 'name' is written twice."),
    Row("a config based on itself", lambda: file("base: study.yaml\n"), "a config cannot be based on itself"),
    Row("a config that is not there", lambda: Study.load("/no/where.yaml"), "there is no such file."),
    Row("an empty data set", lambda: rows("prompt\n"), "there are no rows."),
    Row(
        "a column that the data does not have",
        lambda: rows("question\nwhy ?\n", columns={"prompt": "qestion"}),
        "data.columns.prompt has no 'qestion'; did you mean 'question'?",
    ),
    Row("data in which no column is a prompt", lambda: rows("a,b\n1,2\n"), "say which column holds the prompt"),
    Row("a selection that leaves nothing", lambda: data(select={"where": "answer == 'x'"}), "leaves nothing of 100 rows."),
    Row("a filter that is a program", lambda: data(select={"where": "open('x')"}), "cannot be called. Accepted: column names"),
    Row("two samples of the same identity", lambda: rows("prompt,k\na,1\nb,1\n", columns={"identity": "k"}), "both have '1'"),
    Row("a file of data that is not there", lambda: data("gone.parquet"), "there is no file or folder gone.parquet"),
    Row("a data set that nobody has", lambda: data("nobody/nothing"), "It is no file or folder here"),
    Row("a row that cannot be explained", unreadable, "Row 1 cannot be explained"),
    Row("a folder of a model that is not there", lambda: model(name="./gone"), "there is no folder ./gone"),
    Row("a model that nobody has", lambda: model(name="nobody/nothing"), "the Hugging Face Hub gives no such model"),
    Row("a dtype that there is not", lambda: model(name="shipped:text", dtype="float23"), "did you mean 'float32'?"),
    Row("a dtype for a server", lambda: model(name="x", url="http://a/v1", dtype="float32"), "is loaded by the server"),
    Row(
        "a run that cannot be begun, found by a check of its model",
        lambda: tried(method="KernelShap", budget=2, data={"name": "shipped:text", "select": {"max": 1}}),
        "KernelPerturbator needs a budget of at least",
        None,
    ),
]
