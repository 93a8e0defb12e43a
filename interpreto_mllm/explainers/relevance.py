"""Layer-wise relevance propagation through transformers."""

from __future__ import annotations

from typing import Any, Unpack

from interpreto_mllm.aggregators.gradient import RelevanceAggregator, Tokens
from interpreto_mllm.engine.backward_rules import BackwardRules
from interpreto_mllm.engine.relevance.rules import relevance_rules
from interpreto_mllm.engine.relevance.trial import Conservation, conservation, require_rules
from interpreto_mllm.explainers.gradient_games import working
from interpreto_mllm.explainers.method import Method
from interpreto_mllm.explainers.options import Options
from interpreto_mllm.games.modes import InferenceModes
from interpreto_mllm.games.presences import PresenceGame
from interpreto_mllm.perturbators.gradient import InputPerturbator


class Relevance(Method):
    """AttnLRP: the value is handed back through the model, layer by layer, to the tokens, pixels and samples it came from.

    One forward and one backward pass per row, with a rule for each operation of the model; a model with an operation that has
    none is refused. The value is the logit of the target unless you give another `inference_mode`. What reaches no token, such
    as the share of biases, is missing from the sum: `explanation.conservation_gap`.

    Achtibat, Hatefi, Dreyer, Jain, Wiegand, Lapuschkin, Samek: AttnLRP: attention-aware layer-wise relevance propagation for
    transformers, ICML 2024.

    Args:
        model, tokenizer, options: see `AttributionExplainer`. There is no baseline: relevance is of what is there.
        tokens: from the tokens of a feature to one number: "sum", "mean", "max" or "signed_max".

    Raises:
        ValueError: for a baseline or an occlusion of a text.

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> [explanation] = Relevance(*load_recall())("the apple is red . what is the apple ?", " red")
        >>> explanation.estimand, explanation.mode, explanation.counts.points, explanation.counts.backwards
        ('relevance', 'logits', 1, 1)
        >>> float(explanation.attributions.sum()) < float(explanation.full[0])  # the softmax of attention keeps a part
        True
    """

    perturbator = InputPerturbator()
    backward_rules = BackwardRules(relevance_rules, require_rules)

    def __init__(self, model: Any, tokenizer: Any = None, *, tokens: Tokens = "sum", **options: Unpack[Options]):
        for name in ("baseline", "occlusion"):
            if options.get(name) is not None:
                raise ValueError(
                    f"Relevance is of the tokens that are there, not of their difference from others: leave `{name}` out, or "
                    "use InputXGradient or IntegratedGradients, which have a baseline."
                )
        self.aggregator = RelevanceAggregator(tokens)
        options.setdefault("inference_mode", InferenceModes.LOGITS)
        super().__init__(model, tokenizer, **options)

    def conservation(self, inputs: Any, targets: Any = None) -> Conservation:
        """Where all the relevance of one input's targets is: in the input, or kept by biases, constants and the softmax.

        Example:
            >>> from interpreto_mllm.testbed import load_recall
            >>> found = Relevance(*load_recall()).conservation("the apple is red . what is the apple ?", " red")
            >>> max(found.kept, key=found.kept.get), abs(found.lost) < 1e-4
            ('softmax', True)
        """
        game = self.game(inputs, targets)
        assert isinstance(game, PresenceGame)
        with working(self._adapter, self._presences), game.differentiator.alone(game.asked, game.n) as forward:
            return conservation(game.differentiator.model, forward)
