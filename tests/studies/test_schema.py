"""The JSON schema of a config accepts what a study accepts, and marks mistakes."""

from __future__ import annotations

from typing import Any

import pytest

from interpreto_mllm.studies.config import Study

jsonschema = pytest.importorskip("jsonschema")
LEAST: dict[str, Any] = {"name": "s", "model": "shipped:text", "data": "shipped:text", "method": "KernelShap"}


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = Study.model_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


GOOD: list[dict[str, Any]] = [
    {},
    {"base": "base.yaml"},
    {"model": [{"name": "x", "dtype": "float32"}, "shipped:vision"], "seed": [0, 1]},
    {"data": {"name": "rows.csv", "columns": {"prompt": "q"}, "select": {"max": 3}}, "selection": [{"max": 2}, {"start": 1}]},
    {"method": ["limited_mc", {"name": "my.module:Mine", "arguments": {"x": 1}, "call": {"budget": 3}}]},
    {"metrics": ["gini", "my.module:metric", {"name": "lds"}], "budget": [32, 0.5, None], "fraction": 0.25},
    {"granularity": ["word", "WORD", {"Sentences": "de"}, "my.module:split"], "occlusion": ["Drop", {"Replace": "_"}]},
    {
        "mode": ["similarity", "LOGITS", {"TopMass": 3}, {"similarity": {"repeats": 2}}],
        "embedding": ["STATIC", {"External": "x"}],
    },
    {
        "similarity": ["TfIdfCosineSimilarity", "Cosine"],
        "reducer": "mean",
        "normaliser": ["abs_sum"],
        "modality": ["text", "all"],
    },
    {"image_granularity": {"Patches": [2, 2]}, "until": {"TopK": {"k": 2}}, "pinned": ["a", 2], "batch_size": 4},
    {"pinned": {"StopPhrases": ["the"]}, "generate": {"max_new_tokens": 3}, "roles": ["user"], "baseline": "zero"},
]


@pytest.mark.parametrize("given", GOOD)
def test_good_configs_are_accepted(validator: Any, given: dict[str, Any]) -> None:
    assert [error.message for error in validator.iter_errors({**LEAST, **given})] == []


@pytest.mark.parametrize(
    "given",
    [
        {"fractoin": 1},
        {"model": {"name": "x", "dtpye": "float32"}},
        {"data": {"name": "x", "select": {"max": 0}}},
        {"budget": "many"},
        {"fraction": 2},
        {"granularity": "wrod"},
        {"occlusion": {"Replce": "_"}},
        {"mode": "softmaxx"},
        {"reducer": "maen"},
        {"normaliser": "my.module:scale"},
        {"seed": "a"},
        {"until": "TopKK"},
    ],
)
def test_mistakes_are_marked(validator: Any, given: dict[str, Any]) -> None:
    assert [*validator.iter_errors({**LEAST, **given})]


def test_names_and_descriptions_are_there_for_completion() -> None:
    schema = Study.model_json_schema()
    text = str(schema)
    assert all(
        name in text for name in ("KernelShap", "limited_neyman", "TfIdfCosineSimilarity", "deletion_auc", "Superpixels")
    )
    assert "name" not in schema["required"] and schema["additionalProperties"] is False
