"""How well samples follow their conditions: class, caption, map and low-resolution runs on glyphs, measured exactly.

    python benchmarks/guidance.py [--class RUN] [--text RUN] [--map RUN] [--sr RUN] [-n 400] [--scales 1,2,3,5]
                                  [--steps 20] [--out benchmarks/results/guidance]

Every run draws for the conditions of the first n held-out images. RUN is a run of the recipe ddpm-class, ddpm-text,
ddpm-map or sr on glyphs. Beside each row stands what the judge says of the held-out images themselves.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from glyph_judge import Judge, asked, overlap
from unnoise.data import Images, image_grid, save_png, to_uint8
from unnoise.data.batch import Batch
from unnoise.evaluation.target import open_target
from unnoise.files import write_atomic
from unnoise.guidance import ClassifierFree
from unnoise.metrics.restoration import psnr
from unnoise.models import Diffusion
from unnoise.runs.run import Run
from unnoise.samplers import UniPC
from unnoise.sampling.batches import sample_in_batches
from unnoise.sources import open_source

KINDS = ("class", "text", "map", "sr")
SHOWN = 40
SAMPLES = 8
"""Of each image that super-resolution averages."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for kind in KINDS:
        parser.add_argument(f"--{kind}", type=Path)
    parser.add_argument("-n", type=int, default=400)
    parser.add_argument("--scales", default="1,2,3,5")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/guidance"))
    options = parser.parse_args()
    runs = {kind: Run.open(getattr(options, kind)) for kind in KINDS if getattr(options, kind)}
    judges: dict[str, Judge] = {}
    for kind, run in runs.items():
        source = run.config["source"]
        test = open_source(source, split="test")
        if source not in judges:
            judges[source] = Judge.trained(open_source(source), test)
        judge = judges[source]
        rows = list(run_rows(kind, run, test, judge, options))
        result = {"kind": kind, "source": source, "n": options.n, "sampler": f"UniPC {options.steps}"}
        result |= {**open_target(run.folder).checkpoint(), "rows": rows}
        write_atomic(options.out / f"{kind}.json", json.dumps(result, indent=1))
        print(kind, json.dumps(rows, indent=1), flush=True)


def run_rows(kind: str, run: Run, test: Images, judge: Judge, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for the held-out images, then one per guidance scale."""
    model = run.diffusion("benchmarks/guidance.py")
    batch = test.batch(range(options.n), model.device)
    real = to_uint8(batch.image)
    yield {"guidance": None, **measured(kind, real, batch, judge)}
    if kind == "sr":
        yield {"guidance": "bicubic interpolation", **measured(kind, bicubic(model, batch), batch, judge)}
        mean = mean_of_samples(model, batch, options)
        yield {"guidance": f"1, mean of {SAMPLES} samples", **measured(kind, mean, batch, judge)}
    for scale in (float(text) for text in options.scales.split(",")):
        images = drawn(model, batch, range(options.n), options.steps, scale)
        save_png(image_grid(images[:SHOWN], columns=10), options.out / f"{kind}-{scale:g}.png")
        yield {"guidance": scale, **measured(kind, images, batch, judge)}


def drawn(model: Diffusion, batch: Batch, seeds: range, steps: int, scale: float = 1.0) -> np.ndarray:
    """uint8 (N, C, H, W): image i for the condition of row i, from seed i."""
    guide = None if scale == 1 else ClassifierFree(scale)
    return sample_in_batches(model, seeds, model.conditions(batch), UniPC(steps=steps), guide)


def mean_of_samples(model: Diffusion, batch: Batch, options: argparse.Namespace) -> np.ndarray:
    """The mean of several samples for every condition. A sample's squared error is twice that of the posterior mean,
    where the model is exact; the mean of k samples has 1 + 1/k times the least."""
    n = options.n
    samples = [drawn(model, batch, range(n * k, n * (k + 1)), options.steps).astype(float) for k in range(SAMPLES)]
    return np.rint(np.mean(samples, axis=0)).astype(np.uint8)


def measured(kind: str, images: np.ndarray, batch: Batch, judge: Judge) -> dict[str, float]:
    """The shares of what is right, the overlap of the maps, and the PSNR to the original, as far as they were asked."""
    seen = judge.read(images)
    ink, paper = asked(batch.cond["caption"])
    right = {"character": seen.character == batch.cond["label"].cpu().numpy(), "ink": seen.ink == ink}
    right["paper"] = seen.paper == paper
    right["all"] = right["character"] & right["ink"] & right["paper"]
    measured = {"class": ("character",), "text": tuple(right), "map": (), "sr": tuple(right)}[kind]
    found = {name: float(right[name].mean()) for name in measured}
    if kind == "map":
        found["iou"] = float(overlap(seen.maps, batch.cond["map"].cpu().numpy() > 0).mean())
    if kind == "sr":
        found["psnr"] = float(
            psnr(torch.from_numpy(images), torch.from_numpy(to_uint8(batch.image))).clamp(max=99).mean()
        )
    return found


def bicubic(model: Diffusion, batch: Batch) -> np.ndarray:
    """The low-resolution images that the model is given, enlarged without it."""
    small = model.conditions(batch)["image"]
    return to_uint8(F.interpolate(small, batch.image.shape[-2:], mode="bicubic", align_corners=False).clamp(-1, 1))


if __name__ == "__main__":
    main()
