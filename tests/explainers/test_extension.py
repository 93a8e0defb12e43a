"""What is known of a conversation that goes on: asked again never, kept in files, refused where it does not fit."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support.rollouts import (
    CLOSE,
    FACTS,
    MORE,
    NEXT,
    SENTENCES,
    SKY,
    WHY,
    WORDS,
    Ear,
)
from support.server import Server
from support.zoo import build, byte_bpe

from interpreto_mllm import (
    Attribution,
    ExactShapley,
    Granularity,
    InferenceModes,
    KernelShap,
    PermutationShapley,
    RemoteModel,
    Response,
    ResponseSimilarity,
)
from interpreto_mllm.similarity import ExactMatch

ROOT = Path(__file__).parent.parent


@pytest.fixture
def heard() -> tuple[Any, Any, Ear]:
    model, tokenizer = build("llama"), byte_bpe()
    return model, tokenizer, Ear(model, tokenizer)


def test_what_is_known_is_not_asked_again(heard: Any) -> None:
    model, tokenizer, ear = heard
    explainer = ExactShapley(model, tokenizer, share_prefixes=False, **WORDS)
    [first] = explainer(SKY)
    assert ear.turns() == [1] * 8
    second = explainer.extend(first, WHY)
    assert ear.turns() == [1] * 8 + [2] * 64
    assert len(set(ear.prompts)) == len(ear.prompts)
    assert (second.counts.evaluations, second.counts.paid) == (64, 64)
    assert (second.counts.answers_reused, second.counts.answers_asked) == (8, 0)
    explainer.extend(second, MORE)
    assert ear.turns() == [1] * 8 + [2] * 64 + [3] * 256
    assert "8 earlier answers reused" in repr(second)


def test_what_is_not_known_is_asked_once_and_counted(heard: Any) -> None:
    model, tokenizer, ear = heard
    explainer = KernelShap(model, tokenizer, share_prefixes=False, budget=14, **WORDS)
    [first] = explainer([{"role": "user", "content": "the sky is blue and a sea green"}])
    known = len(ear.prompts)
    assert ear.turns() == [1] * known
    longer = KernelShap(model, tokenizer, share_prefixes=False, budget=60, **WORDS)
    second = longer.extend(first, WHY)
    assert len(set(ear.prompts)) == len(ear.prompts)
    asked = ear.turns()[known:].count(1)
    assert 0 < asked == second.counts.answers_asked
    assert second.responses is not None
    parts = {tuple(row) for row in second.coalitions[:, : first.n].tolist()}
    stored = {tuple(row) for row in first.coalitions.tolist()}
    assert (second.counts.answers_asked, second.counts.answers_reused) == (len(parts - stored), len(parts & stored))
    ear.prompts.clear()
    again = longer.extend(second, MORE)
    assert len(set(ear.prompts)) == len(ear.prompts)
    assert again.counts.answers_asked == ear.turns().count(1) + ear.turns().count(2) > 0


def test_all_missing_answers_are_read_in_batches_together(recall: Any) -> None:
    model, tokenizer = recall
    forwards: list[int] = []
    hook = model.register_forward_hook(lambda module, given, output: forwards.append(1))
    try:
        chat = [{"role": "user", "content": "the apple is red . " * 8}]
        options = {**SENTENCES, "budget": 12, "seed": 3}
        [first] = PermutationShapley(model, tokenizer, **options)(chat)
        before = len(forwards)
        second = KernelShap(model, tokenizer, **{**options, "budget": 80})
        longer = second.extend(first, "what is the apple ?")
    finally:
        hook.remove()
    assert longer.counts.forwards <= len(forwards) - before < longer.counts.evaluations


@pytest.mark.parametrize("deep", [False, True])
def test_an_archive_goes_on(heard: Any, tmp_path: Path, deep: bool) -> None:
    model, tokenizer, ear = heard
    explainer = ExactShapley(model, tokenizer, share_prefixes=False, **WORDS)
    [before] = explainer([{"role": "user", "content": "the sky is"}])
    before = explainer.extend(before, "why") if deep else before
    expected = explainer.extend(before, MORE)
    before.save(tmp_path / "before.json")
    again = Attribution.load(tmp_path / "before.json")
    assert again.responses is not None and before.responses is not None
    assert again.responses.history == before.responses.history
    assert again.conversation is not None and before.conversation is not None
    assert again.conversation.messages == before.conversation.messages
    assert again.conversation.answered == before.conversation.answered
    ear.prompts.clear()
    longer = ExactShapley(model, tokenizer, share_prefixes=False, **WORDS).extend(again, MORE)
    assert set(ear.turns()) == {3 if deep else 2}
    torch.testing.assert_close(longer.attributions, expected.attributions, **CLOSE)
    assert longer.counts.answers_reused == expected.counts.answers_reused > 0
    longer.save(tmp_path / "longer.json")
    loaded = Attribution.load(tmp_path / "longer.json")
    assert loaded.responses is not None and longer.responses is not None
    assert loaded.responses.history == longer.responses.history
    assert loaded.counts == longer.counts


def test_another_process_goes_on_from_the_file(recall: Any, tmp_path: Path) -> None:
    explainer = ExactShapley(*recall, **SENTENCES)
    [first] = explainer(FACTS)
    first.save(tmp_path / "first.json")
    script = """
import sys
from interpreto_mllm import Attribution, ExactShapley, Granularity, ResponseSimilarity
from interpreto_mllm.similarity import ExactMatch
from interpreto_mllm.testbed import load_recall
mode = ResponseSimilarity(similarity=ExactMatch(), generate={"max_new_tokens": 4})
explainer = ExactShapley(*load_recall(), inference_mode=mode, granularity=Granularity.SENTENCE, progress=False)
second = explainer.extend(Attribution.load(sys.argv[1]), sys.argv[2])
print(second.counts.answers_reused, second.counts.answers_asked, second.attributions.tolist())
"""
    command = [sys.executable, "-W", "ignore", "-c", script, str(tmp_path / "first.json"), NEXT]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert printed.strip() == f"8 0 {explainer.extend(first, NEXT).attributions.tolist()}"


def test_an_archive_of_old_has_no_chat(recall: Any, tmp_path: Path) -> None:
    explainer = ExactShapley(*recall, **SENTENCES)
    [first] = explainer(FACTS)
    first.save(tmp_path / "first.json")
    content = json.loads((tmp_path / "first.json").read_text())
    for name in ("answers_reused", "answers_asked"):
        del content["counts"][name]
    del content["conversation"], content["responses"]["history"]
    (tmp_path / "first.json").write_text(json.dumps(content))
    again = Attribution.load(tmp_path / "first.json")
    assert again.conversation is None
    with pytest.raises(ValueError, match="has no chat to continue"):
        explainer.extend(again, NEXT)
    first.conversation.messages[0]["asked"] = object()  # type: ignore[union-attr]
    first.save(tmp_path / "first.json")
    assert Attribution.load(tmp_path / "first.json").conversation is None


def test_an_interrupted_run_goes_on(heard: Any) -> None:
    model, tokenizer, ear = heard
    explainer = ExactShapley(model, tokenizer, share_prefixes=False, batch_size=1, **WORDS)
    [first] = explainer(SKY)
    expected = explainer.extend(first, WHY)
    ear.prompts.clear()
    ear.deaf = 30
    with pytest.raises(KeyboardInterrupt):
        explainer.extend(first, WHY)
    ear.deaf = None
    assert explainer.unfinished is not None
    [unfinished] = explainer.unfinished
    assert unfinished.responses is not None
    assert len(unfinished.responses.history) == len(unfinished.coalitions) == 30
    resumed = explainer.extend(first, WHY, evaluations=explainer.unfinished)
    assert resumed.counts.paid == 64 - 30
    assert resumed.responses is not None and expected.responses is not None
    assert resumed.responses.history == expected.responses.history
    torch.testing.assert_close(resumed.attributions, expected.attributions, **CLOSE)


def test_a_run_may_fail_while_it_asks_what_was_answered_in_between(heard: Any) -> None:
    model, tokenizer, ear = heard
    [first] = KernelShap(model, tokenizer, share_prefixes=False, budget=6, **WORDS)(SKY)
    explainer = ExactShapley(model, tokenizer, share_prefixes=False, batch_size=1, **WORDS)
    ear.deaf = len(ear.prompts) + 3
    with pytest.raises(KeyboardInterrupt):
        explainer.extend(first, WHY)
    ear.deaf = None
    assert explainer.unfinished is not None
    assert ear.turns()[-3:] == [2, 2, 1]
    assert explainer.unfinished[0].coalitions.tolist() == [[False] * 6, [True] * 6]
    assert explainer.extend(first, WHY, evaluations=explainer.unfinished).counts.paid == 62
    between = [prompt for prompt, turn in zip(ear.prompts, ear.turns(), strict=True) if turn == 1]
    assert len(between) == 8 == len(set(between)), "no answer in between is asked for twice"


def test_a_checkpoint_goes_on(heard: Any, tmp_path: Path) -> None:
    model, tokenizer, ear = heard
    explainer = ExactShapley(model, tokenizer, share_prefixes=False, batch_size=1, **WORDS)
    [first] = explainer(SKY)
    ear.deaf = len(ear.prompts) + 20
    with pytest.raises(KeyboardInterrupt):
        explainer.extend(first, WHY, checkpoint=tmp_path / "run.json")
    ear.deaf = None
    assert explainer.extend(first, WHY, checkpoint=tmp_path / "run.json").counts.paid == 64 - 20
    with pytest.raises(ValueError, match="of another call"):
        explainer.extend(first, MORE, checkpoint=tmp_path / "run.json")


def test_games_with_and_without_a_fixed_history_are_not_mixed_up(recall: Any) -> None:
    explainer = ExactShapley(*recall, **SENTENCES)
    [first] = explainer(FACTS)
    total = explainer.extend(first, NEXT)
    assert total.conversation is not None
    [direct] = explainer(list(total.conversation.messages))
    with pytest.raises(ValueError, match="turns in between are fixed; this is one in which each"):
        explainer.extend(first, NEXT, evaluations=[direct])
    with pytest.raises(ValueError, match=r"answered again in between, as by extend.*; this is one whose"):
        explainer(list(total.conversation.messages), evaluations=[total])
    with pytest.raises(ValueError, match="of 3 features, this game has 4"):
        explainer.extend(first, NEXT, evaluations=[first])
    assert explainer.extend(first, NEXT, evaluations=[total]).counts.paid == 0
    assert first.responses is not None
    told = replace(first.responses, answers=((Response("grey"),), *first.responses.answers[1:]))
    elsewhere = replace(first, evaluations=replace(first.evaluations, responses=told))
    with pytest.raises(ValueError, match=r"to the same words the model answered 'black' there and 'grey'"):
        explainer.extend(elsewhere, NEXT, evaluations=[total])


@pytest.fixture
def server(recall: Any) -> Iterator[Server]:
    served = Server(*recall)
    yield served
    served.stop()


def test_a_served_model_goes_on_as_a_local_one(recall: Any, server: Server) -> None:
    local, remote = (
        ExactShapley(*model, roles=("user", "assistant"), **SENTENCES)
        for model in (recall, [RemoteModel(server.url, "recall")])
    )
    [here], [there] = local(FACTS), remote(FACTS)
    asked = len(server.asked)
    expected, result = local.extend(here, NEXT), remote.extend(there, {"role": "user", "content": NEXT})
    assert all(len(body["messages"]) == 3 for body in server.asked[asked:])
    assert result.responses is not None and expected.responses is not None
    assert torch.equal(result.coalitions, expected.coalitions)
    assert result.responses.texts == expected.responses.texts
    told = [[[one.text for one in said] for said in each.responses.history] for each in (result, expected)]
    assert told[0] == told[1]
    torch.testing.assert_close(result.attributions, expected.attributions, **CLOSE)
    with pytest.raises(ValueError, match="use the same model and generation arguments"):
        remote.extend(here, NEXT)
    [part] = KernelShap(RemoteModel(server.url, "recall"), budget=6, **SENTENCES)(FACTS)
    server.asked.clear()
    whole = KernelShap(RemoteModel(server.url, "recall"), budget=16, **SENTENCES).extend(part, NEXT)
    assert [len(body["messages"]) for body in server.asked].count(1) == whole.counts.answers_asked == 2
    assert whole.counts.forwards == len(server.asked) - 1  # the answer that others are compared with comes before
    torch.testing.assert_close(whole.attributions, expected.attributions, atol=1e-8, rtol=0)


def refused(model: Any = None, turn: Any = NEXT, given: Any = None, **options: Any) -> Any:
    """Extend something by an explainer with these options; the model may not be asked."""
    model, tokenizer = model
    settings = {**SENTENCES, **options}
    explainer = ExactShapley(model, tokenizer, **settings)
    hook = model.register_forward_pre_hook(lambda module, arguments: pytest.fail("The model was asked."))
    try:
        return explainer.extend(given, turn)
    finally:
        hook.remove()


@pytest.fixture(scope="module")
def explained(recall: Any) -> Attribution:
    return ExactShapley(*recall, **SENTENCES)(FACTS)[0]


MODE = SENTENCES["inference_mode"]
DRAWN = ResponseSimilarity(similarity=ExactMatch(), generate={"max_new_tokens": 4, "do_sample": True}, repeats=2)
LONGER = ResponseSimilarity(similarity=ExactMatch(), generate={"max_new_tokens": 5})


@pytest.mark.parametrize(
    "options, words",
    [
        ({"inference_mode": InferenceModes.LOG_SOFTMAX}, "which only the similarity game does"),
        ({"granularity": Granularity.WORD}, "The explanation's features are .*use the same model, granularity, roles"),
        ({"granularity": Granularity.ALL_TOKENS}, "Under ALL_TOKENS the intermediate answers would be features"),
        ({"roles": ("user", "system"), "pinned": ["the sky is blue ."]}, "The explanation's features are"),
        ({"inference_mode": DRAWN}, "repeats=1 only"),
        ({"inference_mode": LONGER}, "The explanation's answers were given under .*'max_new_tokens': 4"),
        ({"groups": [0, 0, 1]}, "`groups` has a label for each feature of one chat"),
        ({"pinned": lambda feature: feature.spans[0][0] > 112}, "chat is cut into other players than after .'red'.: use"),
        ({"turn": ""}, "new_turn is empty"),
        ({"turn": {"role": "user", "content": "  "}}, "new_turn is empty"),
        ({"turn": []}, "new_turn is what the user says next"),
        ({"turn": ["what ?"]}, "new_turn is what the user says next"),
        ({"turn": None}, "new_turn is what the user says next"),
        ({"turn": {"content": "what ?"}}, "new_turn is what the user says next"),
        ({"turn": {"role": "user"}}, "needs a text under 'content'"),
        ({"turn": {"role": "assistant", "content": "red"}}, "new_turn has a message of the assistant"),
        (
            {"turn": [{"role": "assistant", "content": "red"}, {"role": "user", "content": "why ?"}]},
            "new_turn has a message of the assistant",
        ),
        ({"turn": "what is the sky ? " * 200}, "need .* positions, the model has|the model reads"),
        ({"turn": {"role": "user", "content": [{"type": "image", "image": "x.png"}]}}, "part of the type image"),
    ],
)
def test_what_cannot_go_on_is_refused_before_the_model_is_asked(
    recall: Any, explained: Attribution, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        refused(recall, given=explained, **options)


def test_explanations_that_cannot_go_on_are_refused(recall: Any, explained: Attribution) -> None:
    [scored] = ExactShapley(*recall, **{**SENTENCES, "inference_mode": InferenceModes.SOFTMAX})(FACTS, "red")
    with pytest.raises(ValueError, match=r"has no answers to continue from .*'softmax'"):
        refused(recall, given=scored)
    [text] = ExactShapley(*recall, **SENTENCES)(FACTS[0]["content"])
    with pytest.raises(ValueError, match="has no chat to continue"):
        refused(recall, given=text)
    [drawn] = ExactShapley(*recall, **{**SENTENCES, "inference_mode": DRAWN})(FACTS)
    with pytest.raises(ValueError, match="repeats=1 only"):
        refused(recall, given=drawn)
    with pytest.raises(TypeError, match=r"one explanation, an Attribution; got list\. Extend them one by one"):
        refused(recall, given=[explained])
    tokenizer = byte_bpe()
    other = ExactShapley(build("llama"), tokenizer, **SENTENCES)
    with pytest.raises(ValueError, match="The explanation's chat reads"):
        other.extend(explained, NEXT)


def test_a_chat_that_grows_in_the_users_hands_leaves_the_explanation_alone(recall: Any) -> None:
    explainer = ExactShapley(*recall, **SENTENCES)
    chat = [dict(FACTS[0])]
    [first] = explainer(chat)
    chat[0]["content"] = "hello ."
    chat.append({"role": "assistant", "content": "red"})
    assert first.conversation is not None and list(first.conversation.messages) == FACTS
    assert explainer.extend(first, NEXT).targets == ["blue"]
