"""Gradient methods equal captum's, which is used directly on the model where its wrapper of language models is wrong."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from captum.attr import (
    InputXGradient as CaptumInputXGradient,
)
from captum.attr import (
    IntegratedGradients as CaptumIntegratedGradients,
)
from captum.attr import (
    LayerGradientXActivation,
    LayerIntegratedGradients,
    LLMGradientAttribution,
    TextTokenInput,
)
from captum.attr import (
    Saliency as CaptumSaliency,
)
from support import families, zoo

from interpreto_mllm import Granularity, InferenceModes, InputXGradient, IntegratedGradients, Patches, Saliency

TOKENIZER, WORDS = zoo.byte_bpe(), zoo.wordpiece()
PROMPT, TARGET = "The sky is blue, apples", " red one"
MORE = pytest.mark.thorough
ALL: dict[str, Any] = {"granularity": Granularity.ALL_TOKENS, "progress": False}


def captum_rows(model: Any, prompt: str, answer: str, baseline: int, steps: int) -> torch.Tensor:
    layer = LayerIntegratedGradients(model, model.get_input_embeddings())
    given = TextTokenInput(prompt, TOKENIZER, baselines=baseline)
    return LLMGradientAttribution(layer, TOKENIZER).attribute(given, target=answer, n_steps=steps).token_attr


@pytest.mark.parametrize("family", ["llama", pytest.param("gpt2", marks=MORE), pytest.param("qwen3", marks=MORE)])
@pytest.mark.filterwarnings("ignore")
def test_integrated_gradients_of_a_language_model_are_captums(family: str) -> None:
    model = zoo.build(family)
    options: dict[str, Any] = {"steps": 16, "baseline": 5, "granularity": Granularity.ALL_TOKENS, "progress": False}
    [found] = IntegratedGradients(model, TOKENIZER, **options)(PROMPT, TARGET)
    torch.testing.assert_close(found.attributions.float(), captum_rows(model, PROMPT, TARGET, 5, 16), rtol=1e-3, atol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_integrated_gradients_at_a_layer_and_of_classes_are_captums() -> None:
    """At a layer captum moves the tokens of the answer, too; with an answer of one token there are none."""
    model = zoo.build("bert")
    ids = WORDS(PROMPT, return_tensors="pt")["input_ids"]
    baselines = torch.full_like(ids, 7)

    def logits(ids: torch.Tensor) -> torch.Tensor:
        return model(input_ids=ids).logits.log_softmax(-1)

    for layer, module in ((None, model.get_input_embeddings()), ("bert.encoder.layer.0", model.bert.encoder.layer[0])):
        theirs = LayerIntegratedGradients(logits, module).attribute(ids, baselines=baselines, target=1, n_steps=16)
        theirs = theirs[0] if isinstance(theirs, tuple) else theirs
        options: dict[str, Any] = {"granularity": Granularity.ALL_TOKENS, "baseline": 7, "steps": 16, "progress": False}
        [found] = IntegratedGradients(model, WORDS, layer=layer, **options)(PROMPT, 1)
        torch.testing.assert_close(found.attributions[0].float(), theirs[0].sum(-1), rtol=1e-3, atol=1e-5)


def test_gradients_of_an_encoder_decoder_are_captums() -> None:
    """The prompt is what the encoder reads. captum knows no encoder-decoder: it is given the logits of each token in turn."""
    model = zoo.build("t5")
    ids = torch.tensor([TOKENIZER(PROMPT)["input_ids"]])
    answer = TOKENIZER.encode(TARGET, add_special_tokens=False)
    begun = torch.tensor([[0, *answer[:-1]]])

    def logits(ids: torch.Tensor) -> torch.Tensor:
        return model(input_ids=ids, decoder_input_ids=begun.expand(len(ids), -1)).logits.log_softmax(-1)

    embedding = model.get_encoder().get_input_embeddings()
    [path] = IntegratedGradients(model, TOKENIZER, baseline=5, steps=8, **ALL)(PROMPT, answer)
    [product] = InputXGradient(model, TOKENIZER, **ALL)(PROMPT, answer)
    assert path.t == len(answer) > 1
    for place, token in enumerate(answer):
        target = (place, token)
        integral = LayerIntegratedGradients(logits, embedding)
        theirs = integral.attribute(ids, baselines=torch.full_like(ids, 5), target=target, n_steps=8)
        torch.testing.assert_close(path.attributions[place].float(), theirs[0].sum(-1), rtol=1e-3, atol=1e-4)
        theirs = LayerGradientXActivation(logits, embedding).attribute(ids, target=target)
        torch.testing.assert_close(product.attributions[place].float(), theirs[0].sum(-1), rtol=1e-3, atol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_gradients_of_a_model_that_sees_are_captums() -> None:
    """Of the tokens of the text and of the pixels of each patch, which captum is given as two inputs of one function."""
    subject = families.family("llava")
    model, messages = subject.model, families.conversation(subject)
    options: dict[str, Any] = {"image_granularity": Patches(2, 2), "inference_mode": InferenceModes.LOGITS, **ALL}
    options["baseline"] = "zero"
    explainer = IntegratedGradients(model, subject.processor, steps=8, **options)
    game = explainer.game(messages, "red")
    text, pixels = game.asked.moving
    [query] = game.asked.queries
    ids = torch.from_numpy(query.input.ids)[None]
    shape = pixels.shape

    def logits(embeddings: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        return model(inputs_embeds=embeddings, pixel_values=numbers.reshape(-1, *shape[1:])).logits[:, -1]

    embeddings = model.get_input_embeddings()(ids).detach()  # the image's places are known by their embedding
    own = (text.owner >= 0)[:, None]
    assert text.whole[own[:, 0]].equal(embeddings[0, own[:, 0]]) and not text.baselines[:, own[:, 0]].any()
    whole = (embeddings, pixels.whole.reshape(1, *shape))
    start = (torch.where(own, 0.0, embeddings), pixels.baselines.reshape(1, *shape))
    target, n = int(query.target[0]), game.n

    def pooled(theirs: Any) -> torch.Tensor:
        numbers = [theirs[0][0].sum(-1), theirs[1].flatten()]
        owner = [text.owner, pixels.owner]
        return torch.stack([sum(one[own == at].sum() for one, own in zip(numbers, owner, strict=True)) for at in range(n)])

    theirs = CaptumIntegratedGradients(logits).attribute(whole, start, target=target, n_steps=8)
    [found] = explainer(messages, "red")
    torch.testing.assert_close(found.attributions[0].float(), pooled(theirs).detach(), rtol=1e-3, atol=1e-4)
    theirs = CaptumSaliency(logits).attribute(whole, target=target, abs=False)
    [found] = Saliency(model, subject.processor, **options)(messages, "red")
    torch.testing.assert_close(found.attributions[0].float(), pooled(theirs).detach(), rtol=1e-3, atol=1e-4)
    moved = tuple(one - other for one, other in zip(whole, start, strict=True))
    theirs = CaptumInputXGradient(lambda *moved: logits(start[0] + moved[0], start[1] + moved[1])).attribute(moved, target)
    [found] = InputXGradient(model, subject.processor, **options)(messages, "red")
    torch.testing.assert_close(found.attributions[0].float(), pooled(theirs).detach(), rtol=1e-3, atol=1e-4)
