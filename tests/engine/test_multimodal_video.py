"""On every family that watches videos, the fast path and the plain path both give the numbers of the raw model."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from support.by_hand import value
from support.families import VIDEO, conversation, watching
from support.multimodal import ANSWER, CLOSE, drawn
from support.quick import each

from interpreto_mllm import KernelShap, TimeSpans, Tubes
from interpreto_mllm.games.game import ModelGame

QUESTION = "What colour is the circle ?"
CUTS = (TimeSpans(1.0), Tubes(2, 1, seconds=1.0))
QUICK = [("qwen3_vl", CUTS[0]), ("smolvlm", CUTS[1])]
"""One whose processor writes the times of frames between them, and one whose frames are images."""
ENOUGH = 1e-3


def game(name: str, messages: Any, target: Any = ANSWER, **options: Any) -> ModelGame:
    subject = watching(name)
    cuts = {"video_granularity": TimeSpans(1.0), "progress": False, **options}
    return KernelShap(subject.model, subject.processor, **cuts).game(messages, target)


@pytest.mark.parametrize("name, cut", each([(name, cut) for name in VIDEO for cut in CUTS], QUICK))
def test_values_of_a_joint_game(name: str, cut: Any, caplog: pytest.LogCaptureFixture) -> None:
    subject = watching(name)
    messages = conversation(subject, QUESTION)
    fast = game(name, messages, batch_size=7, video_granularity=cut)
    coalitions = drawn(fast.n, 4)
    expected = torch.stack([value(subject, messages, fast.features, row, ANSWER) for row in coalitions.tolist()])
    with caplog.at_level(logging.INFO, logger="interpreto_mllm"):
        torch.testing.assert_close(fast(coalitions).double(), expected, **CLOSE)
    assert "using plain forwards" not in caplog.text, "the encoders' outputs are to be used"
    single = game(name, messages, batch_size=1, video_granularity=cut)
    order = torch.randperm(len(coalitions), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(single(coalitions[order]).double(), expected[order], **CLOSE)
    plain = game(name, messages, share_prefixes=False, video_granularity=cut)
    torch.testing.assert_close(plain(coalitions).double(), expected, **CLOSE)
    assert expected.std(0).max() > ENOUGH, "a game in which nothing matters tests nothing"
    media = [feature for feature in fast.features if feature.modality == "video"]
    without = torch.ones(1, fast.n, dtype=torch.bool)
    without[0, fast.features.index(media[0])] = False
    assert (fast(without)[0] - expected[1]).abs().max() > ENOUGH / 10, "what is seen has to matter"
