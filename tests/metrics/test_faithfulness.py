"""Methods beside baselines, on the shipped models."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.scored import additive, scored

from interpreto_mllm import Feature, KernelShap, Lime, Occlusion, Patches, Picture, Replace, Saliency, Template
from interpreto_mllm.games.game import ModelGame
from interpreto_mllm.metrics import METRICS, EvaluatedGame, Metric, faithfulness
from interpreto_mllm.metrics.baselines import baseline_results

PROMPTS = ["the apple is red .", "the sky is blue ."]
ANSWERS = [" red", " blue"]


@pytest.fixture(scope="module")
def board(recall):
    options = {"progress": False, "pinned": ["."]}
    explainers = [KernelShap(*recall, budget=16, **options), Saliency(*recall, **options)]
    truths = [lambda feature: feature.text.strip() in ("red", "blue")] * 2
    metrics = ["deletion_auc", "top_k_drop", "lds", "gini", "pointing"]
    return faithfulness(explainers, PROMPTS, ANSWERS, metrics=metrics, truths=truths)


def test_every_method_and_baseline_is_judged_under_two_occlusions(board):
    assert board.occlusions == ["Drop()", "Replace('…')"]
    judged = {"KernelShap", "Saliency", "random", "length", "position", "leave-one-out"}
    for occlusion in board.occlusions:
        for number in ("deletion_auc", "top_k_drop@3", "lds"):
            assert set(board.values(number, occlusion)) == judged
    assert set(board.values("gini")) == {"KernelShap", "Saliency"}
    assert set(board.values("pointing")) == judged
    assert board.values("lds")["random"].shape == (2, 19) and board.values("lds")["length"].shape == (2, 1)


def test_numbers_are_those_of_the_metrics_alone(board, recall):
    explainer = KernelShap(*recall, budget=16, progress=False, pinned=["."])
    result = explainer(PROMPTS[1], ANSWERS[1])[0]
    game = explainer.game(PROMPTS[1], ANSWERS[1])
    for name in ("deletion_auc", "lds"):
        expected = METRICS[name].compute(result, game)[name]
        assert board.values(name)["KernelShap"][1, 0] == pytest.approx(expected, abs=1e-5)
    other = KernelShap(*recall, progress=False, pinned=["."], occlusion=Replace("…")).game(PROMPTS[1], ANSWERS[1])
    expected = METRICS["top_k_drop"].compute(result, other)["top_k_drop@1"]
    assert board.values("top_k_drop@1", "Replace('…')")["KernelShap"][1, 0] == pytest.approx(expected, abs=1e-5)


def test_better_than_random_is_a_test_over_random_orders(board):
    chance, values = board.values("deletion_auc")["random"], board.values("deletion_auc")
    for standing in board.standings("deletion_auc"):
        if standing.method == "random":
            assert math.isnan(standing.p_value) and not standing.beats_random
            continue
        mean = values[standing.method].mean()
        expected = (1 + sum(draw.mean() <= mean + 1e-12 for draw in chance.T)) / 20
        assert standing.p_value == pytest.approx(expected) and standing.mean == pytest.approx(mean)
        assert standing.beats_random == (expected <= 0.05)
    assert all(math.isnan(one.p_value) for one in board.standings("gini"))
    for number, method in board.flips():
        assert len({board.beats_random(number, method, one) for one in board.occlusions}) == 2


def test_tables_pages_and_frames_say_the_same(board, tmp_path):
    shown = repr(board)
    assert "absent features: Drop()" in shown and "† not better than random scores at 95 % (Monte Carlo" in shown
    assert "leave-one-out" in shown and "deletion_auc ↓" in shown and "lds ↑" in shown
    marked = [one for one in board.standings("lds") if not one.beats_random and one.method != "random"]
    assert all(f"{one.mean:.2f}†" in shown for one in marked if abs(one.mean) >= 0.005)
    board.to_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert (
        page.count('<table class="board">') == 2
        and page.count('<svg class="chart"') == 4
        and page.startswith("<!doctype html>")
    )
    assert page.count("≈ random</small>") == sum(
        not math.isnan(one.p_value) and not one.beats_random
        for occlusion in board.occlusions
        for number in {entry.metric: entry.number for entry in reversed(board.entries)}.values()
        for one in board.standings(number, occlusion)
    )
    frame = board.to_frame()
    assert len(frame) == len(board.entries) and set(frame.occlusion) == set(board.occlusions)
    comparison = board.comparison("lds")
    assert set(comparison.names) == set(board.values("lds")) and comparison.prompts == 2
    assert set(board.comparison("lds", baselines=False).names) == {"KernelShap", "Saliency"}
    with pytest.raises(ValueError, match="There is no 'nothing'"):
        board.values("nothing")


def test_coalitions_of_a_prompt_are_paid_once(recall, monkeypatch):
    asked: list[list[tuple[bool, ...]]] = []
    plain = ModelGame.__call__

    def counting(self, coalitions):
        asked.append([tuple(row) for row in coalitions.tolist()])
        return plain(self, coalitions)

    monkeypatch.setattr(ModelGame, "__call__", counting)
    explainers = [KernelShap(*recall, budget=12, progress=False), Lime(*recall, budget=12, progress=False)]
    found = faithfulness(explainers, PROMPTS[:1], ANSWERS[:1], second_occlusion=None)
    every = [row for rows in asked for row in rows]
    assert len(every) == len(set(every))
    known = {tuple(row) for results in found.results.values() for row in results[0].coalitions.tolist()}
    assert not known & set(every)
    assert 1 <= len(asked) <= 2 and len(every) > 5  # what leave-one-out is made of, where it is not known, then everything


def test_trivial_scores():
    features = [Feature("a", ((0, 1),), (0,)), Feature("bcd", ((2, 5),), (1, 2, 3)), Feature("e", ((6, 7),), (4,))]
    result = scored([1.0, 2.0, 3.0], additive([2.0, 3.0, 5.0]), features=features)
    found = baseline_results(result, EvaluatedGame(additive([2.0, 3.0, 5.0]), 3), 19, 0)
    assert found["length"][0].attributions.tolist() == [pytest.approx([2.0, 6.0, 2.0])]
    assert found["position"][0].attributions.tolist() == [pytest.approx([10 / 6, 20 / 6, 30 / 6])]
    assert len(found["random"]) == 19 and "centre of the image" not in found
    assert all(float(one.attributions.sum()) == pytest.approx(10) for one in found["random"])
    firsts = [
        int(one.attributions.argmax())
        for one in baseline_results(result, EvaluatedGame(additive([1.0] * 3), 3), 600, 1)["random"]
    ]
    assert all(150 < firsts.count(place) < 250 for place in range(3))


def test_the_centre_of_an_image():
    picture = Picture.of(np.zeros((6, 6), dtype=np.uint8), Patches(3, 3))
    features = [*picture.features(0), Feature("word", ((0, 4),), (0,))]
    result = scored([1.0] * 10, features=features, media=(picture,))
    [centre] = baseline_results(result, EvaluatedGame(additive([1.0] * 10), 10), 19, 0)["centre of the image"]
    scores = centre.attributions[0]
    assert int(scores.argmax()) == 4 and scores[9] == 0
    assert scores[0] == pytest.approx(float(scores[8])) and scores[1] > scores[0]


def test_leave_one_out_is_the_drop_without_each_feature():
    weights, game = [3.0, -1.0, 2.0], EvaluatedGame(additive([3.0, -1.0, 2.0]), 3)
    result = replace(scored([0.0, 0.0, 0.0], additive(weights)), standard_errors=torch.zeros(1, 3).double())
    [found] = baseline_results(result, game, 19, 0)["leave-one-out"]
    assert found.attributions.tolist() == [pytest.approx(weights)] and game.paid == 5
    assert METRICS["top_k_drop"].compute(found, game) == pytest.approx({"top_k_drop@1": 3.0, "top_k_drop@3": 4.0})


def test_sensitivity_explains_again(recall):
    explainers = [KernelShap(*recall, budget=12, progress=False), Saliency(*recall, progress=False)]
    names = ["seed_sensitivity", "paraphrase_sensitivity"]
    ways = [["red is the apple ."], ["the sky it is blue .", "blue is the sky ."]]
    found = faithfulness(explainers, PROMPTS, ANSWERS, metrics=names, paraphrases=ways, second_occlusion=None)
    seeds = [KernelShap(*recall, budget=12, seed=seed, progress=False)(PROMPTS[1], ANSWERS[1])[0] for seed in range(3)]
    expected = METRICS["seed_sensitivity"].compute(seeds[0], repeated=seeds[1:])["seed_sensitivity"]
    assert found.values("seed_sensitivity")["KernelShap"][1, 0] == pytest.approx(expected, rel=1e-4)
    assert (found.values("seed_sensitivity")["Saliency"] == 0).all()
    assert found.values("paraphrase_matched")["KernelShap"][:, 0].tolist() == [1.0, 1.0]
    others = explainers[0](ways[1], [ANSWERS[1]] * 2)
    expected = METRICS["paraphrase_sensitivity"].compute(seeds[0], repeated=others)["paraphrase_sensitivity"]
    assert found.values("paraphrase_sensitivity")["KernelShap"][1, 0] == pytest.approx(expected, rel=1e-4)
    assert explainers[0].settings.seed == 0
    with pytest.raises(ValueError, match=r"paraphrase_sensitivity needs more than prompts: use paraphrases="):
        faithfulness(explainers, PROMPTS, ANSWERS, metrics=names)


def test_metrics_and_names_of_your_own(recall):
    largest = Metric(
        "largest", lambda record: {"largest": float(record.attributions.max())}, "higher", "stored", "max φ", "here"
    )
    explainers = {"few": Occlusion(*recall, progress=False)}
    found = faithfulness(explainers, PROMPTS[0], ANSWERS[0], metrics=[largest], second_occlusion={"occlusion": Replace("the")})
    assert found.occlusions == ["Drop()", "Replace('the')"] and found.standings("largest")[0].method == "few"
    both = faithfulness([explainers["few"], explainers["few"]], PROMPTS[0], ANSWERS[0], metrics=["gini"])
    assert both.methods == ("Occlusion 1", "Occlusion 2")


def test_a_template_has_one_game(recall):
    template = Template("the {thing} is red .", values={"thing": "apple"}, baselines={"thing": "sky"})
    found = faithfulness([KernelShap(*recall, progress=False)], template, " red", metrics=["top_k_drop"])
    assert found.occlusions == ["baselines"] and len(found.values("top_k_drop@1")["KernelShap"]) == 1


def test_bad_input_is_refused(recall, unchecked):
    few = Occlusion(*recall, progress=False)
    with pytest.raises(TypeError, match="takes explainers"):
        faithfulness(["KernelShap"], PROMPTS, ANSWERS)
    with pytest.raises(ValueError, match="Did you mean 'deletion_auc'"):
        faithfulness([few], PROMPTS, ANSWERS, metrics=["deletion"])
    with pytest.raises(ValueError, match="pointing needs more than prompts: use truths"):
        faithfulness([few], PROMPTS, ANSWERS, metrics=["pointing"])
    with pytest.raises(ValueError, match="2 prompts but 1 truths"):
        faithfulness([few], PROMPTS, ANSWERS, truths=[[True]])
    with pytest.raises(ValueError, match="at least 19 random orders; got 5"):
        faithfulness([few], PROMPTS, ANSWERS, random_orders=5)
    with pytest.raises(ValueError, match="one target for each prompt"):
        faithfulness([few], PROMPTS[0], [" red", " blue"])
    with pytest.raises(ValueError, match="different features"):
        faithfulness([few, KernelShap(*recall, pinned=["."], budget=10, progress=False)], PROMPTS[0], ANSWERS[0])
