"""Several threads explain on one model, with one explainer or one each, and get what one thread alone gets."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from interpreto_mllm import (
    InferenceModes,
    IntegratedGradients,
    KernelShap,
    Patches,
    Relevance,
    ResponseSimilarity,
    SmoothGrad,
    Windows,
    punctuation,
)
from interpreto_mllm.engine.decoder_hooks import override_decoder_inputs
from interpreto_mllm.engine.turns import in_turns, turn
from interpreto_mllm.similarity import Contextual
from interpreto_mllm.testbed import load_hearing, load_sight, sample_clip_prompts, sample_scene_prompts

THREADS = 4
TEXTS = ["the apple is red . the sky is blue . what is the apple ?", "the dog is pink . what is the dog ?"]
SHORT = {"max_new_tokens": 2}
SAMPLED = {**SHORT, "do_sample": True, "temperature": 2.0, "repetition_penalty": 1.1}
KINDS: dict[str, dict[str, Any]] = {
    "text": {},
    "similarity": {"inference_mode": InferenceModes.SIMILARITY, "generate": SHORT},
    "contextual": {"inference_mode": ResponseSimilarity(Contextual(after_prompt=True)), "generate": SHORT},
    "sampled by generate": {"inference_mode": ResponseSimilarity(generate=SAMPLED)},
    "pictures": {"image_granularity": Patches(2, 2), "pinned": punctuation},
    "answers to pictures": {"inference_mode": InferenceModes.SIMILARITY, "generate": SHORT, "pinned": punctuation},
    "clips": {"audio_granularity": Windows(500), "pinned": punctuation},
    "gradients": {"method": IntegratedGradients},
    "gradients of pictures": {"method": SmoothGrad, "image_granularity": Patches(2, 2)},
    "relevance": {"method": Relevance},
    "relevance of pictures": {"method": Relevance, "image_granularity": Patches(2, 2)},
}


@pytest.fixture(scope="module")
def models(recall: Any) -> dict[str, Any]:
    """By what they read."""
    return {"texts": recall, "pictures": load_sight(), "clips": load_hearing()}


@pytest.fixture(scope="module")
def sight(models: dict[str, Any]) -> Any:
    return models["pictures"]


def explained(kind: str, models: dict[str, Any], calls: int, budget: int, shared: bool) -> None:
    """Explain in all threads at once and compare every value with that of one thread."""
    reads = next((name for name in models if name in kind), "texts")
    scenes, clips = sample_scene_prompts(2, things=3, seed=1, asks="colour"), sample_clip_prompts(2, seed=1)
    read = {"pictures": [prompt.messages for prompt in scenes], "clips": [prompt.messages for prompt in clips]}
    inputs: list[Any] = read.get(reads, TEXTS)
    options = dict(KINDS[kind])
    method = options.pop("method", KernelShap)
    target = None if "inference_mode" in options else {"clips": "bell"}.get(reads, "red")
    options |= {} if method is Relevance else {"budget": budget}

    def explainer() -> Any:
        return method(*models[reads], progress=False, **options)

    together, common = threading.Barrier(THREADS), explainer()
    if shared:  # later calls know from the first what the model does, and need fewer forwards for the same coalitions
        common(inputs[0], target)
    wanted = [(common if shared else explainer())(one, target)[0] for one in inputs]

    def work(thread: int) -> None:
        together.wait()
        for call in range(calls):
            place = (thread + call) % len(inputs)
            [found] = (common if shared else explainer())(inputs[place], target)
            assert found.values.equal(wanted[place].values) and found.attributions.equal(wanted[place].attributions)
            assert found.notes == wanted[place].notes
            assert shared or found.counts.tokens == wanted[place].counts.tokens

    with ThreadPoolExecutor(THREADS) as threads:
        for done in [threads.submit(work, thread) for thread in range(THREADS)]:
            done.result()


@pytest.mark.parametrize(
    "kind, shared", [("text", True), ("similarity", True), ("pictures", False), ("gradients", False), ("relevance", True)]
)
def test_threads_get_what_one_thread_gets(kind: str, shared: bool, models: dict[str, Any]) -> None:
    explained(kind, models, calls=1, budget=8, shared=shared)


@pytest.mark.thorough
@pytest.mark.parametrize("kind", KINDS)
def test_threads_under_stress(kind: str, models: dict[str, Any]) -> None:
    """Four threads of fifty calls each, half of them with explainers of their own and half with one for all."""
    for shared in (False, True):
        explained(kind, models, calls=25, budget=12, shared=shared)


def test_sampled_answers_do_not_depend_on_other_threads(models: dict[str, Any]) -> None:
    explained("sampled by generate", models, calls=1, budget=6, shared=True)


def test_wrappers_of_a_model_share_its_turns_and_other_models_have_their_own() -> None:
    model = torch.nn.Linear(1, 1)
    entered = []

    def enter(other: torch.nn.Module) -> None:
        with turn(other):
            entered.append(other)

    with turn(model), turn(model):
        wrapper, other = torch.nn.Sequential(model), torch.nn.Linear(1, 1)
        threads = [threading.Thread(target=enter, args=(each,)) for each in (wrapper, other)]
        for thread in threads:
            thread.start()
        threads[1].join()
        threads[0].join(0.05)
        assert entered == [other]
    threads[0].join()
    assert entered == [other, wrapper]


def test_a_long_call_lets_others_have_a_turn_between_its_batches() -> None:
    model = torch.nn.Linear(1, 1)
    steps = in_turns(model, iter(range(2)))
    assert next(steps) == 0
    other = threading.Thread(target=lambda: list(in_turns(model, iter(range(3)))))
    other.start()
    other.join(10)
    assert not other.is_alive() and list(steps) == [1]


def test_forwards_of_the_user_in_another_thread_are_left_alone(sight: Any) -> None:
    model = sight[0]
    ids = torch.tensor([[5, 6, 7]])
    wanted, found = model(input_ids=ids).logits, []
    with override_decoder_inputs(model, lambda kwargs: {**kwargs, "inputs_embeds": kwargs["inputs_embeds"] * 0}):
        user = threading.Thread(target=lambda: found.append(model(input_ids=ids).logits))
        user.start()
        user.join()
        assert not model(input_ids=ids).logits.equal(wanted)
    assert found[0].equal(wanted)


def test_what_is_unfinished_belongs_to_the_thread_that_was_interrupted(recall: Any) -> None:
    explainer = KernelShap(*recall, budget=12, batch_size=4, progress=False)
    explainer(TEXTS[0], " red")

    def interrupted() -> int:
        def interrupt(*_: Any) -> None:
            raise KeyboardInterrupt

        hook = recall[0].register_forward_pre_hook(interrupt)
        try:
            with pytest.raises(KeyboardInterrupt):
                explainer(TEXTS[1], " pink")
        finally:
            hook.remove()
        return len(explainer.unfinished or [])

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(interrupted).result() == 1
    assert explainer.unfinished is None


def test_explainers_can_be_copied_and_pickled(recall: Any) -> None:
    explainer = KernelShap(*recall, budget=12, progress=False)
    [first] = explainer(TEXTS[0], " red")
    [second] = pickle.loads(pickle.dumps(explainer))(TEXTS[0], " red")
    assert second.values.equal(first.values)
