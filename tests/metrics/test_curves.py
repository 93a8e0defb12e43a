"""Metrics that evaluate coalitions: closed forms on hand games, and slow second implementations."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from support.games import counted, dense_game
from support.results import run
from support.scored import additive, scored, value_without

from interpreto_mllm import Attribution, Clip, Feature, KernelShap, Mute, Patches, Picture, Windows
from interpreto_mllm.metrics import METRICS, EvaluatedGame, NotApplicable
from interpreto_mllm.metrics.feature_sizes import feature_sizes

SCORES = [0.3, 2.0, -1.0, 0.0, 1.0, 0.5]
ORDER = [1, 4, 5, 0, 3, 2]
"""From the highest score to the lowest."""


def computed(name, *given, **more):
    return METRICS[name].compute(*given, **more)


def test_deletion_and_insertion_walk_the_order_of_the_scores():
    game, n = dense_game(6, targets=1), 6
    deleted = [value_without(game, n, ORDER[:k]) for k in range(n + 1)]
    inserted = [value_without(game, n, ORDER[k:]) for k in range(n + 1)]
    full, empty = deleted[0], inserted[0]
    for name, curve in (("deletion_auc", deleted), ("insertion_auc", inserted)):
        expected = sum((one + two) / 2 / n for one, two in pairwise(curve))
        found = computed(name, scored(SCORES, game), game)
        assert found[name] == found[f"{name}_weighted"] == pytest.approx(expected)
        assert found[f"{name}_scaled"] == pytest.approx((expected - empty) / abs(full - empty))


def test_the_areas_of_an_additive_game_are_known():
    game = additive([4.0, 0.0, 0.0, 0.0])
    right, wrong = scored([4.0, 3.0, 2.0, 1.0]), scored([1.0, 4.0, 3.0, 2.0])
    assert computed("deletion_auc", right, game)["deletion_auc"] == pytest.approx(0.5 + 4 / 8)
    assert computed("deletion_auc", wrong, game)["deletion_auc_scaled"] == pytest.approx(7 / 8)
    assert computed("insertion_auc", right, game)["insertion_auc_scaled"] == pytest.approx(7 / 8)
    falling = additive([-4.0, 0.0, 0.0, 0.0])
    assert computed("deletion_auc", scored([-4.0, 0.0, 0.0, 0.0]), falling)["deletion_auc_scaled"] == pytest.approx(-7 / 8)
    assert math.isnan(computed("deletion_auc", scored([1.0, 2.0]), additive([1.0, -1.0]))["deletion_auc_scaled"])


def mixed(scores: list[float]) -> Attribution:
    """Features of a text of one and three tokens, of an image of one and three quarters, and of a clip of one and three."""
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    quarter = np.zeros((4, 4), dtype=bool)
    quarter[:2, :2] = True
    picture = Picture(_image(pixels), np.stack([quarter, ~quarter]), ("corner", "rest"), None)
    clip = Clip(np.zeros(8, dtype=np.float32), 4, ((0, 2), (2, 8)), ("first", "rest"), Mute())
    features = [
        Feature("a", ((0, 1),), (0,)),
        Feature("bcd", ((2, 5),), (1, 2, 3)),
        *picture.features(0),
        *clip.features(1),
    ]
    return scored(scores, additive([1.0] * 6), features=features, media=(picture, clip))


def _image(pixels: np.ndarray):
    from PIL import Image

    return Image.fromarray(pixels)


def test_features_are_as_large_as_their_tokens_pixels_and_seconds():
    assert feature_sizes(mixed([1.0] * 6)).tolist() == pytest.approx([0.5, 1.5] * 3)


def test_areas_are_weighted_by_tokens_pixels_and_seconds():
    scores, game = [6.0, 1.0, 5.0, 2.0, 4.0, 3.0], additive([1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    found = computed("deletion_auc", mixed(scores), game)
    assert found["deletion_auc"] == pytest.approx(0.5 + 1 / 2 / 6)
    assert found["deletion_auc_weighted"] == pytest.approx(0.5 + 0.5 / 2 / 6)
    inserted = computed("insertion_auc", mixed(scores), game)
    assert inserted["insertion_auc_weighted"] == pytest.approx(0.5 + (0.5 / 2 + 5.5) / 6)


def test_groups_and_features_without_places_have_sizes_too():
    group = Feature("group", ((0, 1),), (0, 5), modality="mixed", pieces=((0, 0),))
    sizes = feature_sizes(scored([1.0, 1.0, 1.0], features=[group, Feature("ab"), Feature("")]))
    assert sizes.tolist() == pytest.approx([1.0, 4 / 3, 2 / 3])
    lost = Feature("row 1", modality="image", pieces=((0, 0),))
    assert feature_sizes(scored([1.0, 1.0], features=[lost, replace(lost, pieces=((0, 1),))])).tolist() == [1.0, 1.0]


def test_comprehensiveness_and_sufficiency_of_the_top_percentages():
    n, game = 12, dense_game(12, targets=1)
    scores = torch.randn(n, generator=torch.Generator().manual_seed(0)).tolist()
    order = sorted(range(n), key=lambda i: -scores[i])
    full, result = value_without(game, n, []), run(game, n=n, budget=60)
    result = replace(result, attributions=torch.tensor([scores]).double())
    counts = {1: 1, 5: 1, 10: 2, 20: 3, 50: 6}
    lost = {q: full - value_without(game, n, order[:k]) for q, k in counts.items()}
    kept = {q: full - value_without(game, n, order[k:]) for q, k in counts.items()}
    for name, each in (("comprehensiveness", lost), ("sufficiency", kept)):
        found = computed(name, result, game)
        assert found[name] == pytest.approx(sum(each.values()) / 5)
        assert {q: found[f"{name}@{q}"] for q in each} == pytest.approx(each)


def test_the_drop_without_the_top_features():
    found = computed("top_k_drop", scored(SCORES), additive(SCORES))
    assert found == pytest.approx({"top_k_drop@1": 2.0, "top_k_drop@3": 3.5, "top_k_drop@5": 3.8})
    assert list(computed("top_k_drop", scored([1.0, 2.0]), additive([1.0, 1.0]))) == ["top_k_drop@1"]


def test_monotonicity_is_how_often_the_value_follows_the_sign():
    assert computed("monotonicity", scored(SCORES), additive(SCORES))["monotonicity"] == 1
    assert computed("monotonicity", scored(SCORES), additive([-score for score in SCORES]))["monotonicity"] == 0
    game, n = dense_game(6, targets=1), 6
    right = []
    for k, feature in enumerate(ORDER):
        if SCORES[feature]:
            gain = value_without(game, n, ORDER[:k]) - value_without(game, n, ORDER[: k + 1])
            right.append(gain * SCORES[feature] >= 0)
    assert computed("monotonicity", scored(SCORES), game)["monotonicity"] == pytest.approx(sum(right) / len(right))
    assert math.isnan(computed("monotonicity", scored([0.0, 0.0]), additive([1.0, 2.0]))["monotonicity"])


def test_lds_and_infidelity_of_all_coalitions_are_those_of_the_definitions():
    stats = pytest.importorskip("scipy.stats")
    game, n = dense_game(5, targets=1), 5
    scores = [0.53, 1.0, -0.27, 0.11, 0.82]
    some = [tuple(bool(number >> i & 1) for i in range(n)) for number in range(1, 2**n - 1)]
    values = [value_without(game, n, [i for i in range(n) if not row[i]]) for row in some]
    sums = [sum(score for score, there in zip(scores, row, strict=True) if there) for row in some]
    assert computed("lds", scored(scores), game)["lds"] == pytest.approx(stats.spearmanr(values, sums).statistic)
    full = value_without(game, n, [])
    losses = np.array([full - value for value in values])
    said = np.array([sum(scores) - kept for kept in sums])
    found = computed("infidelity", scored(scores), game)
    assert found["infidelity"] == pytest.approx(np.mean((said - losses) ** 2) / np.mean(losses**2))
    best = np.linalg.lstsq(said[:, None], losses, rcond=None)[0][0]
    assert found["infidelity_scaled"] == pytest.approx(np.mean((best * said - losses) ** 2) / np.mean(losses**2))


def test_an_additive_game_is_told_perfectly():
    weights = [1.0, -2.0, 0.5, 3.0, 0.25, 1.5, -0.75]
    result, game = scored(weights, additive(weights)), additive(weights)
    assert computed("lds", result, game)["lds"] == pytest.approx(1)
    assert computed("infidelity", result, game) == pytest.approx({"infidelity": 0, "infidelity_scaled": 0}, abs=1e-12)
    tripled = replace(result, attributions=3 * result.attributions)
    assert computed("infidelity", tripled, game) == pytest.approx({"infidelity": 4, "infidelity_scaled": 0}, abs=1e-12)


def test_lds_leaves_out_what_the_method_has_seen():
    game, n = dense_game(6, targets=1), 6
    fresh = METRICS["lds"].asking(run(game, n=n, budget=20))[0].questions
    coalitions = next(fresh)
    seen = {tuple(row) for row in run(game, n=n, budget=20).coalitions.tolist()}
    values = torch.arange(len(coalitions)).double()
    for row, coalition in enumerate(coalitions.tolist()):
        if tuple(coalition) in seen:
            values[row] = 1e9 * (-1) ** row
    with pytest.raises(StopIteration) as told:
        fresh.send(values)
    clean = METRICS["lds"].asking(run(game, n=n, budget=20))[0].questions
    next(clean)
    with pytest.raises(StopIteration) as untold:
        clean.send(torch.arange(len(coalitions)).double())
    assert told.value.value == untold.value.value


def test_synergy_faithfulness_is_what_both_modalities_are_worth_only_together():
    features = [Feature("a"), Feature("b"), Feature("c", modality="image"), Feature("d", modality="image")]
    both = lambda s: 5.0 * (s[:, 0] & s[:, 2]) + 3.0 * s[:, 1] + 2.0 * s[:, 3]  # noqa: E731
    found, missed = scored([4.0, 1.0, 4.0, 1.0], features=features), scored([1.0, 4.0, 1.0, 4.0], features=features)
    assert computed("synergy_faithfulness", found, both)["synergy_faithfulness"] == pytest.approx(5.0)
    assert computed("synergy_faithfulness", missed, both)["synergy_faithfulness"] == pytest.approx(0.0)
    game, n = dense_game(4, targets=1), 4
    dividends = []
    for count in (1, 1, 1, 1, 1):
        t, i = [0][:count], [2][:count]
        out = [value_without(game, n, [k for k in range(n) if k not in kept]) for kept in (t + i, t, i, [])]
        dividends.append(out[0] - out[1] - out[2] + out[3])
    expected = sum(dividends) / 5
    assert computed("synergy_faithfulness", found, game)["synergy_faithfulness"] == pytest.approx(expected)
    with pytest.raises(NotApplicable, match="of text: pin"):
        computed("synergy_faithfulness", scored([1.0, 2.0]), additive([1.0, 2.0]))


def test_seed_sensitivity_is_the_largest_relative_distance():
    found = computed("seed_sensitivity", scored([3.0, 4.0]), repeated=[scored([3.0, 4.5]), scored([0.0, 4.0])])
    assert found == pytest.approx({"seed_sensitivity": 3 / 5, "seed_rank_correlation": 1.0})
    with pytest.raises(NotApplicable, match="different features"):
        computed("seed_sensitivity", scored([1.0]), repeated=[scored([1.0, 2.0])])
    with pytest.raises(NotApplicable, match="needs repeated"):
        computed("seed_sensitivity", scored([1.0]))


def test_paraphrases_are_compared_by_their_common_features():
    names = lambda *texts: [Feature(text) for text in texts]  # noqa: E731
    prompt = scored([4.0, 1.0, 3.0, 2.0], features=names("The", "sky", "is", "blue"))
    other = scored([3.0, 6.0, 1.0], features=names("Blue", "the", "heaven"))
    found = computed("paraphrase_sensitivity", prompt, repeated=[other])
    one, two = np.array([0.4, 0.2]), np.array([0.6, 0.3])
    assert found == pytest.approx(
        {
            "paraphrase_sensitivity": np.linalg.norm(two - one) / np.linalg.norm(one),
            "paraphrase_rank_correlation": 1.0,
            "paraphrase_matched": 0.5,
        }
    )
    with pytest.raises(NotApplicable, match="no feature in common"):
        computed("paraphrase_sensitivity", prompt, repeated=[scored([1.0], features=names("heaven"))])


def test_each_coalition_is_evaluated_once_for_all_metrics_and_methods():
    game, asked = counted(dense_game(6, targets=1))
    results = [scored(SCORES, dense_game(6, targets=1)), scored(SCORES[::-1]), scored(SCORES)]
    evaluated = EvaluatedGame.of(game, results)
    metrics = [metric for name, metric in METRICS.items() if metric.cost == "calls" and name != "synergy_faithfulness"]
    asking = [one for metric in metrics for result in results for one in metric.asking(result)]
    together = evaluated.answered(asking)
    assert len(asked) == len(set(asked)) == evaluated.paid and evaluated.paid + evaluated.reused > 400
    alone = [metric.compute(result, dense_game(6, targets=1)) for metric in metrics for result in results]
    assert all(one == pytest.approx(two) for one, two in zip(together, alone, strict=True))
    evaluated.answered([one for metric in metrics for one in metric.asking(results[0])])
    assert len(asked) == evaluated.paid


def test_what_is_stored_is_not_evaluated_again(recall):
    prompt, answer = "the apple is red . what is the apple ?", " red ."
    explainer = KernelShap(*recall, budget=200, seed=0, progress=False)
    [explanation] = explainer(prompt, answer)
    game = explainer.game(prompt, answer)
    evaluated = EvaluatedGame.of(game, [explanation])
    found = METRICS["deletion_auc"].compute(explanation, evaluated)
    stored = {tuple(row) for row in explanation.coalitions.tolist()}
    assert evaluated.paid <= explanation.n - 1 and evaluated.paid + evaluated.reused == explanation.n + 3
    again = EvaluatedGame(game, game.n)
    assert METRICS["deletion_auc"].compute(explanation.span(), again) == pytest.approx(found, abs=1e-6)
    assert again.paid == explanation.n + 1 > evaluated.paid and len(stored) == 200
    other = KernelShap(*recall, seed=0, occlusion=_replaced(recall), progress=False).game(prompt, answer)
    foreign = EvaluatedGame.of(other, [explanation])
    METRICS["deletion_auc"].compute(explanation, foreign)
    assert foreign.paid == explanation.n + 1


def _replaced(recall):
    from interpreto_mllm import Replace

    return Replace("<unk>")


def test_stored_values_of_an_unknown_game_are_taken_over_only_on_request():
    game, asked = counted(dense_game(4, targets=1))
    result = scored([1.0, 2.0, 3.0, 4.0], dense_game(4, targets=1))
    METRICS["deletion_auc"].compute(result, game)
    assert len(asked) == 5
    asked.clear()
    METRICS["deletion_auc"].compute(result, EvaluatedGame.of(game, [result], same_game=True))
    assert asked == []


def test_games_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="3 targets, and the result 1"):
        computed("top_k_drop", scored([1.0, 2.0]), dense_game(2, targets=3))
    with pytest.raises(ValueError, match="2 features, and the result of"):
        EvaluatedGame.of(EvaluatedGame(additive([1.0, 1.0]), 2), [scored([1.0, 2.0, 3.0])])
    with pytest.raises(NotApplicable, match="needs game, such as"):
        computed("top_k_drop", scored([1.0, 2.0]))


def test_the_mean_is_taken_over_several_targets():
    both = scored([SCORES, SCORES[::-1]], dense_game(6))
    apart = [
        computed("deletion_auc", scored(scores), lambda s, i=i: dense_game(6)(s)[:, i])["deletion_auc"]
        for i, scores in enumerate((SCORES, SCORES[::-1]))
    ]
    assert computed("deletion_auc", both, dense_game(6))["deletion_auc"] == pytest.approx(sum(apart) / 2)


def asked_of(kind, recall):
    """An explainer of few features of a shipped model, and what it is asked."""
    from interpreto_mllm import testbed

    if kind == "recall":
        return KernelShap(*recall, budget=20, progress=False), "the apple is red .", " red ."
    sample = {"sight": testbed.sample_scene_prompts, "hearing": testbed.sample_clip_prompts}[kind]
    loaded = {"sight": testbed.load_sight, "hearing": testbed.load_hearing}[kind]()
    [prompt] = sample(1, seed=3)
    whole = lambda text: [(0, len(text))]  # noqa: E731
    options = {"image_granularity": Patches(2, 2), "audio_granularity": Windows(1000), "granularity": whole}
    return KernelShap(*loaded, budget=20, progress=False, **options), prompt.messages, prompt.answer


@pytest.mark.parametrize("kind", ["recall", "sight", "hearing"])
def test_texts_pictures_and_clips_are_judged_as_one_coalition_after_the_other(kind, recall):
    explainer, prompt, answer = asked_of(kind, recall)
    [explanation] = explainer(prompt, answer)
    plain = explainer.game(prompt, answer)
    values: dict[tuple[int, ...], float] = {}

    def value(members: list[int]) -> float:
        """v(S), the tokens of the answer added up, one coalition at a time."""
        coalition = torch.tensor([[i in members for i in range(explanation.n)]])
        return values.setdefault(tuple(sorted(members)), float(plain(coalition).double().sum()))

    scores = explanation.span().attributions[0].tolist()
    order = sorted(range(explanation.n), key=lambda i: -scores[i])
    deleted, inserted = (
        [value(part(k)) for k in range(explanation.n + 1)] for part in (lambda k: order[k:], lambda k: order[:k])
    )
    game = EvaluatedGame.of(plain, [explanation])
    for name, curve in (("deletion_auc", deleted), ("insertion_auc", inserted)):
        expected = sum((one + two) / 2 / explanation.n for one, two in pairwise(curve))
        assert METRICS[name].compute(explanation, game)[name] == pytest.approx(expected, abs=1e-4)
    half = math.ceil(explanation.n / 2)
    assert METRICS["sufficiency"].compute(explanation, game)["sufficiency@50"] == pytest.approx(
        value(order) - value(order[:half]), abs=1e-4
    )
    if kind != "recall":
        texts = [i for i in order if explanation.features[i].modality == "text"]
        others = [i for i in order if i not in texts]
        shares = [math.ceil(len(others) * q / 100) for q in (1, 5, 10, 20, 50)]
        expected = sum(value(texts[:1] + others[:k]) - value(texts[:1]) - value(others[:k]) + value([]) for k in shares) / len(
            shares
        )
        found = METRICS["synergy_faithfulness"].compute(explanation, game)["synergy_faithfulness"]
        assert len(texts) == 1 and found == pytest.approx(expected, abs=1e-4)


def test_a_single_feature_is_judged_too():
    one = scored([2.0], additive([2.0]))
    for name, metric in METRICS.items():
        if metric.cost in ("stored", "calls") and name not in ("held_out_r2", "stored_lds", "synergy_faithfulness"):
            assert all(math.isfinite(value) for value in metric.compute(one, additive([2.0])).values()), name
    assert computed("deletion_auc", one, additive([2.0]))["deletion_auc"] == pytest.approx(1.5)
