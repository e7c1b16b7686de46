"""Quality against time: ours, and two peers as shipped and as tuned, on MNIST, CIFAR-10 and emoji at 32 pixels.

    python benchmarks/time_to_quality.py [--sets mnist ...] [--contenders unnoise ...] [--minutes 1 2 5 10]
        [--tune 1] [--seeds 0 1] [--samples 500] [--clock cpu] [--data DIR] [--out benchmarks/results/time-to-quality]

A cell is one contender on one set for so many minutes of one core, with one seed: it trains, draws by its own sampler
at 50 network calls, and is measured against held-out images in two feature spaces that nobody trained with: a
classifier of the set (where it has labels) and `imagenet`. Cells are made one by one and kept, so the script resumes;
`--clock cpu` counts the process's own time, for machines that others use. Peers are tuned, one after another, in
prediction type, learning rate, batch and average, for `--tune` minutes (half of the shortest time where it is not
given), on other held-out images than those that judge. `unnoise` computes as `unnoise train` would here, in bf16 where
the processor multiplies it in hardware; `unnoise fp32` is like for like with the peers.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from quality_contenders import PEERS, Contender, Tuning
from unnoise.data import Images
from unnoise.features import FEATURES
from unnoise.features.classifier import ClassifierFeatures, train_classifier
from unnoise.files import write_atomic
from unnoise.metrics.frechet import frechet_of
from unnoise.metrics.precision_recall import precision_recall
from unnoise.metrics.statistics import FeatureStatistics
from unnoise.registry import build
from unnoise.runs.config import override, read_recipe
from unnoise.sampling.batches import sample_in_batches
from unnoise.sources import open_source
from unnoise.training.setup import prepare

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.monotonic, "cpu": time.process_time}
SETS: dict[str, tuple[str, dict[str, Any]]] = {
    "mnist": ("mnist", {}),
    "cifar10": ("cifar-10-binary.tar.gz", {}),
    "emoji": ("noto-emoji", {"size": 32}),
}
"""Name -> where it lies in the data folder, and how it is read."""
CALLS = 50
HELD_OUT = 2000
FIRST = Tuning(learning_rate=1e-3, average=0.99, prediction="v", batch=64)
OTHERS: dict[str, tuple[Any, ...]] = {
    "prediction": ("noise",),
    "learning_rate": (3e-3, 3e-4),
    "batch": (32, 16),
    "average": (0.999,),
}
"""What is tried of a peer, one after another from the best so far; FIRST did best for one of them on MNIST."""
TRIAL_CALLS = 20
RECIPES = {"unnoise": ("auto", "auto"), "unnoise fp32": ("auto", "fp32"), "unnoise before (ddpm)": ("ddpm", "auto")}
"""Ours: recipe and precision."""


class Ours:
    """A recipe by the product's own parts; the clock that the dial and the learning rate see is the benchmark's."""

    calls = CALLS

    def __init__(self, images: np.ndarray, seed: int, minutes: float, recipe: str, precision: str) -> None:
        config = override(read_recipe(recipe), {"train.minutes": minutes, "train.precision": precision})
        setup = prepare(images, recipe, config, seed, None, "cpu")
        self.minutes, self.trainer, self.sampler = minutes, setup.trainer(None), setup.sampler

    def step(self, elapsed: float) -> None:
        self.trainer.seconds = 60 * self.minutes * elapsed
        self.trainer.advance()

    def draw(self, n: int, calls: int, seed: int) -> np.ndarray:
        model: Any = self.trainer.model.eval()
        with self.trainer.ema.applied():
            sampler = None if self.sampler is None else replace(self.sampler, steps=calls)
            return sample_in_batches(model, range(seed, seed + n), None, sampler, None)


def contender(name: str, images: np.ndarray, seed: int, minutes: float, tuned: Tuning | None) -> Contender:
    """The contender of that name, at its first step. tuned: what was found for a peer that is tuned."""
    if name in RECIPES:
        return Ours(images, seed, minutes, *RECIPES[name])
    return PEERS[name.removesuffix(" tuned")](images, seed, minutes, tuned)


def trained(made: Contender, minutes: float, clock: Callable[[], float]) -> int:
    """Trains for so many minutes; returns the steps."""
    begun, steps = clock(), 0
    while (elapsed := (clock() - begun) / (60 * minutes)) < 1:
        made.step(elapsed)
        steps += 1
    return steps


def split(images: Images, test: Images | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels to train on, to tune on and to judge by: the test set, or every eighth image."""
    pixels = np.asarray(images.pixels)
    rest = np.asarray(test.pixels) if test is not None else pixels[::8]
    train = pixels if test is not None else np.delete(pixels, np.s_[::8], axis=0)
    half = min(HELD_OUT, len(rest) // 2)
    return train, rest[:half], rest[half : 2 * half]


def opened(name: str, data: Path) -> tuple[Images, Images | None]:
    """The set and its test split, where it has one."""
    place, reading = SETS[name]
    images = open_source(data / place, split="train", **reading)
    return images, None if name == "emoji" else open_source(data / place, split="test", **reading)


def judges(name: str, images: Images, test: Images | None, out: Path) -> dict[str, Any]:
    """The feature spaces; the classifier is trained once and kept."""
    spaces = {"imagenet": build(FEATURES, "imagenet", "feature space", shape=images.shape, folder=None)}
    if images.labels is not None and test is not None and test.labels is not None:
        folder = out / f"classifier-{name}"
        if not folder.exists():
            of_train, of_test = ((np.array(part.pixels), np.array(part.labels)) for part in (images, test))
            train_classifier(*of_train, len(images.classes), test=of_test).save(folder)
        spaces["classifier"] = ClassifierFeatures.load(folder)
    return spaces


def measured(drawn: np.ndarray, real: np.ndarray, spaces: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Frechet distance, precision, recall and coverage in each space."""
    found = {}
    for name, space in spaces.items():
        theirs, ours = (features(space, pixels) for pixels in (real, drawn))
        distance = frechet_of(FeatureStatistics.of(ours), FeatureStatistics.of(theirs)).distance
        kinds = precision_recall(ours, theirs)
        found[name] = {"fid": distance} | {
            key: getattr(kinds, key).value for key in ("precision", "recall", "coverage")
        }
    return found


def features(space: Any, pixels: np.ndarray) -> torch.Tensor:
    return torch.cat([space(torch.from_numpy(part.copy())) for part in np.array_split(pixels, -(-len(pixels) // 100))])


def tuning_of(peer: str, name: str, parts: Any, options: argparse.Namespace) -> Tuning:
    """The best found after so many minutes, by the distance to images that do not judge; kept with what it beat."""
    minutes = options.tune or min(options.minutes) / 2
    file = options.out / f"tuning-{name}-{peer}.json"
    if not file.exists():
        train, tune, _ = parts
        spaces = {"pixels": build(FEATURES, "pixels", "feature space", shape=train.shape[1:], folder=None)}

        def trial(tuning: Tuning) -> tuple[float, Tuning]:
            made = contender(f"{peer} tuned", train, 0, minutes, tuning)
            trained(made, minutes, CLOCKS[options.clock])
            distance = measured(made.draw(200, TRIAL_CALLS, 0), tune[:500], spaces)["pixels"]["fid"]
            print(f"{name}, {peer}: {vars(tuning)}: {distance:.2f}", flush=True)
            return distance, tuning

        found = [trial(FIRST)]
        for key, values in OTHERS.items():
            best = min(found, key=lambda row: row[0])[1]
            found += [trial(replace(best, **{key: value})) for value in values]
        ranked = sorted(found, key=lambda row: row[0])
        write_atomic(file, json.dumps([[distance, vars(tuning)] for distance, tuning in ranked], indent=1))
    return Tuning(**json.loads(file.read_text())[0][1])


def cell(name: str, who: str, minutes: float, seed: int, options: argparse.Namespace, parts: Any, spaces: Any) -> None:
    """One contender on one set for one time with one seed: made once."""
    file = options.out / "cells" / f"{name}-{who.replace(' ', '-')}-{minutes:g}-{seed}.json"
    if file.exists():
        return
    peer = who.removesuffix(" tuned")
    tuning = tuning_of(peer, name, parts, options) if who.endswith(" tuned") else None
    made = contender(who, parts[0], seed, minutes, tuning)
    steps = trained(made, minutes, CLOCKS[options.clock])
    found = measured(made.draw(options.samples, CALLS, 10_000), parts[2], spaces)
    file.parent.mkdir(parents=True, exist_ok=True)
    about = {"set": name, "contender": who, "minutes": minutes, "seed": seed, "steps": steps, "clock": options.clock}
    machine = {"threads": torch.get_num_threads(), "torch": torch.__version__, "load": os.getloadavg()[0]}
    tuned = None if tuning is None else vars(tuning)
    write_atomic(file, json.dumps({**about, **machine, "tuning": tuned, "samples": options.samples, **found}, indent=1))
    print(f"{name}, {who}, {minutes:g} minutes, seed {seed}: {found}", flush=True)


def table(out: Path) -> str:
    """A row per set, contender and time: means over seeds."""
    cells = [json.loads(file.read_text()) for file in sorted((out / "cells").glob("*.json"))]
    lines = [
        "| set | contender | minutes | seeds | space | distance | precision | recall | coverage |",
        "|---" * 9 + "|",
    ]
    keys = sorted({(one["set"], one["minutes"], one["contender"]) for one in cells})
    for name, minutes, who in keys:
        rows = [one for one in cells if (one["set"], one["minutes"], one["contender"]) == (name, minutes, who)]
        for space in [space for space in ("classifier", "imagenet") if space in rows[0]]:
            means = [np.mean([row[space][key] for row in rows]) for key in ("fid", "precision", "recall", "coverage")]
            figures = " | ".join([f"{means[0]:.2f}", *(f"{mean:.3f}" for mean in means[1:])])
            lines.append(f"| {name} | {who} | {minutes:g} | {len(rows)} | {space} | {figures} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="quality against time, ours and peers as shipped and as tuned")
    everyone = [*RECIPES, *PEERS, *(f"{peer} tuned" for peer in PEERS)]
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--contenders", nargs="+", choices=everyone, default=everyone)
    parser.add_argument("--minutes", nargs="+", type=float, default=[1, 2, 5, 10])
    parser.add_argument("--tune", type=float, help="minutes of each trial of a peer that is tuned")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "time-to-quality")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.sets:
        images, test = opened(name, options.data)
        parts, spaces = split(images, test), judges(name, images, test, options.out)
        for minutes, seed, who in itertools.product(options.minutes, options.seeds, options.contenders):
            cell(name, who, minutes, seed, options, parts, spaces)
            write_atomic(options.out / "table.md", table(options.out))
    print(table(options.out))


if __name__ == "__main__":
    main()
