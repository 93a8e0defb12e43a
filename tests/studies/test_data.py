"""Rows of files, folders and shipped prompts become samples."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas
import pytest
import soundfile
from PIL import Image

from interpreto_mllm.studies.data import Sample, corpus, load_samples
from interpreto_mllm.studies.filter_expression import FilterExpression
from interpreto_mllm.studies.spec import DataSpec

ROWS = {
    "question": ["what is red ?", "is it blue ?", "why ?", "and the sky ?"],
    "answer": ["apple", "no", "because", "blue"],
    "label": [0, 1, 0, 1],
    "key": ["a", "b", "c", "d"],
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def samples(name: object, **given: Any) -> Any:
    return load_samples(DataSpec.model_validate({"name": str(name), **given}))


def questions(name: object, **select: Any) -> list[str]:
    return [sample.inputs for sample in samples(name, select=select)]


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    pandas.DataFrame(ROWS).to_parquet(tmp_path / "rows.parquet")
    return tmp_path / "rows.parquet"


@pytest.mark.parametrize("kind", ["parquet", "csv", "tsv", "jsonl", "json", "saved", "folder"])
def test_the_same_rows_from_every_kind_of_file(tmp_path: Path, kind: str) -> None:
    table, file = pandas.DataFrame(ROWS), tmp_path / f"rows.{kind}"
    if kind in ("csv", "tsv"):
        table.to_csv(file, index=False, sep="," if kind == "csv" else "\t")
    elif kind in ("json", "jsonl"):
        table.to_json(file, orient="records", lines=kind == "jsonl")
    elif kind == "saved":
        datasets.Dataset.from_pandas(table).save_to_disk(file)
    else:
        file = tmp_path / "folder"
        file.mkdir()
        table.to_parquet(file / "train.parquet")
    found = samples(file, columns={"target": "answer", "identity": "key"})
    assert [(one.identity, one.inputs, one.targets) for one in found] == [
        *zip(ROWS["key"], ROWS["question"], ROWS["answer"], strict=True)
    ]


def test_rows_are_filtered_shuffled_and_cut_in_this_order(parquet: Path) -> None:
    assert questions(parquet, start=1, max=2) == ROWS["question"][1:3]
    assert questions(parquet, where="label == 1 and 'blue' in question") == ["is it blue ?"]
    assert questions(parquet, min_length=6, max_length=12) == ["is it blue ?"]
    shuffled = questions(parquet, shuffle=1)
    assert sorted(shuffled) == sorted(ROWS["question"]) and shuffled != ROWS["question"]
    assert questions(parquet, shuffle=1, start=1, max=2) == shuffled[1:3]
    assert questions(parquet, shuffle=1, where="label == 0") == [one for one in shuffled if one in ROWS["question"][::2]]
    assert [one.identity for one in samples(parquet, select={"shuffle": 1})] != ["00000", "00001", "00002", "00003"]


def test_a_target_is_only_what_is_named(parquet: Path) -> None:
    assert samples(parquet)[0] == Sample("00000", "what is red ?")
    assert samples(parquet, columns={"target": "label"})[1].targets == 1
    [cause] = [samples(parquet, columns={"causes": "answer"})[0].truth]
    assert cause.texts == ("apple",)


@pytest.mark.parametrize(
    "given, said",
    [
        (
            {"columns": {"prompt": "qestion"}},
            "data.columns.prompt has no 'qestion'; did you mean 'question'? Accepted: question",
        ),
        ({"select": {"where": "lable == 1"}}, "where has no 'lable'; did you mean 'label'?"),
        ({"select": {"where": "label == 7"}}, "the selection {'where': 'label == 7'} leaves nothing of 4 rows"),
        ({"select": {"where": "label < 'a'"}}, "where: label < 'a' fails for the row {'label': 0}"),
        ({"select": {"start": 9}}, "leaves nothing of 4 rows"),
        ({"split": "dev"}, "has no 'dev'. Accepted: train"),
        ({"columns": {"identity": "label"}}, "data.columns.identity: rows 0 and 2 both have '0' in 'label'"),
        ({"name": "rows.parquett"}, "a file has no '.parquett'; did you mean '.parquet'?"),
        ({"name": "gone.parquet"}, "there is no file or folder"),
        ({"name": "broken.parquet"}, "cannot be read. "),
        ({"name": "empty.csv"}, "cannot be read. "),
        ({"name": "header.csv"}, "there are no rows"),
        ({"name": "strange.csv"}, "say which column holds the prompt, as in {prompt: NAME}; there are a, b"),
    ],
)
def test_mistakes_are_told(parquet: Path, given: dict[str, Any], said: str) -> None:
    folder = parquet.parent
    for name, text in {
        "broken.parquet": "no",
        "empty.csv": "",
        "header.csv": "prompt,x\n",
        "strange.csv": "a,b\n1,2\n",
    }.items():
        (folder / name).write_text(text)
    (folder / "rows.parquett").write_bytes(parquet.read_bytes())
    name = folder / given.get("name", "rows.parquet")
    if given.get("split"):
        datasets.DatasetDict(train=datasets.Dataset.from_dict(ROWS)).save_to_disk(folder / "saved")
        name = folder / "saved"
    with pytest.raises(ValueError) as found:
        samples(name, **{key: value for key, value in given.items() if key != "name"})
    assert said in str(found.value)


def test_a_data_set_that_the_hub_does_not_have() -> None:
    with pytest.raises(ValueError, match="'nobody/no-such-set' cannot be read"):
        samples("nobody/no-such-set")


def test_chats_of_every_spelling(tmp_path: Path) -> None:
    user, assistant = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}
    call = {"type": "function", "function": {"name": "f", "arguments": {}}}
    chats = [
        [user],
        [user, assistant],
        [user, assistant, user],
        [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho"}],
        "hi",
        [],
        [{"role": "user"}],
        [user, {"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "content": "so", "name": None}],
    ]
    texts = [one if isinstance(one, str) else json.dumps(one) for one in chats]
    pandas.DataFrame({"messages": texts}).to_csv(tmp_path / "chats.csv", index=False)
    found = samples(tmp_path / "chats.csv")
    assert [(one.inputs, one.targets) for one in found[:5]] == [
        ([user], None),
        ([user], "ho"),
        ([user, assistant, user], None),
        ([user], "ho"),
        ([user], None),
    ]
    assert "Row 5 cannot be explained: The column 'messages' holds no chat: []" in str(found[5].problem)
    assert "A message has a role and content" in str(found[6].problem)
    assert found[7].inputs[1]["tool_calls"] == [call] and found[7].inputs[2] == {"role": "tool", "content": "so"}
    assert len(samples(tmp_path / "chats.csv", select={"max": 2, "max_length": 2})) == 2


def test_images_and_clips_are_read_as_stored_and_put_where_they_belong(tmp_path: Path) -> None:
    picture, clip = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (6, 4), "red").save(picture, "PNG")
    soundfile.write(clip, np.zeros(800, dtype=np.float32), 16_000, format="WAV")
    part = {"type": "text", "text": "what ?"}
    given = {
        "messages": [[{"role": "user", "content": [{"type": "image"}, part]}]],
        "question": ["what ?"],
        "images": [[{"bytes": picture.getvalue(), "path": None}]],
        "audio": [{"bytes": clip.getvalue(), "path": None}],
    }
    table = datasets.Dataset.from_dict(given)
    table = table.cast_column("images", datasets.List(datasets.Image(decode=False))).cast_column(
        "audio", datasets.Audio(decode=False)
    )
    table.to_parquet(tmp_path / "media.parquet")
    image, audio = {"type": "image", "image": given["images"][0][0]}, {"type": "audio", "audio": given["audio"][0]}
    [sample] = samples(tmp_path / "media.parquet")
    assert sample.inputs == [{"role": "user", "content": [audio, image, part]}]
    [sample] = samples(tmp_path / "media.parquet", columns={"chat": "question"})
    assert sample.inputs == [{"role": "user", "content": [image, audio, part]}]
    [sample] = samples(tmp_path / "media.parquet", columns={"prompt": "question"})
    assert sample.inputs == {"text": "what ?", "images": given["images"][0], "audio": given["audio"]}


def test_folders_of_images_and_clips(tmp_path: Path) -> None:
    for name in ("red/1.png", "blue/2.png"):
        (tmp_path / "classes" / name).parent.mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "classes" / name)
    found = samples(tmp_path / "classes", columns={"target": "label"})
    assert [(one.inputs, one.targets) for one in found] == [
        ({"images": [str(tmp_path / "classes" / name)]}, name.split("/")[0]) for name in ("blue/2.png", "red/1.png")
    ]
    (tmp_path / "clips" / "test").mkdir(parents=True)
    soundfile.write(tmp_path / "clips" / "test" / "s.wav", np.zeros(800, dtype=np.float32), 16_000)
    rows = tmp_path / "clips" / "test" / "metadata.jsonl"
    rows.write_text('{"file_name": "s.wav", "question": "what ?", "answer": "beep"}\n')
    [sample] = samples(tmp_path / "clips", columns={"target": "answer"})
    part = {"type": "audio", "audio": str(tmp_path / "clips" / "test" / "s.wav")}
    assert (sample.inputs, sample.targets) == (
        [{"role": "user", "content": [part, {"type": "text", "text": "what ?"}]}],
        "beep",
    )
    rows.write_text('{"file_name": "gone.wav"}\n')
    with pytest.raises(ValueError, match=r"row 1 of .* names the file gone.wav, which is not there"):
        samples(tmp_path / "clips")


def test_paths_start_from_the_file_that_holds_them(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "p.png")
    (tmp_path / "rows.csv").write_text("image,question\np.png,what ?\n")
    [sample] = samples(tmp_path / "rows.csv")
    assert sample.inputs[0]["content"][0] == {"type": "image", "image": str(tmp_path / "p.png")}


@pytest.mark.parametrize("kind, words", [("text", "fact"), ("vision", "thing"), ("audio", "sound")])
def test_prompts_of_the_shipped_models(kind: str, words: str) -> None:
    found = samples(f"shipped:{kind}", select={"max": 3}, arguments={f"{words}s": 2, "seed": 4})
    again = samples(f"shipped:{kind}", select={"start": 1, "max": 1}, arguments={f"{words}s": 2, "seed": 4})
    assert len(found) == 3 and found[1].identity == again[0].identity and found[1].targets == again[0].targets
    assert pickle.loads(pickle.dumps(found[0])).truth == found[0].truth
    with pytest.raises(ValueError, match="has no argument 'thinsg'"):
        samples(f"shipped:{kind}", arguments={"thinsg": 2})
    with pytest.raises(ValueError, match="data has no 'shipped:txt'; did you mean 'shipped:text'"):
        samples("shipped:txt")


def test_the_corpus_is_all_rows_whichever_are_explained(parquet: Path) -> None:
    few = DataSpec.model_validate({"name": str(parquet), "columns": {"target": "answer"}, "select": {"max": 1}})
    measure = corpus(few)
    assert (measure.documents, measure.frequencies["is"], measure.frequencies["blue"]) == (8, 2, 2)
    assert measure == corpus(few.model_copy(update={"select": few.select.model_copy(update={"max": 3})}))


@pytest.mark.parametrize(
    "text",
    [
        *("__import__('os')", "text.upper()", "(lambda: 1)()", "[x for x in text]", "9 ** 9", "open('x')", "len(text=1)"),
        *("text if label else 1", "f'{text}'", "x := 1", "print", "a b", "text.__class__", "{**label}", "1 << 9", ""),
    ],
)
def test_filters_are_no_programs(text: str) -> None:
    with pytest.raises(ValueError, match=r"^where"):
        FilterExpression(text, ["text", "label"])


@pytest.mark.parametrize(
    "text",
    [
        "label == 1",
        "0 < label <= 2 and not text == ''",
        "lower(text) in ['a', 'bb'] or len(text) >= 3",
        "label % 2 == 0 and -label < 1",
        "text[0] == 'B'",
        "words(text) == ['a']",
        "startswith(text, 'a') and not endswith(text, 'c')",
        "label is not None",
        "(label + 1) * 2 // 3 - 1 > 0.5 / 2",
    ],
)
def test_filters_say_what_python_says(text: str) -> None:
    helpers = {
        "lower": str.lower,
        "words": str.split,
        "startswith": str.startswith,
        "endswith": str.endswith,
    }
    for row in ({"text": one, "label": label} for one in ("a", "Bb", "abc") for label in (0, 1, 3)):
        assert FilterExpression(text, row)(row) == bool(eval(text, helpers, row))


def test_texts_are_not_multiplied() -> None:
    with pytest.raises(ValueError, match="'aaa' is no number"):
        FilterExpression("len(text * 3) > 1", ["text"])({"text": "aaa"})
