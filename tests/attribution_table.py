"""Attributions of every method and kind of game, written down to the last bit: `python tests/attribution_table.py`.

The cases use nothing but the public names of the package, so that its inside may be rebuilt around them. Run as a script, the
module computes all of them and writes `attribution_table.json` beside it; `--reverse` computes them from the last to the first,
`--output PATH` writes elsewhere, and `--saved` also writes the results in `saved/` that have today's version in their names and
the checkpoint that has the version of today's format; the others are of older formats and stay.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch
from support.table.case import World
from support.table.cases import cases
from support.table.record import table, written
from support.table.saved import READ, SAVED, checkpointed

from interpreto_mllm import Attribution, __version__
from interpreto_mllm.evaluation.checkpoint_file import VERSION

TABLE = Path(__file__).parent / "attribution_table.json"


def save_results(world: World) -> None:
    """Write the results and the checkpoint that later versions must read."""
    SAVED.mkdir(exist_ok=True)
    named = {case.name: case for case in cases()}
    for file, (name, _) in READ.items():
        result = named[name].compute(world)["result"]
        assert isinstance(result, Attribution)
        if __version__ in file:
            assert result.settings is not None
            model = {**result.settings.model, "name_or_path": "recall"}
            replace(result, settings=replace(result.settings, model=model)).save(SAVED / file)
    checkpoint = SAVED / f"checkpoint_v{VERSION}.json"
    checkpoint.unlink(missing_ok=True)
    checkpointed(world, checkpoint)


def main() -> None:
    """Compute everything and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=TABLE)
    parser.add_argument("--reverse", action="store_true")
    parser.add_argument("--saved", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    world = World()
    chosen = cases()[::-1] if given.reverse else cases()
    try:
        given.output.write_text(written(table(world, chosen)), encoding="utf-8")
        if given.saved:
            save_results(world)
    finally:
        world.close()
    print(f"{len(chosen)} cases, {time.process_time():.1f} CPU seconds: {given.output}")


if __name__ == "__main__":
    main()
