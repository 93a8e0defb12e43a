"""Calls of gradient methods: what is refused, what memory and modes leave alone, what results hold, and closed forms."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from support import zoo

from interpreto_mllm import (
    Attribution,
    AttributionExplainer,
    Contrast,
    Drop,
    Estimate,
    GradientAggregator,
    GradientPerturbator,
    Granularity,
    InferenceModes,
    IntegratedGradients,
    KernelShap,
    OtherPrompt,
    Points,
    RemoteModel,
    Replace,
    Saliency,
    SmoothGrad,
    Template,
    Tolerance,
    play,
)
from interpreto_mllm.aggregators import (
    GradientVarianceAggregator,
    KernelAggregator,
    MeanGradientAggregator,
    PathAggregator,
    SquaredGradientAggregator,
)
from interpreto_mllm.engine import differentiation
from interpreto_mllm.perturbators import KernelPerturbator, NoisePerturbator, PathPerturbator, UniformPerturbator

MODEL, TOKENIZER = zoo.build("llama"), zoo.byte_bpe()
PROMPT, TARGET = "The sky is blue", " red one"


def explained(model: Any = MODEL, **options: Any) -> Attribution:
    [found] = IntegratedGradients(model, TOKENIZER, steps=4, progress=False, **options)(PROMPT, TARGET)
    return found


@pytest.fixture(scope="module")
def plain() -> Attribution:
    return explained()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"layer": "model.layers.7"}, r"has no layer 'model.layers.7'. The nearest are 'model.layers"),
        ({"layer": "lm_head"}, r"No gradient can be taken at lm_head: its output has the shape"),
        ({"baseline": torch.zeros(3)}, r"A baseline of embeddings has the shape \(32,\).* got torch.float32 of shape \(3,\)"),
        ({"baseline": torch.zeros(32, dtype=torch.int64)}, r"in floats; got torch.int64"),
        ({"baseline": 10**6}, r"token ids of this tokenizer lie in \[0, "),
        ({"baseline": "mask"}, r"this tokenizer has no mask token"),
        ({"baseline": []}, r"baseline is an empty list"),
        ({"baseline": OtherPrompt("The sky")}, r"The other prompt has \d+ tokens and this one \d+"),
        ({"baseline": "zero", "occlusion": Replace("_")}, r"Give either baseline or occlusion"),
        ({"occlusion": Drop()}, r"IntegratedGradients moves embeddings, and Drop\(retokenize=False\) has none"),
        ({"inference_mode": InferenceModes.SIMILARITY}, r"answers that are generated anew have none"),
        ({"inference_mode": lambda logits, targets: targets.float()}, r"an inference mode of differentiable operations"),
        ({"budget": 0.5}, r"The budget of a gradient method is its number of points, an int of at least 1"),
        ({"until": Tolerance(0.1)}, r"PathPerturbator plans all of its points at once"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_explained_is_refused_in_words(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        explained(**options)


@pytest.mark.usefixtures("unchecked")
def test_no_steps_and_unknown_reductions_and_rules_are_refused() -> None:
    with pytest.raises(ValueError, match="steps must be a positive int: at so many points the gradient is taken; got 0"):
        IntegratedGradients(MODEL, TOKENIZER, steps=0)
    with pytest.raises(ValueError, match="rule must be one of 'gauss-legendre'"):
        IntegratedGradients(MODEL, TOKENIZER, rule="simpson")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="hidden must be one of 'sum', 'l1', 'l2'; got 'mean'"):
        Saliency(MODEL, TOKENIZER, hidden="mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Without noise all samples are the same"):
        SmoothGrad(MODEL, TOKENIZER, noise=0.0)


@pytest.mark.usefixtures("unchecked")
def test_baselines_of_another_modality_are_refused() -> None:
    with pytest.raises(TypeError, match="Images, clips and videos have image_occlusion, audio_occlusion and video_occlusion"):
        explained(baseline={"image": "red"})


def test_models_without_gradients_are_refused_before_anything_is_asked_of_them() -> None:
    remote = RemoteModel("http://127.0.0.1:9", "nothing")
    with pytest.raises(ValueError, match="Saliency needs gradients, which a served model does not give"):
        Saliency(remote)
    with torch.inference_mode():
        loaded = copy.deepcopy(MODEL)
    with pytest.raises(ValueError, match=r"was loaded within torch.inference_mode\(\)"):
        Saliency(loaded, TOKENIZER)
    rounded = copy.deepcopy(MODEL)
    rounded.is_quantized = True
    rounded.quantization_method = "bitsandbytes"
    with pytest.raises(ValueError, match=r"is quantised \(bitsandbytes\), and gradients pass through rounded weights wrongly"):
        Saliency(rounded, TOKENIZER)


def test_parts_that_do_not_fit_and_options_of_others_are_refused() -> None:
    with pytest.raises(TypeError, match="PathPerturbator draws points and KernelAggregator aggregates coalitions"):
        AttributionExplainer(MODEL, TOKENIZER, perturbator=PathPerturbator(), aggregator=KernelAggregator())
    with pytest.raises(TypeError, match="KernelPerturbator draws coalitions and PathAggregator aggregates gradients"):
        AttributionExplainer(MODEL, TOKENIZER, perturbator=KernelPerturbator(), aggregator=PathAggregator())
    with pytest.raises(ValueError, match="baseline is an option of gradient methods"):
        KernelShap(MODEL, TOKENIZER, baseline="zero")
    with pytest.raises(ValueError, match="A gradient method takes its few gradients anew"):
        IntegratedGradients(MODEL, TOKENIZER)(PROMPT, TARGET, evaluations=[])


def test_the_divergence_from_the_whole_prompt_has_gradients_along_a_path() -> None:
    options: dict[str, Any] = {"inference_mode": InferenceModes.KL, "occlusion": Replace("_"), "progress": False}
    [found] = IntegratedGradients(MODEL, TOKENIZER, steps=32, **options)(PROMPT, TARGET)
    [nothing, whole] = KernelShap(MODEL, TOKENIZER, **options).game(PROMPT, TARGET)(torch.tensor([[False] * 4, [True] * 4]))
    torch.testing.assert_close(found.empty.float(), nothing, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.full.float(), whole, rtol=0, atol=1e-6)
    assert found.completeness_gap is not None and float(found.completeness_gap.abs().max()) < 1e-3 < float(nothing.min())
    with pytest.raises(ValueError, match="where its gradient is zero, and Saliency takes the gradient there"):
        Saliency(MODEL, TOKENIZER, inference_mode=InferenceModes.KL)


def test_every_way_of_computing_gives_the_same(plain: Attribution) -> None:
    with torch.inference_mode():
        inside = explained()
    ways = [
        inside,
        explained(batched_rows=True),
        explained(gradient_checkpointing=True),
        explained(batch_size=3),
        explained(layer="model.embed_tokens"),
    ]
    for found in ways:
        torch.testing.assert_close(found.attributions, plain.attributions, rtol=1e-4, atol=1e-6)
    assert plain.counts.backwards == plain.t == 4
    assert ways[1].counts.backwards == 1
    assert (plain.counts.points, plain.counts.evaluations, plain.counts.forwards) == (4, 0, 2)


def test_batches_that_do_not_fit_are_halved_and_then_computed_twice(
    plain: Attribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = differentiation.Differentiator._output

    def full(self: Any, asked: Any, query: Any, leaves: Any, tails: Any) -> Any:
        if torch.is_grad_enabled() and not self._checkpointing:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return own(self, asked, query, leaves, tails)

    monkeypatch.setattr(differentiation.Differentiator, "_output", full)
    found = explained()
    torch.testing.assert_close(found.attributions, plain.attributions, rtol=1e-4, atol=1e-6)
    assert found.counts.backwards == 16  # one row at a time


def test_the_model_is_left_as_it_was_also_after_an_error() -> None:
    model = copy.deepcopy(MODEL).train()
    model.lm_head.weight.requires_grad_(False)
    model.model.norm.weight.grad = torch.ones_like(model.model.norm.weight)
    before = [(one.requires_grad, None if one.grad is None else one.grad.clone()) for one in model.parameters()]

    def broken(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("broken")

    explained(model, gradient_checkpointing=True)
    with pytest.raises(RuntimeError, match="broken"):
        explained(model, inference_mode=broken, gradient_checkpointing=True)
    assert model.training
    for parameter, (required, grad) in zip(model.parameters(), before, strict=True):
        assert parameter.requires_grad is required
        assert (parameter.grad is None) if grad is None else parameter.grad.equal(grad)
    assert not any(module._forward_hooks or "forward" in vars(module) for module in model.modules())


def test_a_whole_answer_takes_one_backward_and_is_the_sum_of_its_rows(plain: Attribution) -> None:
    whole = explained(whole_answer=True)
    assert (whole.counts.backwards, whole.targets, whole.t) == (1, [" red one"], 1)
    torch.testing.assert_close(whole.attributions, plain.attributions.sum(0, keepdim=True), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(plain.span().attributions, whole.attributions, rtol=1e-4, atol=1e-6)
    assert plain.span().targets == whole.targets
    [squared] = Saliency(MODEL, TOKENIZER, hidden="l2")(PROMPT, TARGET)
    with pytest.raises(ValueError, match="explain again with whole_answer=True"):
        squared.span()


def test_results_hold_points_and_are_saved_shown_and_made_again(plain: Attribution, tmp_path: Path) -> None:
    assert "4 points" in repr(plain) and "completeness gap" in repr(plain) and "evaluation" not in repr(plain)
    assert plain.gradients is not None and plain.gradients.slopes.shape == (4, 4, 4)
    plain.save(tmp_path / "result.json")
    loaded = Attribution.load(tmp_path / "result.json")
    assert loaded.attributions.equal(plain.attributions) and loaded.gradients.slopes.equal(plain.gradients.slopes)
    assert loaded.completeness_gap.equal(plain.completeness_gap)
    plain.to_html(tmp_path / "page.html")
    assert "integrated gradient" in (tmp_path / "page.html").read_text(encoding="utf-8")
    plain.plot(tmp_path / "bars.png")
    again = AttributionExplainer.from_settings(MODEL, TOKENIZER, plain.settings)
    assert again(PROMPT, TARGET)[0].attributions.equal(plain.attributions)


@pytest.mark.parametrize("call", [lambda one: one.interactions(), lambda one: one.fidelity(), lambda one: one.synergy()])
def test_what_needs_coalitions_says_so(plain: Attribution, call: Any) -> None:
    with pytest.raises(ValueError, match="needs values of coalitions, and this result is of IntegratedGradients"):
        call(plain)


def test_other_aggregators_take_what_results_keep_or_say_so(plain: Attribution) -> None:
    assert plain.reaggregate(PathAggregator()).attributions.equal(plain.attributions)
    with pytest.raises(ValueError, match="KernelAggregator aggregates values of coalitions"):
        plain.reaggregate(KernelAggregator())
    with pytest.raises(ValueError, match="not the gradients of every number of the input, which MeanGradientAggregator needs"):
        plain.reaggregate(MeanGradientAggregator())


def test_templates_chats_encodings_and_contrasts() -> None:
    template = Template("{who} lives in {where}", {"who": "Ada", "where": "Rome"}, {"who": "He", "where": "town"})
    chat = [{"role": "system", "content": "be nice"}, {"role": "user", "content": "what is the sky ?"}]
    encoding = TOKENIZER(PROMPT, return_tensors="pt")
    explainer = IntegratedGradients(MODEL, TOKENIZER, steps=64, progress=False)
    words = (["Ada", "Rome"], ["what", "is", "the", "sky", "?"], PROMPT.split())
    for inputs, features in zip((template, chat, encoding), words, strict=True):
        [found] = explainer(inputs, Contrast(" red", " blue"))
        assert [feature.text.strip() for feature in found.features] == features
        assert found.completeness_gap is not None and float(found.completeness_gap.abs().max()) < 1e-3
    [found] = explainer(template, " red")
    assert any("baselines of the template are not used" in note for note in found.notes)


def test_baselines_of_several_kinds_and_their_mean() -> None:
    singles = [explained(baseline=one) for one in ("mean", "sea")]
    both = explained(baseline=["mean", "sea"])
    torch.testing.assert_close(both.attributions, (singles[0].attributions + singles[1].attributions) / 2, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(both.empty, (singles[0].empty + singles[1].empty) / 2)
    tokens = explained(baseline=OtherPrompt("The sea is green"), granularity=Granularity.TOKEN)
    game = IntegratedGradients(MODEL, TOKENIZER).game("The sea is green", TARGET)
    torch.testing.assert_close(tokens.empty, game(torch.ones(1, 4).bool())[0], rtol=1e-4, atol=1e-4)


def test_gradient_shap_tends_to_the_expected_difference() -> None:
    """Of a quadratic, whose gradient at a random place of a line is half of the whole on average."""

    def quadratic(z: torch.Tensor) -> torch.Tensor:
        return (z @ torch.tensor([1.0, 2.0, -3.0]).double()).square()

    found = play(quadratic, UniformPerturbator(4000), PathAggregator(), n_features=3)
    exact = play(quadratic, PathPerturbator(2), PathAggregator(), n_features=3)
    errors = found.standard_errors
    assert errors is not None and bool(((found.attributions - exact.attributions).abs() < 4 * errors + 1e-9).all())
    torch.testing.assert_close(exact.efficiency_gap, torch.zeros(1).double(), atol=1e-9, rtol=0)
    stopped = play(quadratic, UniformPerturbator(4000), PathAggregator(), n_features=3, until=Tolerance(0.5))
    assert stopped.counts.points < 4000


def test_noise_leaves_the_gradient_of_a_linear_game_and_has_the_variance_of_a_quadratic_one() -> None:
    weights = torch.tensor([1.0, 2.0]).double()
    perturbator = NoisePerturbator(2000, 0.1)
    linear = play(lambda z: z @ weights, perturbator, MeanGradientAggregator(), n_features=2)
    torch.testing.assert_close(linear.attributions, weights[None])
    squares = play(lambda z: z @ weights, perturbator, SquaredGradientAggregator(), n_features=2)
    torch.testing.assert_close(squares.attributions, weights[None] ** 2)
    variance = play(lambda z: z.square() @ weights, perturbator, GradientVarianceAggregator(), n_features=2)
    torch.testing.assert_close(variance.attributions, (2 * weights * 0.1)[None] ** 2, rtol=0.1, atol=0)


def test_a_pair_of_ones_own() -> None:
    class Halfway(GradientPerturbator):
        def draw(self, n: int, budget: int, generator: torch.Generator) -> Any:
            found = yield Points(torch.full((1, n), 0.5))
            assert found.slopes.shape == (1, 4, n)

    class Slope(GradientAggregator):
        estimand = "slope"

        def fold_points(self, gradients: Any) -> Estimate:
            return Estimate(gradients.slopes[0])

    [found] = AttributionExplainer(MODEL, TOKENIZER, perturbator=Halfway(), aggregator=Slope())(PROMPT, TARGET)
    game = AttributionExplainer(MODEL, TOKENIZER, perturbator=Halfway(), aggregator=Slope()).game(PROMPT, TARGET)
    around = torch.full((2, 4), 0.5, dtype=torch.float64)
    around[0, 1], around[1, 1] = 0.45, 0.55
    low, high = game(around)
    torch.testing.assert_close((high - low) / 0.1, found.attributions[:, 1], rtol=0.1, atol=0.02)
    assert found.estimand == "slope"
