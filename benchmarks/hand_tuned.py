"""Whether values turned by hand beat the dial's, on sets that the recipe `auto` was not made on.

    python benchmarks/hand_tuned.py glyphs|letters OUT [--minutes 2.5] [--seeds 0] [--samples 400] [--only NAME ...]

glyphs: drawn digits in colours, 32x32. letters: drawn capitals, grey, 28x28. One value at a time is turned from where
the dial put it. Every cell is trained by processor seconds of one thread and measured by samples of UniPC in 20 calls
against 2,000 other pictures of the set, in `imagenet` features. Writes OUT.json cell by cell, so it resumes.
"""

from __future__ import annotations

import processor_clock  # noqa: F401

# isort: split

import argparse
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from time_to_quality import measured
from unnoise.features import FEATURES
from unnoise.files import write_atomic
from unnoise.registry import build
from unnoise.runs.config import override, read_recipe
from unnoise.samplers import UniPC
from unnoise.sampling.batches import sample_in_batches
from unnoise.sources import open_source
from unnoise.training.setup import Setup, prepare

CALLS, REAL = 20, 2000
SETS = {"glyphs": "glyphs:size=32,n=12000", "letters": "glyphs:size=28,n=12000,characters=ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
Turned = Callable[[Setup], dict[str, Any]]
TURNS: dict[str, Turned] = {
    "dial": lambda dial: {},
    "half the learning rate": lambda dial: {"train.learning_rate": dial.settings.learning_rate / 2},
    "twice the learning rate": lambda dial: {"train.learning_rate": dial.settings.learning_rate * 2},
    "half the batch": lambda dial: {"train.batch_size": dial.settings.batch_size // 2},
    "twice the batch": lambda dial: {"train.batch_size": dial.settings.batch_size * 2},
    "a short average": lambda dial: {"train.ema": 1 - 3 * (1 - dial.settings.ema)},
    "a long average": lambda dial: {"train.ema": 1 - (1 - dial.settings.ema) / 3},
    "p2 with gamma 0.75": lambda dial: {"objective.weight.kind": "p2", "objective.weight.gamma": 0.75},
    "p2 with gamma 1": lambda dial: {"objective.weight.kind": "p2", "objective.weight.gamma": 1.0},
    "p2 with gamma 1.5": lambda dial: {"objective.weight.kind": "p2", "objective.weight.gamma": 1.5},
    "no clusters": lambda dial: {"model.conditioner": "none"},
    "v prediction": lambda dial: {"model.parametrization.kind": "v"},
    "AdamW": lambda dial: {"train.optimizer": "adamw"},
}


def pictures(name: str) -> np.ndarray:
    """(N, C, H, W)."""
    drawn = open_source(SETS[name], progress=False)
    if name == "letters":
        return (255 * (np.asarray(drawn.fields["maps"])[:, None] > 0)).astype(np.uint8)
    return np.asarray(drawn.pixels)


def begun(images: np.ndarray, seed: int, minutes: float, overrides: dict[str, Any]) -> Setup:
    given = {"train.minutes": minutes, "train.guard": "off", **overrides}
    return prepare(images, "auto", override(read_recipe("auto"), given), seed, None, "cpu")


def cell(images: np.ndarray, real: np.ndarray, seed: int, minutes: float, turn: Turned, samples: int) -> dict[str, Any]:
    """Trains and measures."""
    overrides = turn(begun(images, seed, minutes, {}))
    trainer = begun(images, seed, minutes, overrides).trainer(None)
    start, steps = time.monotonic(), 0
    while (spent := time.monotonic() - start) < 60 * minutes:
        trainer.seconds = spent
        trainer.advance()
        steps += 1
    model: Any = trainer.model.eval()
    with trainer.ema.applied():
        drawn = sample_in_batches(model, range(samples), None, UniPC(steps=CALLS), None)
    spaces = {"imagenet": build(FEATURES, "imagenet", "feature space", shape=images.shape[1:], folder=None)}
    return {"turned": overrides, "steps": steps, **measured(drawn, real, spaces)["imagenet"]}


def main() -> None:
    parser = argparse.ArgumentParser(description="values turned by hand against the dial's")
    parser.add_argument("set", choices=SETS)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=2.5)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--only", nargs="+", choices=TURNS, default=list(TURNS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    file = options.out.with_suffix(".json")
    images = pictures(options.set)
    real, train = images[:REAL], images[REAL:]
    for seed, name in itertools.product(options.seeds, options.only):
        found = json.loads(file.read_text()) if file.exists() else {}
        key = f"{name}, seed {seed}"
        if key not in found:
            found[key] = cell(train, real, seed, options.minutes, TURNS[name], options.samples)
            write_atomic(file, json.dumps(found, indent=1))
            print(key, found[key], flush=True)


if __name__ == "__main__":
    main()
