"""The whole table, in order."""

from __future__ import annotations

from typing import Any

from support.table.answers import answers, conversations, drawn_answers
from support.table.case import ADAPTIVE, DRAWN, SAY, SHORT, Case
from support.table.games import games
from support.table.gradients import gradients
from support.table.kinds import picture, sound, text
from support.table.media import pictures, sounds
from support.table.readings import compared, rescored
from support.table.saved import kept
from support.table.served import served
from support.table.stops import reuse, rules
from support.table.texts import readings, text_methods, text_options, text_prompts

from interpreto_mllm import GaussianProcessShapley, KernelShap, Lime, MonteCarloShapley, Patches, Tolerance, TopK
from interpreto_mllm.similarity import RougeL, TfIdf

RESCORED = "rescore aggregates coalitions that are no part of the sample"


def faulty() -> list[Case]:
    """Numbers that are known to be wrong."""
    mode = compared(TfIdf(), generate=SAY)
    thrice = compared(TfIdf(), generate=DRAWN, repeats=3)
    again = rescored(same=compared(TfIdf()), other=compared(RougeL()))
    seen: dict[str, Any] = {"inference_mode": mode, "image_granularity": Patches(2, 2), "budget": 32, "then": again}
    heard: dict[str, Any] = {"inference_mode": mode, "budget": 24, "then": again}
    drawn: dict[str, Any] = {"inference_mode": thrice, "budget": 300, "sensitive": ADAPTIVE}
    return [
        picture("rescored", KernelShap, None, **seen, fault=RESCORED),
        picture("rescored, Gaussian process", GaussianProcessShapley, None, **seen, sensitive=ADAPTIVE, fault=RESCORED),
        sound("rescored", Lime, None, **heard, fault=RESCORED),
        text("until Tolerance, repeated answers", MonteCarloShapley, SHORT, "red", until=Tolerance(0.5), **drawn),
        text("until TopK, repeated answers", KernelShap, SHORT, "red", until=TopK(2, confidence=0.7), **drawn),
    ]


def cases() -> list[Case]:
    """The whole table, in order."""
    return [
        *text_methods(),
        *text_prompts(),
        *text_options(),
        *readings(),
        *answers(),
        *drawn_answers(),
        *rules(),
        *reuse(),
        *conversations(),
        *games(),
        *pictures(),
        *sounds(),
        *gradients(),
        *served(),
        *faulty(),
        *kept(),
    ]
