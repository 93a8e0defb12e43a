"""Games of presences, made of games of coalitions: what of a prompt moves, and from where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Int

from interpreto_mllm.adapters.local import LocalAdapter
from interpreto_mllm.aggregators.aggregator import Aggregator
from interpreto_mllm.aggregators.gradient import GradientAggregator
from interpreto_mllm.core.description import describe
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.engine.backward_rules import BackwardRules
from interpreto_mllm.engine.differentiable import check_differentiable
from interpreto_mllm.engine.differentiation import Asked, Differentiator
from interpreto_mllm.engine.embedded import embedded, embedded_baselines
from interpreto_mllm.engine.findings import finding
from interpreto_mllm.engine.media_positions import media_positions, no_positions
from interpreto_mllm.engine.moving import Moving
from interpreto_mllm.engine.moving_media import bare_media, moving_media, owners_of
from interpreto_mllm.engine.site import Site
from interpreto_mllm.games.game import ModelGame
from interpreto_mllm.games.modes import InferenceModes, Joint, mode_name
from interpreto_mllm.games.presences import PresenceGame
from interpreto_mllm.prompts.baseline import Baseline, resolved
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.prompt import Prompt, TokenPrompt
from interpreto_mllm.prompts.template_prompt import TemplatePrompt

OWN_BASELINES = "The baselines of the template are not used: its slots move from the embeddings of `baseline`."

NO_POSITION = (
    "Some pieces of images or clips have the score 0 because at this layer other pieces show more in every position, as where "
    "few positions stand for a long clip: give larger pieces, or leave `layer` out."
)


@dataclass(frozen=True)
class Whereabouts:
    """Where gradients are taken, and how.

    Args:
        baseline: of the embeddings of a text; see `prompts/baseline.py`.
        layer: the module at whose output they are taken; the embedding when None.
        whole_answer: whether a target has one row, rather than one for each of its tokens.
        batched: whether the backward passes of all rows are made at once.
        checkpointing: whether inner states are computed twice; None for only where memory runs out.
        rules: of backward passes.
        seed: of random baselines.
    """

    baseline: Baseline = "zero"
    layer: str | None = None
    whole_answer: bool = False
    batched: bool = False
    checkpointing: bool | None = None
    rules: BackwardRules = field(default_factory=BackwardRules)
    seed: int = 0


class Presences:
    """Makes games of presences under one model.

    Args:
        adapter: of the model.
        where: gradients are taken.
        read: from an input to its prompt.

    Raises:
        ValueError: for a model of which no gradients can be taken, or a layer that it does not have.
    """

    def __init__(self, adapter: LocalAdapter[Any], where: Whereabouts, read: Callable[[Any], Prompt]):
        check_differentiable(adapter.model)
        self.adapter, self.where, self._read = adapter, where, read
        self.site: Site | None = None
        if adapter.processing.reads_text or where.layer is not None:
            self.site = Site.of(adapter.model, where.layer)

    def game(self, game: ModelGame, aggregator: Aggregator) -> PresenceGame:
        """The game of presences on the prompt of a game of coalitions.

        Raises:
            ValueError: for a baseline of the wrong kind or shape, or a layer without a row for each token or that is not on the
                path to the targets.
        """
        assert isinstance(aggregator, GradientAggregator)
        adapter, where = self.adapter, self.where
        compared = adapter.mode is InferenceModes.KL  # with the prediction after this game's prompt
        differentiator = Differentiator(
            adapter.reading(game.scorer if compared else adapter.scorer),
            self.site,
            adapter.batching.rows,
            adapter.counter,
            rules=where.rules,
            checkpointing=where.checkpointing,
            batched=where.batched,
            keeps_rest=aggregator.keeps_rest,
        )
        question = game.question
        if where.whole_answer and question.whole is None:
            question = replace(question, whole=Joint.of(mode_name(adapter.mode)) if question.unit == "token" else Joint.SUM)
        if isinstance(game.prompt, TemplatePrompt):
            question = replace(question, notes=(*question.notes, OWN_BASELINES))
        [[full, *_]] = game.inputs(torch.ones(1, game.n, dtype=torch.bool))
        queries = [target.query(full) for target in question.targets]
        setting = {**game.setting, "baseline": describe(where.baseline), "layer": where.layer or "embedding"}
        asked = Asked(queries, question.values, [], len(full.ids))
        moving = self._moving(game.prompt, full, asked, differentiator, aggregator.keeps_rest)
        asked = replace(asked, moving=moving)
        if where.layer is not None:
            differentiator.check(asked, game.n)
        self._check_rules(asked, differentiator, game.n)
        values = {name: value for name, value in vars(game).items() if name in ModelGame.__dataclass_fields__}
        made = {**values, "question": question, "setting": setting}
        return PresenceGame(**made, asked=asked, differentiator=differentiator, fold=aggregator.fold)

    def _check_rules(self, asked: Asked, differentiator: Differentiator, n: int) -> None:
        """Try the rules of backward passes on the first prompt of each kind."""
        check, model, kind = self.where.rules.check, differentiator.model, tuple(part.name for part in asked.moving)
        if check is not None:
            with differentiator.alone(asked, n) as forward:
                finding(model, (check, self.where.layer, kind), lambda: check(model, forward))

    def _moving(
        self, prompt: Prompt, full: ModelInput, asked: Asked, differentiator: Differentiator, everything: bool
    ) -> list[Moving]:
        parts = []
        pieces = owners_of(prompt.features) if full.media else {}
        media = [] if pieces and self.where.layer else moving_media(self.adapter.processing, full.media, prompt.features)
        if len(full.ids):
            owner = owner_of(prompt, full)
            if everything or (owner >= 0).any() or (pieces and self.where.layer):
                parts.append(self._text(full, owner, asked, differentiator, prompt.features))
        if pieces and self.where.layer and not parts:
            raise ValueError(no_positions(self.adapter.model))
        if not parts and not media:
            raise ValueError("No gradient can be taken: no feature of this prompt changes what the model reads.")
        return [*parts, *media]

    def _text(
        self,
        full: ModelInput,
        owner: Int[np.ndarray, "l"],
        asked: Asked,
        differentiator: Differentiator,
        features: Sequence[Feature],
    ) -> Moving:
        """The states of the prompt's tokens; at a layer also of the positions of images and clips."""
        baselines = resolved(self.where.baseline, full.ids, owner, self.adapter.tokenizer, self._ids_of, self.where.seed)
        embedding = Site.of(self.adapter.model, None)
        device = differentiator.device
        places = torch.from_numpy(owner).to(device)
        soft = np.isin(full.ids, list(self.adapter.processing.soft_ids.values()))
        ids = np.where(soft, 0, full.ids)
        whole = embedded(embedding.module, ids, device)
        starts = embedded_baselines(embedding.module, whole, places, baselines)
        if self.where.layer is None:
            return Moving(None, places, whole, starts)
        assert self.site is not None
        inputs, bare = torch.cat([whole[None], starts]), {}
        pieces = owners_of(features) if full.media else {}
        if pieces:
            processing = self.adapter.processing
            bare = bare_media(processing, full.media, pieces)
            read = differentiator.reading.arguments(asked.queries[0])
            found = media_positions(self.adapter.model, processing, read, torch.from_numpy(soft), full.media, features)
            places = torch.where(found.to(device) >= 0, found.to(device), places)
            if set(pieces.values()) - set(found.tolist()):
                self.adapter.counter.note(NO_POSITION)
        states = differentiator.states(asked, embedding, inputs, self.site, [{}, *([bare] * len(starts))])
        own = (places >= 0)[:, None]
        seen = torch.from_numpy(soft).to(device) & own[:, 0]
        if seen.any() and all(one[seen].equal(states[0][seen]) for one in states[1:]):
            raise ValueError(
                f"{self.where.layer} gives the same whether images and clips are there or not: choose a layer after they come "
                "in, such as the decoder's, or leave `layer` out."
            )
        return Moving(None, places, states[0], torch.where(own, states[1:], states[0]))

    def _ids_of(self, given: Any) -> Int[np.ndarray, "l"]:
        prompt = self._read(given)
        [[full, *_]] = prompt.inputs_for(torch.ones(1, len(prompt.features), dtype=torch.bool))
        return full.ids


def owner_of(prompt: Prompt, full: ModelInput) -> Int[np.ndarray, "l"]:
    """The feature that each token of the whole prompt belongs to, or -1."""
    if isinstance(prompt, TokenPrompt):
        return prompt.owner
    if isinstance(prompt, TemplatePrompt):
        return prompt.token_owner
    raise ValueError(f"A gradient method takes a text, a chat, an encoding or a template, and no {type(prompt).__name__}.")
