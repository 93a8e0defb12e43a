"""The similarity game: answers are kept, compared again, archived and resumed."""

from __future__ import annotations

import functools
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.answers import CLOSE, PROMPT, SHORT, play
from support.zoo import build, byte_bpe, wordpiece

from interpreto_mllm import (
    Attribution,
    Contrast,
    ExactShapley,
    Granularity,
    InferenceModes,
    KernelShap,
    ResponseSimilarity,
    Template,
)
from interpreto_mllm.aggregators import BanzhafAggregator
from interpreto_mllm.similarity import Contextual, Cosine, Euclidean, ExactMatch, External, RougeL, Static, TfIdf, TokenMatch

ROOT = Path(__file__).parent.parent


def test_rescoring_is_the_game_of_the_other_similarity() -> None:
    model, tokenizer = build("llama"), byte_bpe()
    result = play(target=[" red lorry", Contrast(" the sky", " of apples")])
    assert result.values.shape == (16, 2)
    for mode in (
        ResponseSimilarity(Contextual(model, tokenizer), "max", Euclidean()),
        ResponseSimilarity(similarity=TfIdf()),
        ResponseSimilarity(Static(model, tokenizer), similarity=TokenMatch()),
    ):
        played = ResponseSimilarity(mode.embedding, mode.reducer, mode.similarity, SHORT)
        expected = play(target=[" red lorry", Contrast(" the sky", " of apples")], mode=played)
        again = result.rescore(mode)
        torch.testing.assert_close(again.values, expected.values, **CLOSE)
        torch.testing.assert_close(again.attributions, expected.attributions, **CLOSE)
        assert (again.mode, again.targets) == (expected.mode, ["red lorry", "the sky − of apples"])
        assert again.reaggregate(BanzhafAggregator()).responses is result.responses


def test_a_saved_result_is_rescored_in_another_process_without_the_model(tmp_path: Path) -> None:
    result = play(prompt="the sky is", target="the sky is red")
    result.save(tmp_path / "answers.json")
    script = (
        "import sys; from interpreto_mllm import Attribution, ResponseSimilarity;"
        "from interpreto_mllm.similarity import RougeL;"
        "again = Attribution.load(sys.argv[1]).rescore(ResponseSimilarity(similarity=RougeL()));"
        "print(again.values[:, 0].tolist())"
    )
    command = [sys.executable, "-W", "ignore", "-c", script, str(tmp_path / "answers.json")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert result.responses is not None
    rouge = RougeL()
    expected = [rouge("the sky is red", text) if text else 0.0 for text in result.responses.texts]
    assert [float(number) for number in printed.strip("[]\n").split(",")] == pytest.approx(expected)


@pytest.mark.parametrize("repeats", [1, 3])
def test_the_archive_keeps_every_answer(tmp_path: Path, repeats: int) -> None:
    drawn = {"do_sample": True, "temperature": 2.0} if repeats > 1 else {}
    result = play(target=[" red", Contrast(" a", " b")], mode=ResponseSimilarity(generate={**SHORT, **drawn}, repeats=repeats))
    result.save(tmp_path / "answers.json")
    again = Attribution.load(tmp_path / "answers.json")
    for name in ("originals", "columns", "answers", "repeats", "generation", "labels"):
        assert getattr(again.responses, name) == getattr(result.responses, name)
    torch.testing.assert_close(again.reaggregate(again.aggregator).standard_errors, result.standard_errors, rtol=0, atol=0)


def test_an_interrupted_run_answers_nothing_twice() -> None:
    model, tokenizer = build("gpt2"), byte_bpe()
    mode = ResponseSimilarity(similarity=TfIdf(), generate=SHORT)
    expected = play("gpt2", "the sky is blue and", mode=mode)
    explainer = ExactShapley(model, tokenizer, inference_mode=mode, batch_size=4, share_prefixes=False, progress=False)
    generate, rows = model.generate, []

    def failing(*positional: Any, **named: Any) -> Any:
        if len(rows) == 9:
            raise KeyboardInterrupt
        rows.append(named["input_ids"])
        return generate(*positional, **named)

    model.generate = failing
    with pytest.raises(KeyboardInterrupt):
        explainer("the sky is blue and")
    assert explainer.unfinished is not None
    [unfinished] = explainer.unfinished
    assert unfinished.responses is not None
    assert len(unfinished.responses) == len(unfinished.coalitions) == 9
    rows.append(torch.zeros(0))
    [resumed] = explainer("the sky is blue and", evaluations=explainer.unfinished)
    assert resumed.counts.paid == 32 - 9
    assert resumed.responses is not None and expected.responses is not None
    assert resumed.responses.answers == expected.responses.answers
    torch.testing.assert_close(resumed.attributions, expected.attributions, **CLOSE)
    other = ResponseSimilarity(similarity=ExactMatch(), generate=SHORT)
    [extended] = ExactShapley(model, tokenizer, inference_mode=other, progress=False)(
        "the sky is blue and", evaluations=[resumed]
    )
    assert extended.counts.paid == 0
    torch.testing.assert_close(extended.values, play("gpt2", "the sky is blue and", mode=other).values, **CLOSE)


def test_earlier_answers_must_be_answers_to_the_same(caplog: pytest.LogCaptureFixture) -> None:
    model, tokenizer = build("llama"), byte_bpe()
    answered, scored = play(), play(mode=InferenceModes.LOG_SOFTMAX, target=[5])
    explainer = ExactShapley(model, tokenizer, inference_mode=ResponseSimilarity(generate=SHORT), progress=False)
    with pytest.raises(ValueError, match="hold no answers"):
        explainer(PROMPT, evaluations=[scored])
    with pytest.raises(ValueError, match="other originals"):
        explainer(PROMPT, " red", evaluations=[answered])
    longer = ExactShapley(model, tokenizer, inference_mode=InferenceModes.SIMILARITY, progress=False)
    with pytest.raises(ValueError, match=r"other generation: .*4.*32"):
        longer(PROMPT, answered.responses.originals[0].text if answered.responses else "", evaluations=[answered])


def test_equal_answers_are_embedded_once() -> None:
    texts: list[str] = []

    def embed(asked: list[str]) -> np.ndarray:
        texts.extend(asked)
        return np.ones((len(asked), 3))

    result = play(prompt="the sky is blue and green", mode=ResponseSimilarity(embed, generate={"max_new_tokens": 1}))
    assert result.responses is not None
    assert len(result.coalitions) == 64
    assert sorted(texts) == sorted(
        {one.text for one in [*result.responses.originals, *sum(result.responses.answers, ())]} - {""}
    )


def test_without_the_users_words_the_model_answers_an_empty_turn(recall: Any) -> None:
    model, tokenizer = recall
    chat = [
        {"role": "user", "content": "the apple is red . the sky is blue ."},
        {"role": "assistant", "content": "ok ."},
        {"role": "user", "content": "what is the apple ?"},
    ]
    mode = ResponseSimilarity(similarity=ExactMatch(), generate=SHORT)
    options = {"granularity": Granularity.SENTENCE, "inference_mode": mode, "progress": False}
    [result] = ExactShapley(model, tokenizer, roles=("user", "assistant"), **options)(chat)
    emptied = [{**message, "content": ""} for message in chat]
    ids = tokenizer.apply_chat_template(emptied, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    said = model.generate(**ids, max_new_tokens=4)[0, ids["input_ids"].shape[1] :]
    assert result.responses is not None
    assert result.responses[0][0].text == tokenizer.decode(said, skip_special_tokens=True)
    assert [feature.role for feature in result.features] == ["user", "user", "assistant", "user"]
    assert result.responses.originals[0].text == "red"
    assert result.full.item() == 1


def test_any_turns_answer_is_explained_by_what_came_before(recall: Any) -> None:
    model, tokenizer = recall
    chat = [
        {"role": "user", "content": "the apple is red . what is the apple ?"},
        {"role": "assistant", "content": "red"},
        {"role": "user", "content": "thank you ."},
    ]
    mode = ResponseSimilarity(similarity=ExactMatch(), generate=SHORT)
    [result] = KernelShap(model, tokenizer, inference_mode=mode, progress=False)(chat[:1], chat[1]["content"])
    assert result.full.item() == 1
    assert {result.features[index].text for index in result.attributions[0].topk(4).indices} <= {
        "the",
        "apple",
        "is",
        "red",
        "what",
        "?",
    }


def test_a_template_is_worth_the_mean_over_its_baselines() -> None:
    template = Template("the {a} is {b}", {"a": "sky", "b": "blue"}, [{"a": "sea", "b": "red"}, {"a": "cat", "b": "old"}])
    mode = ResponseSimilarity(similarity=lambda a, b: float(len(b)), generate=SHORT)
    result = play(prompt=template, target=" x", mode=mode)
    assert result.responses is not None
    for said, value in zip(result.responses.answers, result.values, strict=True):
        assert len(said) == 2
        assert value.item() == pytest.approx(sum(len(one.text) for one in said) / 2)


def test_the_model_and_the_random_state_are_borrowed() -> None:
    model, tokenizer = build("llama"), byte_bpe()
    model.train()
    before = model.generation_config.to_dict()
    forward = model.forward

    @functools.wraps(forward)
    def watched(*positional: Any, **named: Any) -> Any:
        assert not model.training and not torch.is_grad_enabled()
        return forward(*positional, **named)

    model.forward = watched
    [result] = ExactShapley(model, tokenizer, inference_mode=ResponseSimilarity(Contextual(), generate=SHORT), progress=False)(
        PROMPT
    )
    assert result.n == 4
    assert model.training and torch.is_grad_enabled()
    assert model.generation_config.to_dict() == before


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: ResponseSimilarity(similarity=Cosine), "similarity must be Cosine"),  # type: ignore[arg-type]
        (lambda: ResponseSimilarity(similarity="cosine"), "similarity must be Cosine"),  # type: ignore[arg-type]
        (lambda: ResponseSimilarity(embedding="static"), "embedding must be Static"),  # type: ignore[arg-type]
        (lambda: ResponseSimilarity(Static(), similarity=TfIdf()), "compares texts and needs no embedding"),
        (lambda: ResponseSimilarity(reducer="median"), "mean, max, min, sum, first, last"),
        (lambda: ResponseSimilarity(repeats=3), "repeats need generate=dict"),
        (lambda: ResponseSimilarity(repeats=0), "positive int"),
        (lambda: External(torch.nn.Linear(2, 2)), "needs the encoder's tokenizer"),
        (lambda: play(mode=ResponseSimilarity(generate={"max_length": 20})), "give max_new_tokens"),
        (lambda: play(mode=ResponseSimilarity(generate={"max_new_tokens": 0})), "max_new_tokens must be"),
        (lambda: play(mode=ResponseSimilarity(generate={"max_new_tokens": 300})), "lower max_new_tokens"),
        (lambda: play(mode=ResponseSimilarity(similarity=lambda a, b: math.nan, generate=SHORT)), "not a finite number"),
        (lambda: play(mode=ResponseSimilarity(lambda texts: np.zeros(3), generate=SHORT)), "one vector per text"),
        (lambda: play(mode=InferenceModes.LOGITS, target=[5]).rescore(ResponseSimilarity()), "holds no answers"),
        (lambda: play().rescore(ResponseSimilarity(Static())), r"give Static\(model, tokenizer\)"),
        (lambda: play().rescore(ResponseSimilarity(generate=SHORT)), "lets no model answer"),
        (lambda: play().span(), "each target here is a whole answer"),
        (
            lambda: play().rescore(ResponseSimilarity(Contextual(build("llama"), byte_bpe(), after_prompt=True))),
            "does not keep prompts",
        ),
        (
            lambda: ExactShapley(build("bert"), wordpiece(), inference_mode=InferenceModes.SIMILARITY),
            "does not answer in text",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_similarity_makes_nothing_of_logits() -> None:
    with pytest.raises(TypeError, match="compares answers"):
        InferenceModes.SIMILARITY(torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64))


def test_the_page_shows_every_answer_and_what_it_is_worth(tmp_path: Path) -> None:
    result = play(prompt="the <b>sky</b> is", target=" red", mode=ResponseSimilarity(similarity=TfIdf(), generate=SHORT))
    result.to_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    body = page[page.index("<tbody>") : page.index("</tbody>")]
    assert result.responses is not None
    assert body.count("<tr>") == len(result.coalitions)
    assert "<b>" not in body
    values = [float(value) for value in re.findall(r'data-by="([^"]+)">[^ ]+</td>', body)]
    assert values == sorted(values, reverse=True) and len(values) == len(result.coalitions)
    assert "answers" not in play(mode=InferenceModes.LOGITS, target=[5])._repr_html_().split("<script")[0].split("</style>")[1]
