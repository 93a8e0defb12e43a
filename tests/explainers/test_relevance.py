"""Relevance through the explainer: by token, feature, image region and sound segment, on every kind of model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support import families, zoo
from support.family_parts import clip, picture
from support.multimodal import ANSWER, CUTS, QUESTION, text, user

from interpreto_mllm import Attribution, AttributionExplainer, Granularity, InferenceModes, Relevance, RemoteModel
from interpreto_mllm.aggregators import RelevanceAggregator
from interpreto_mllm.engine.relevance.rules import relevance_rules
from interpreto_mllm.engine.relevance.trial import Conservation
from interpreto_mllm.perturbators import InputPerturbator

PROMPT, TARGET = "The sky is blue, apples", " red one"
KINDS: dict[str, Any] = {
    "llama": TARGET,
    "gpt2": TARGET,
    "bert": 1,
    "t5": TARGET,
}
QUICK = "gpt2"


def built(family: str) -> tuple[Any, Any]:
    return zoo.build(family), zoo.wordpiece() if family == "bert" else zoo.byte_bpe()


def by_hand(model: Any, ids: list[int], answer: list[int]) -> list[torch.Tensor]:
    """Relevance of each token of a prompt and its answer, for each token of the answer."""
    embeddings = model.get_input_embeddings()(torch.tensor([[*ids, *answer[:-1]]])).detach().requires_grad_()
    with relevance_rules(model):
        logits = model(inputs_embeds=embeddings).logits[0, len(ids) - 1 :]
    values = [logits[place, token] for place, token in enumerate(answer)]
    slopes = [torch.autograd.grad(value, embeddings, retain_graph=True)[0] for value in values]
    return [(embeddings * slope).detach().sum(-1)[0] for slope in slopes]


def test_scores_are_the_relevance_of_the_tokens_of_features() -> None:
    model, tokenizer = built("llama")
    ids, answer = tokenizer(PROMPT)["input_ids"], tokenizer.encode(TARGET, add_special_tokens=False)
    wanted = by_hand(model, ids, answer)
    several: Any = {"batched_rows": True, "gradient_checkpointing": True}
    for options in ({"granularity": Granularity.TOKEN}, several):
        [found] = Relevance(model, tokenizer, **options)(PROMPT, TARGET)
        assert found.counts.backwards == (1 if options is several else len(wanted))
        for row, relevance in enumerate(wanted):
            scores = torch.stack([relevance[list(feature.positions)].sum() for feature in found.features])
            torch.testing.assert_close(found.attributions[row].float(), scores, rtol=1e-4, atol=1e-6)
            gap = found.conservation_gap[row] + found.full[row]
            torch.testing.assert_close(gap.float(), relevance.sum(), rtol=1e-4, atol=1e-6)
    [whole] = Relevance(model, tokenizer, whole_answer=True)(PROMPT, TARGET)
    assert whole.counts.backwards == 1 and whole.counts.points == 1 and whole.estimand == "relevance"
    torch.testing.assert_close(whole.attributions[0], found.span().attributions[0], rtol=1e-4, atol=1e-6)


def cosines(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """A value function of a user's own, of operations without rules."""
    return logits.cos().gather(-1, targets[..., None])[..., 0]


def check_conservation(explainer: Relevance, inputs: Any, target: Any) -> tuple[Attribution, Conservation]:
    """What is missing from the sum is what biases, constants and the softmax keep."""
    [found] = explainer(inputs, target)
    traced = explainer.conservation(inputs, target)
    assert float(found.full.sum()) == pytest.approx(traced.value, abs=1e-4)
    assert abs(traced.lost) < 1e-5 * (1 + abs(traced.value) + sum(map(abs, traced.kept.values())))
    assert float(found.conservation_gap.sum()) == pytest.approx(-sum(traced.kept.values()), abs=1e-4)
    return found, traced


@pytest.mark.parametrize("family", [pytest.param(one, marks=[] if one == QUICK else pytest.mark.thorough) for one in KINDS])
def test_the_gap_is_what_the_model_keeps(family: str, tmp_path: Any) -> None:
    model, tokenizer = built(family)
    found, _ = check_conservation(Relevance(model, tokenizer, progress=False), PROMPT, KINDS[family])
    found.save(tmp_path / "found.json")
    assert torch.equal(Attribution.load(tmp_path / "found.json").conservation_gap, found.conservation_gap)
    assert "conservation gap" in str(found) and found.completeness_gap is None


@pytest.mark.parametrize(
    "family",
    [pytest.param(one, marks=[] if one == "llava" else pytest.mark.thorough)
     for one in (*families.IMAGE_TEXT, *families.AUDIO_TEXT)],
)  # fmt: skip
def test_regions_and_segments_have_the_relevance_of_their_pixels_and_samples(family: str) -> None:
    subject = families.family(family)
    sounds = family in families.AUDIO_TEXT
    medium = {"type": "audio", "audio": clip()} if sounds else {"type": "image", "image": picture()}
    found, _ = check_conservation(Relevance(subject.model, subject.processor, **CUTS), [user(medium, text(QUESTION))], ANSWER)
    pieces = [i for i, feature in enumerate(found.features) if feature.modality in ("image", "audio")]
    assert len(pieces) >= 3 and (found.attributions[:, pieces].abs().sum(0) > 0).all()


@pytest.mark.parametrize("mode", [InferenceModes.LOG_SOFTMAX, pytest.param(cosines, marks=pytest.mark.thorough)])
def test_other_values_than_logits_can_be_handed_back(mode: Any) -> None:
    explainer = Relevance(*built("llama"), inference_mode=mode)
    _, traced = check_conservation(explainer, PROMPT, " red")
    assert traced.kept["value function"] != 0


def test_relevance_of_a_layer_is_that_of_its_states() -> None:
    model, tokenizer = built("llama")
    [found] = Relevance(model, tokenizer, layer="model.layers.0")(PROMPT, " red")
    states: list[torch.Tensor] = []

    def keep(module: Any, args: Any, output: torch.Tensor) -> torch.Tensor:
        states.append(output.detach().requires_grad_())
        return states[0]

    handle = model.model.layers[0].register_forward_hook(keep)
    ids, [target] = tokenizer(PROMPT)["input_ids"], tokenizer.encode(" red", add_special_tokens=False)
    with relevance_rules(model):
        logit = model(torch.tensor([ids])).logits[0, -1, target]
    handle.remove()
    relevance = (states[0] * torch.autograd.grad(logit, states)[0]).detach().sum(-1)[0]
    scores = torch.stack([relevance[list(feature.positions)].sum() for feature in found.features])
    torch.testing.assert_close(found.attributions[0].float(), scores, rtol=1e-4, atol=1e-6)


def test_models_without_rules_are_refused_before_anything_is_explained() -> None:
    model, tokenizer = built("mamba")
    with pytest.raises(TypeError, match=r"MambaForCausalLM: it computes `exp` .* Llama, Mistral, Qwen 2 and 3, Gemma"):
        Relevance(model, tokenizer)(PROMPT, TARGET)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("option", [{"baseline": "mean"}, {"baseline": 3}])
def test_there_is_no_baseline(option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="leave `baseline` out, or use InputXGradient"):
        Relevance(*built("llama"), **option)


def test_relevance_is_not_composed_without_its_rules() -> None:
    with pytest.raises(TypeError, match="follow the rules of Relevance"):
        AttributionExplainer(*built("llama"), perturbator=InputPerturbator(), aggregator=RelevanceAggregator())


def test_a_served_model_has_no_relevance() -> None:
    with pytest.raises(ValueError, match="needs gradients, which a served model does not give"):
        Relevance(RemoteModel("http://localhost:1", "model"))
