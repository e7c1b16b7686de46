"""What `--from` saves: few pictures from scratch, from a base with all weights, and with low-rank adapters.

    python benchmarks/starting_points.py BASE letters|emoji OUT [--counts 50 300] [--minutes 0.5 1 2] [--data DIR]

BASE is a run of the recipe `auto` on other pictures of the same shape: MNIST for `letters`, which are drawn capitals A
to H in grey at 28 pixels, CIFAR-10 for `emoji` at 32. Every cell is trained by processor seconds of one thread, and
measured after each of the minutes by 300 samples of UniPC in 12 calls: Frechet distance, precision and recall in
`imagenet` features against 1,000 other pictures of the set. Writes OUT.json cell by cell, so it resumes.
"""

from __future__ import annotations

import processor_clock  # noqa: F401

# isort: split

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from time_to_quality import measured
from unnoise.features import FEATURES
from unnoise.files import write_atomic
from unnoise.registry import build
from unnoise.runs.config import Config, override, read_recipe
from unnoise.runs.run import Run
from unnoise.samplers import UniPC
from unnoise.sampling.batches import sample_in_batches
from unnoise.sources import open_source
from unnoise.training.setup import prepare
from unnoise.training.transfer import carry_over, recipe_of

SAMPLES, CALLS, REAL = 300, 12, 1000
WAYS = {
    "scratch": {},
    "all weights": {},
    "LoRA, rank 8": {"model.lora.rank": 8},
    "LoRA, rank 32": {"model.lora.rank": 32},
}
"""Ways to begin, all but the first with the base; and what they set."""


def pictures(name: str, data: Path) -> np.ndarray:
    """(N, C, H, W), shuffled."""
    if name == "letters":
        drawn = open_source("glyphs:size=28,n=1400,characters=ABCDEFGH", progress=False)
        maps = np.asarray(drawn.fields["maps"])
        return (255 * (maps[:, None] > 0)).astype(np.uint8)
    emoji = np.asarray(open_source(data / "noto-emoji", size=32, progress=False).pixels)
    return emoji[np.random.default_rng(0).permutation(len(emoji))]


def configuration(way: str, base: Run, minutes: float) -> Config:
    recipe = read_recipe("auto") if way == "scratch" else recipe_of(base)
    return override(recipe, {"train.minutes": minutes, "train.guard": "off", **WAYS[way]})


def cell(way: str, base: Run, images: np.ndarray, real: np.ndarray, minutes: list[float]) -> Iterator[dict[str, Any]]:
    """Trains and measures after each of the minutes."""
    began = None if way == "scratch" else base
    setup = prepare(images, "auto", configuration(way, base, minutes[-1]), 0, began, "cpu")
    if began is not None:
        carry_over(setup.model, began)
    trainer = setup.trainer(None)
    spaces = {"imagenet": build(FEATURES, "imagenet", "feature space", shape=images.shape[1:], folder=None)}
    spent = 0.0
    for limit in minutes:
        begun = time.monotonic() - spent
        while (spent := time.monotonic() - begun) < 60 * limit:
            trainer.seconds = spent
            trainer.advance()
        with trainer.ema.applied():
            model: Any = trainer.model.eval()
            drawn = sample_in_batches(model, range(SAMPLES), None, UniPC(steps=CALLS), None)
        yield {"minutes": limit, "steps": trainer.step, **measured(drawn, real, spaces)["imagenet"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path)
    parser.add_argument("set", choices=["letters", "emoji"])
    parser.add_argument("out", type=Path)
    parser.add_argument("--counts", type=int, nargs="+", default=[50, 300])
    parser.add_argument("--minutes", type=float, nargs="+", default=[0.5, 1, 2])
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    base, all_pictures = Run.open(options.base), pictures(options.set, options.data)
    file = options.out.with_suffix(".json")
    found: dict[str, list[dict[str, Any]]] = json.loads(file.read_text()) if file.exists() else {}
    for count in options.counts:
        for way in options.ways:
            key = f"{options.set}, {count} pictures, {way}"
            if key not in found:
                images, real = all_pictures[:count], all_pictures[-REAL:]
                found[key] = list(cell(way, base, images, real, options.minutes))
                write_atomic(file, json.dumps(found, indent=1))
            told = "; ".join(
                "{minutes:g} min {fid:.1f} ({precision:.2f}, {recall:.2f})".format(**row) for row in found[key]
            )
            print(f"{key}: {told}", flush=True)


if __name__ == "__main__":
    main()
