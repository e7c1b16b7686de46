"""What being ready for several processes costs one of them.

    OMP_NUM_THREADS=1 python benchmarks/one_process.py [--seconds 3] [--rounds 7]

A step of `Trainer.advance`, with the `World` of one process in it, against the same step written without: no parts of a
batch, no replicated loss, no sums over processes. Two trainers with the same seed take turns, some steps each; the
script checks that their weights are equal to the bit at the end. A JSON line for each network: the median over the
rounds of processor milliseconds a step, of both, and of their ratio, with its least and greatest.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

from unnoise.runs.config import override, read_recipe
from unnoise.seeding import StepNoise, fold
from unnoise.training.optim import clip_gradients
from unnoise.training.setup import prepare
from unnoise.training.trainer import DROPOUT, Trainer

SMALL = {"model.network.channels": 8, "model.network.multipliers": [1, 2], "model.network.blocks": 1}
NETWORKS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "small": ("digits", "ddpm-digits", {**SMALL, "train.batch_size": 4}),
    "usual": ("glyphs:size=32,n=2000", "ddpm", {"train.batch_size": 16}),
}
"""What is trained -> source, recipe, overrides."""
PLAIN = {"train.precision": "fp32", "train.compile": "off"}


def made(source: str, recipe: str, overrides: dict[str, Any]) -> Trainer:
    """A trainer at its first step."""
    return prepare(source, recipe, override(read_recipe(recipe), {**PLAIN, **overrides}), 0, None, "cpu").trainer(None)


def without_world(trainer: Trainer) -> None:
    """A step for one process alone."""
    trainer.model.train()
    torch.manual_seed(fold(trainer.seed, trainer.step, DROPOUT))
    batch = trainer.loader.batch(trainer.step)
    trainer.objective.before_step(trainer.step, trainer.progress)
    for index, (phase, optimizer) in enumerate(zip(trainer.phases, trainer.optimizers, strict=True)):
        optimizer.zero_grad(set_to_none=True)
        with trainer.engine.autocast():
            loss = phase.loss(batch, StepNoise(trainer.seed, trainer.step, index, 0))
        loss.total.backward()
        clip_gradients(phase.parameters, trainer.settings.clip)
        for group in optimizer.param_groups:
            group["lr"] = trainer.learning_rate
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    trainer.step += 1
    trainer.objective.after_step(trainer.step)
    trainer.ema.update(trainer.step)


def seconds(step: Callable[[], object], count: int) -> float:
    """Processor seconds of so many steps."""
    begun = time.process_time()
    for _ in range(count):
        step()
    return time.process_time() - begun


def compared(name: str, lasting: float, rounds: int) -> dict[str, Any]:
    """Both in turns, each first in every second round."""
    ours, bare = made(*NETWORKS[name]), made(*NETWORKS[name])
    steps = {"with": ours.advance, "without": lambda: without_world(bare)}
    each = max(seconds(step, 2) / 2 for step in steps.values())
    count = max(1, round(lasting / each))
    found: dict[str, list[float]] = {way: [] for way in steps}
    for number in range(rounds):
        for way in sorted(steps, reverse=number % 2 == 1):
            found[way].append(1000 * seconds(steps[way], count) / count)
    pairs = zip(ours.model.parameters(), bare.model.parameters(), strict=True)
    assert all(torch.equal(left, right) for left, right in pairs), "the two compute something else"
    ratios = [one / other for one, other in zip(found["with"], found["without"], strict=True)]
    return {
        "network": name,
        "parameters": sum(parameter.numel() for parameter in ours.model.parameters()),
        "rounds": rounds,
        "steps": count,
        **{f"ms_{way}": round(median(values), 3) for way, values in found.items()},
        "ratio": round(median(ratios), 4),
        "ratios": [round(min(ratios), 4), round(max(ratios), 4)],
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=3.0, help="of each turn, about")
    options.add_argument("--rounds", type=int, default=7)
    given = options.parse_args()
    for name in NETWORKS:
        print(json.dumps(compared(name, given.seconds, given.rounds)), flush=True)


if __name__ == "__main__":
    main()
