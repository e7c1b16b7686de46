"""The main job end to end, on the embedded digits: train, draw, and write a page that shows both."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image as images
from PIL.Image import Image

from unnoise.aliases import Record
from unnoise.data import image_grid, save_png, to_uint8
from unnoise.files import write_atomic
from unnoise.models.diffusion import Diffusion
from unnoise.runs.html import render
from unnoise.runs.metrics_file import read_metrics
from unnoise.runs.run import Run
from unnoise.samplers import DDIM, Ancestral, Sampler
from unnoise.sampling.batches import sample_in_batches
from unnoise.sources import open_source
from unnoise.training.train import train

SAMPLES = 64
STRIP_ROWS, STRIP_COLUMNS = 4, 13
ENLARGED = 8


def run_demo(out: Path, minutes: float = 2.0, seed: int = 0) -> Record:
    """Trains `ddpm-digits` on `digits`, draws 64 images with DDPM and with 50-step DDIM, and writes OUT/index.html."""
    run = train("builtin:digits", "ddpm-digits", out, minutes=minutes, seed=seed)
    assert run.summary is not None
    assert run.plan is not None
    model = run.diffusion("the demo", "cpu")
    pictures = {
        "real": image_grid(enlarged(_real_images())),
        "ddpm": image_grid(enlarged(_samples(model, Ancestral(steps=1000)))),
        "ddim": image_grid(enlarged(_samples(model, DDIM(steps=50)))),
        "strip": reverse_strip(model, Ancestral(steps=1000)),
        "loss": loss_curve(run),
    }
    for name, picture in pictures.items():
        save_png(picture, out / "samples" / f"{name}.png")
    page = render("demo.html", summary=run.summary, plan=run.plan, samples=SAMPLES, pictures=pictures)
    write_atomic(out / "index.html", page)
    return {**run.summary, "page": str(out / "index.html")}


def reverse_strip(model: Diffusion, sampler: Sampler) -> Image:
    """Noise becoming images, left to right: rows are seeds, columns equal parts of the sampler's steps."""
    seeds = range(STRIP_ROWS)
    points = list(model.stream(seeds, sampler=sampler))
    columns = [points[round(i)] for i in np.linspace(0, len(points) - 1, STRIP_COLUMNS)]
    frames = np.stack([to_uint8(point.x.clamp(-1, 1)) for point in columns], axis=1)
    return image_grid(enlarged(frames.reshape(-1, *frames.shape[2:])), columns=STRIP_COLUMNS)


def enlarged(pixels: np.ndarray) -> np.ndarray:
    """(N, 1, H, W) uint8, enlarged by bicubic interpolation: the squares of 8x8 pixels hide what they show."""
    height, width = (side * ENLARGED for side in pixels.shape[2:])
    pictures = [images.fromarray(image[0]).resize((width, height), images.Resampling.BICUBIC) for image in pixels]
    return np.stack([np.asarray(picture) for picture in pictures])[:, None]


def loss_curve(run: Run) -> Image:
    """The training loss against steps, each point and its running mean, and the validation loss at checkpoints."""
    from matplotlib.figure import Figure

    lines = read_metrics(run.folder)
    losses = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    validation = [(line["step"], line["validation_loss"]) for line in lines if "validation_loss" in line]
    figure = Figure(figsize=(6.4, 3.2), dpi=110, layout="constrained")
    axes = figure.subplots()
    steps, values = np.array(losses).T
    axes.plot(steps, values, color="#9db4d6", linewidth=0.7, label="training")
    axes.plot(steps, _running_mean(values), color="#1f4e9c", linewidth=1.5, label="training, running mean")
    if validation:
        axes.plot(
            *np.array(validation).T, "o", color="#c4541a", markersize=4, label="held-out images, averaged weights"
        )
    axes.set(xlabel="step", ylabel="loss", yscale="log")
    axes.legend(frameon=False, fontsize=8)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return images.open(stream).convert("RGB")


def _running_mean(values: np.ndarray, fraction: float = 0.05) -> np.ndarray:
    width = max(1, int(len(values) * fraction))
    sums = np.concatenate([[0.0], np.cumsum(values)])
    starts = np.maximum(np.arange(1, len(values) + 1) - width, 0)
    return np.array([(sums[stop] - sums[start]) / (stop - start) for stop, start in enumerate(starts, 1)])


def _samples(model: Diffusion, sampler: Sampler) -> np.ndarray:
    return sample_in_batches(model, range(SAMPLES), None, sampler)


def _real_images() -> np.ndarray:
    digits = open_source("builtin:digits", progress=False)
    return digits.pixels[np.random.default_rng(0).permutation(len(digits))[:SAMPLES]]
