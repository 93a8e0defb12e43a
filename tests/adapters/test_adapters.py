"""An adapter is complete when constructed, and what a call remembers ends with it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from support.server import Server
from support.zoo import build, byte_bpe, wordpiece

from interpreto_mllm import ExactShapley, Granularity, InferenceModes, RemoteModel, ResponseSimilarity
from interpreto_mllm.adapters import base
from interpreto_mllm.adapters.base import Batching, Generation, ModelAdapter
from interpreto_mllm.adapters.choose import adapter_for
from interpreto_mllm.adapters.questions import build_question
from interpreto_mllm.games.modes import Joint
from interpreto_mllm.media.cuts import Cuts
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.similarity import TfIdf

SAME = ResponseSimilarity(similarity=TfIdf(), generate={"max_new_tokens": 3})
TEXT = "the sky is blue"


@pytest.fixture(scope="module")
def remote(recall: Any) -> Iterator[RemoteModel]:
    server = Server(*recall)
    server.offers = {"prompt_logprobs", "echo", "logprobs"}
    yield RemoteModel(server.url, "recall")
    server.stop()


def made(model: Any, tokenizer: Any, value_function: Any = InferenceModes.LOG_SOFTMAX, **arguments: Any) -> ModelAdapter[Any]:
    return adapter_for(model, tokenizer, value_function, Generation(arguments), Batching())


def adapters(remote: RemoteModel) -> dict[str, ModelAdapter[Any]]:
    causal, tokenizer = build("llama"), byte_bpe()
    return {
        "causal": made(causal, tokenizer),
        "encoder-decoder": made(build("t5"), tokenizer),
        "classifier": made(build("bert"), wordpiece()),
        "similarity": made(causal, tokenizer, SAME),
        "remote": made(remote, None),
        "remote similarity": made(remote, None, SAME),
    }


def one_game(adapter: ModelAdapter[Any], given: list[Any] | None = None, prompt: str = TEXT) -> Any:
    reader = adapter.reader(Granularity.WORD, None, ("user",), (), None, Cuts())
    with adapter.preserved_state():
        [prompt_read] = reader.read(prompt)
        question = build_question(adapter, prompt_read, given, joint=Joint.SUM)
    [game] = adapter.games([prompt_read], [question])
    return game


def test_games_can_be_had_of_an_adapter_at_once_and_in_any_order(remote: RemoteModel) -> None:
    for name, adapter in adapters(remote).items():
        given = ["blue"] if name.startswith("remote") else None
        game = one_game(adapter, given)
        first = game(torch.ones(1, 4, dtype=torch.bool))
        assert game.n == 4 and first.isfinite().all(), name
        assert first.allclose(one_game(adapter, given)(torch.ones(1, 4, dtype=torch.bool))), name


def test_everything_is_typed_and_nothing_is_passed_on_unseen() -> None:
    for name, method in inspect.getmembers(ModelAdapter, inspect.isfunction):
        kinds = {one.kind for one in inspect.signature(method).parameters.values()}
        assert not kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}, name
        if method.__module__ == base.__name__:
            annotated = [one.annotation is not one.empty for one in list(inspect.signature(method).parameters.values())[1:]]
            assert all(annotated), name


def test_what_a_call_remembers_is_forgotten_with_it(recall: Any) -> None:
    model, tokenizer = recall
    forwards: list[int] = []
    hook = model.register_forward_hook(lambda module, given, output: forwards.append(1))
    try:
        explainer = ExactShapley(model, tokenizer, inference_mode=SAME, granularity=Granularity.SENTENCE, progress=False)
        results, ends = [], []
        for _ in range(3):
            results += explainer("the apple is red . the sky is blue .", "red")
            ends.append(len(forwards))
    finally:
        hook.remove()
    assert ends[2] - ends[1] == ends[1] - ends[0] > 0, "the first call also probes the model"
    assert results[1].counts.forwards == results[2].counts.forwards > 0
    assert results[1].attributions.equal(results[2].attributions)


def test_games_of_one_call_share_a_scorer_and_those_of_others_do_not() -> None:
    adapter = made(build("llama"), byte_bpe(), SAME)
    reader = adapter.reader(Granularity.WORD, None, ("user",), (), None, Cuts())
    with adapter.preserved_state():
        prompts = reader.read([TEXT, "the sea is green"])
        questions = [build_question(adapter, prompt, ["blue"], joint=Joint.SUM) for prompt in prompts]
    here, there = adapter.games(prompts, questions)
    assert here.scorer is there.scorer
    assert adapter.games(prompts, questions)[0].scorer is not here.scorer


@pytest.mark.parametrize("family, positions, to_respond", [("llama", 9, 10), ("t5", 5, 6)])
def test_positions_of_inputs_and_answers(family: str, positions: int, to_respond: int) -> None:
    adapter = made(build(family), byte_bpe())
    input = ModelInput(np.arange(5, dtype=np.int64) + 40)
    assert adapter.positions(input, adapter.target([50, 51, 52, 53], "", input)) == positions
    assert adapter.positions_to_respond(input, 5) == to_respond


def test_room_is_checked_of_prompts_targets_and_responses() -> None:
    model, tokenizer = build("llama"), byte_bpe()
    scoring, responding = made(model, tokenizer), made(model, tokenizer, SAME)
    short, long = (ModelInput(np.full(length, 40, dtype=np.int64)) for length in (200, 254))
    target = scoring.target([50] * 60, "", short)
    scoring.check_room(short)
    scoring.check_room(long)
    responding.check_room(short)
    with pytest.raises(ValueError, match=r"prompt \(200 tokens\) and the target \(60\) need 260 positions, the model has 256"):
        scoring.check_room(short, target)
    with pytest.raises(ValueError, match=r"answer of up to 3 need 257 positions, the model has 256"):
        responding.check_room(long)


def test_who_responds_is_asked_of_the_adapter(remote: RemoteModel) -> None:
    found = {name: adapter.responder is not None for name, adapter in adapters(remote).items()}
    assert found == {name: name.endswith("similarity") for name in found}
    assert adapters(remote)["similarity"].generation_settings == {"max_new_tokens": 3}
    assert adapters(remote)["remote similarity"].generation_settings == {"max_new_tokens": 3, "model": "recall"}


@pytest.mark.parametrize("tokenizer", [None, "the tokenizer"])
def test_a_wrong_tokenizer_is_refused_at_construction(tokenizer: Any) -> None:
    with pytest.raises(TypeError, match="tokenizer must be the model's tokenizer, or its processor"):
        made(build("llama"), tokenizer)


def test_models_that_do_not_respond_are_refused_before_their_tokenizer_is_looked_at() -> None:
    with pytest.raises(ValueError, match="does not answer in text, so there are no responses to compare"):
        made(build("bert"), None, SAME)
    with pytest.raises(TypeError, match="neither generates text nor classifies"):
        made(build("llama").model, byte_bpe())
