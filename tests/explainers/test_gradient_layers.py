"""Gradients of images and clips at the layers of a decoder: of the positions that their pieces have there."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from captum.attr import LayerIntegratedGradients
from support import families
from support.family_parts import picture
from support.quick import each

from interpreto_mllm import Granularity, InferenceModes, IntegratedGradients, Patches, Saliency, Windows

MORE = pytest.mark.thorough
CUTS: dict[str, Any] = {"image_granularity": Patches(2, 2), "audio_granularity": Windows(200), "progress": False}


def first_layer(model: torch.nn.Module) -> str:
    """The first layer of the language model, by name."""
    decoder = model.get_decoder()
    return next(name for name, module in model.named_modules() if module is decoder.layers[0])


@pytest.mark.parametrize("name", each(families.CHATTING, ("llava",)))
def test_regions_and_segments_have_attributions_at_a_layer(name: str) -> None:
    subject = families.family(name)
    explainer = IntegratedGradients(subject.model, subject.processor, steps=32, layer=first_layer(subject.model), **CUTS)
    messages = families.conversation(subject)
    [found] = explainer(messages, "red")
    assert found.completeness_gap is not None and float(found.completeness_gap.abs().max()) < 1e-4
    pieces = [place for place, feature in enumerate(found.features) if feature.modality != "text"]
    [states] = explainer.game(messages, "red").asked.moving
    here = {*pieces} & {*states.owner.tolist()}
    assert here and all(bool((found.attributions[:, piece] != 0).any()) == (piece in here) for piece in pieces)
    missing = name == "granite_speech"  # a few positions stand for a long clip, of which one segment shows most in none
    assert (here != {*pieces}) == missing == any("other pieces show more in every position" in note for note in found.notes)


def test_positions_belong_to_the_patches_and_segments_that_they_show() -> None:
    seeing, hearing = families.family("llava"), families.family("qwen2_audio")
    wanted = {
        seeing: [0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3],  # four rows of four
        hearing: [0] * 5 + [1] * 5 + [2] * 5,
    }
    for subject, owner in wanted.items():
        explainer = Saliency(subject.model, subject.processor, layer=first_layer(subject.model), **CUTS)
        game = explainer.game(families.conversation(subject), "red")
        media = {place for place, feature in enumerate(game.features) if feature.modality != "text"}
        [states] = game.asked.moving
        assert [one for one in states.owner.tolist() if one in media] == owner


@pytest.mark.filterwarnings("ignore")
def test_integrated_gradients_at_a_layer_are_captums() -> None:
    """captum moves the states of all positions from one prompt's to another's; here every token is a feature, too."""
    subject = families.family("llava")
    model, messages = subject.model, families.conversation(subject)
    options: dict[str, Any] = {"granularity": Granularity.ALL_TOKENS, "inference_mode": InferenceModes.LOGITS, **CUTS}
    explainer = IntegratedGradients(model, subject.processor, layer=first_layer(model), baseline="zero", steps=8, **options)
    game, other = explainer.game(messages, "red"), IntegratedGradients(model, subject.processor, **options)
    [states], [_, pixels] = game.asked.moving, other.game(messages, "red").asked.moving
    [query] = game.asked.queries
    ids = torch.from_numpy(query.input.ids)
    soft, embeddings = (ids == model.config.image_token_id)[:, None], model.get_input_embeddings()(ids).detach()

    def logits(embeddings: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        return model(inputs_embeds=embeddings, pixel_values=numbers.reshape(-1, *pixels.shape[1:])).logits[:, -1]

    whole = embeddings[None], pixels.whole.reshape(1, *pixels.shape)
    start = torch.where(soft, embeddings, 0.0)[None], pixels.baselines.reshape(1, *pixels.shape)
    method = LayerIntegratedGradients(logits, dict(model.named_modules())[first_layer(model)])
    theirs = method.attribute(whole, start, target=int(query.target[0]), n_steps=8)
    numbers = (theirs[0] if isinstance(theirs, tuple) else theirs)[0].sum(-1).float()
    wanted = torch.stack([numbers[states.owner == feature].sum() for feature in range(game.n)])
    [found] = explainer(messages, "red")
    assert bool((states.owner >= 0).all())
    torch.testing.assert_close(found.attributions[0].float(), wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "name, layer, message",
    [
        ("llava", "model.language_model.embed_tokens", "the same whether images and clips are there or not"),
        (
            "llava",
            "model.language_model.layers.1",
            "do not depend on the states of any feature at model.language",
        ),
        ("llava", "model.vision_tower.encoder.layers.0", "it must give one row of numbers for each of the 38 tokens"),
        pytest.param("chameleon", "model.layers.0", "puts images and clips among its tokens", marks=MORE),
        ("vit", "vit.layers.0", "gives the pieces of images and clips no positions among the tokens"),
    ],
)
def test_layers_where_images_have_no_states_are_refused(name: str, layer: str, message: str) -> None:
    subject = families.family(name)
    given = {"images": picture(0)} if name == "vit" else families.conversation(subject)
    with pytest.raises(ValueError, match=message):
        Saliency(subject.model, subject.processor, layer=layer, **CUTS)(given, 0 if name == "vit" else "red")
