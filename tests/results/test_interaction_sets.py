"""Triples, the strongest sets, blocks, files and tables of interactions."""

from __future__ import annotations

import json

import pytest
import torch

from interpreto_mllm import Attribution, Feature, TopPairs
from interpreto_mllm.aggregators import KernelAggregator, LeaveOneOutAggregator
from interpreto_mllm.attribution import Interactions
from interpreto_mllm.explainers.play import play
from interpreto_mllm.perturbators import ExactPerturbator, KernelPerturbator, OcclusionPerturbator


def game(s):
    return (s[:, 1] & s[:, 4] & s[:, 6]).double() + 0.9 * (s[:, 0] & s[:, 3]) - 0.75 * (s[:, 0] & s[:, 2])


def picture(budget: int | None = None) -> Attribution:
    """Three words and a picture of four pieces in which a word and two pieces work together."""
    words = [Feature(text, spans=((3 * i, 3 * i + 2),), role="user") for i, text in enumerate(("what", "circle", "?"))]
    pieces = [
        Feature(
            f"row {r + 1}, column {c + 1}", modality="image", pieces=((0, 2 * r + c),), box=(c * 8, r * 8, c * 8 + 8, r * 8 + 8)
        )
        for r in range(2)
        for c in range(2)
    ]
    perturbator = ExactPerturbator() if budget is None else KernelPerturbator()
    played = play(game, perturbator, KernelAggregator(), n_features=7, budget=budget, progress=False)
    return Attribution.from_evaluations(played.evaluations, KernelAggregator(), features=words + pieces, targets=["<red>"])


def test_triples_are_named_and_arranged():
    triples = picture().interactions(order=3, index="Möbius")
    assert str(triples.top(1)[0]) == "circle × row 1, column 2 × row 2, column 2  +1"
    array = triples.matrix()
    assert array.shape == (7, 7, 7) and array[6, 1, 4] == array[1, 4, 6] == 1 and not array[1, 1].any()
    assert "triples of 7 features" in repr(triples) and "exact" in repr(triples)
    assert len(triples.sets) == 35


def test_intervals_are_around_the_scores():
    found = picture(budget=60).interactions(order=3)
    assert found.errors is not None
    low, high = found.interval(0.9)
    torch.testing.assert_close(high - low, 2 * 1.6448536269514722 * found.errors)
    torch.testing.assert_close((low + high) / 2, found.scores)
    for level in (0.0, 1.0):
        with pytest.raises(ValueError, match="level must lie between 0 and 1"):
            found.interval(level)
    fixed = play(game, OcclusionPerturbator(), LeaveOneOutAggregator(), n_features=7, progress=False)
    with pytest.raises(ValueError, match="no standard errors, so there are no intervals"):
        fixed.interactions().interval()


def test_only_the_strongest_are_kept():
    pairs = picture().interactions(top=2)
    assert len(pairs.sets) == 2 and "2 of 21 pairs" in repr(pairs)
    assert pairs.matrix().isnan().sum() == 7 * 6 - 4
    everything = picture().interactions()
    assert [str(one) for one in pairs.top()] == [str(one) for one in everything.top(2)]


def test_a_block_lies_across_its_groups():
    pairs = picture().interactions()
    block = pairs.between("text", "image")
    assert sorted(block.sets.tolist()) == [[i, j] for i in range(3) for j in range(3, 7)]
    torch.testing.assert_close(block.total, pairs.matrix()[:3, 3:].sum()[None])
    torch.testing.assert_close(block.strength, pairs.matrix()[:3, 3:].abs().sum()[None])
    assert pairs.between([0, 1, 2], lambda feature: feature.modality == "image").sets.tolist() == block.sets.tolist()
    assert pairs.between("user", "image").sets.tolist() == block.sets.tolist()
    triples = picture().interactions(order=3)
    assert len(triples.between("text", "image").sets) == 3 * 4 * 5 // 2
    assert triples.between([0], [1, 2], [3]).sets.tolist() == [[0, 1, 3], [0, 2, 3]]


@pytest.mark.parametrize("order", [2, 3])
def test_what_was_saved_is_loaded(order, tmp_path):
    found = picture(budget=60).interactions(order, "STII", top=5).between("text", "image")
    found.save(tmp_path / "found.json")
    again = Interactions.load(tmp_path / "found.json")
    assert again.errors is not None and torch.equal(again.errors, found.errors)
    assert torch.equal(again.sets, found.sets) and torch.equal(again.scores, found.scores)
    assert (again.features, again.targets, again.index, again.blocks) == (
        found.features,
        found.targets,
        found.index,
        found.blocks,
    )


def test_files_that_hold_something_else_are_refused(tmp_path):
    file = tmp_path / "found.json"
    picture().save(file)
    with pytest.raises(ValueError, match=r"is not an interactions file; give a file written by Interactions\.save"):
        Interactions.load(file)
    picture().interactions().save(file)
    with pytest.raises(ValueError, match="is not an attribution file"):
        Attribution.load(file)
    content = json.loads(file.read_text(encoding="utf-8"))
    content["sets"]["data"][0] = 99
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match="is a damaged interactions file"):
        Interactions.load(file)
    with pytest.raises(FileNotFoundError, match="no interactions file"):
        Interactions.load(tmp_path / "nothing.json")


def test_tables_name_the_strongest(capsys, tmp_path):
    triples = picture(budget=60).interactions(order=3)
    triples.show(top=3)
    shown = capsys.readouterr().out
    assert "circle × row 1, column 2" in shown and "35 triples" in shown and "<red>" in shown
    triples.to_html(tmp_path / "page.html", top=3)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<li>") == 3 and "&lt;red&gt;" in page and "<red>" not in page
    assert "circle × row 1, column 2 × row 2, column 2" in triples._repr_html_()
    frame = triples.to_frame()
    assert len(frame) == 35 and list(frame.columns[2:8]) == [
        "first_index",
        "second_index",
        "third_index",
        "first",
        "second",
        "third",
    ]


@pytest.mark.parametrize(("order", "kind"), [(2, "bars"), (3, None), (3, "network")])
def test_pictures_show_them(order, kind, tmp_path):
    drawn = picture(budget=60).interactions(order).plot(tmp_path / "found.svg", kind=kind, top=4)
    assert "circle" in (tmp_path / "found.svg").read_text(encoding="utf-8")
    assert drawn.axes
    block = picture().interactions().between("text", "image").plot()
    assert block.axes[0].collections[0].get_array().shape == (3, 4)


def test_pairs_end_the_sampling():
    def run(budget, **options):
        return play(game, KernelPerturbator(), KernelAggregator(), n_features=9, budget=budget, **options)

    found = run(512, until=TopPairs(2))
    assert found.counts.evaluations < 300 and "TopPairs(2, confidence=0.95) was met" in found.notes[0]
    strongest, truth = ({one.members for one in each.interactions().top(2)} for each in (found, run(512)))
    assert strongest == truth
    assert run(100, until=TopPairs(4)).counts.evaluations == 100  # pairs of the triple are alike, so it is never met
    one = play(lambda s: s[:, 0].double(), KernelPerturbator(), KernelAggregator(), n_features=1, until=TopPairs(1))
    assert one.counts.evaluations == 2


def test_what_cannot_be_told_is_said():
    result, fixed = picture(budget=60), play(game, OcclusionPerturbator(), LeaveOneOutAggregator(), n_features=7)
    with pytest.raises(ValueError, match="top must be from 1 to 35, the number of triples of 7 features; got 36"):
        result.interactions(order=3, top=36)
    with pytest.raises(ValueError, match="not read off coalitions that follow a fixed rule"):
        fixed.interactions(order=3)
    many = play(lambda s: s[:, 0].double(), KernelPerturbator(), KernelAggregator(), n_features=1000, budget=1002)
    with pytest.raises(
        ValueError, match=r"166,167,000 triples of 1,000 features for 1 target take 6\.6 GB: ask for the strong"
    ):
        many.interactions(order=3)
    with pytest.raises(ValueError, match="A matrix shows pairs"):
        result.interactions(order=3).plot(kind="matrix")
    pairs = result.interactions()
    with pytest.raises(ValueError, match="No feature is 'audio'; there are 'image', 'text', 'user'"):
        pairs.between("text", "audio")
    with pytest.raises(ValueError, match="must not share features, and 'what' is in two"):
        pairs.between("text", [0, 3])
    with pytest.raises(ValueError, match="takes two groups of features for pairs; got 3"):
        pairs.between([0], [1], [2])
    with pytest.raises(ValueError, match="There is no feature 7"):
        pairs.between([0], [7])
    with pytest.raises(ValueError, match="TopPairs takes a number of pairs of at least 1; got 0"):
        TopPairs(0)
    with pytest.raises(ValueError, match="index must be one of"):
        TopPairs(1, index="Shapley")
