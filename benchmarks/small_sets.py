"""What happens when few images are trained on for long, and whether planted copies are found (docs/guard.md).

python benchmarks/small_sets.py curve OUT SOURCE COUNT SECONDS [KEY=VALUE ...]
                              COUNT images by processor seconds; writes OUT/curve.json. SOURCE: `digits`, of 8x8 pixels,
                              by a dense network; or a source with a test split, PATH@SIZE, by the recipe `auto`
python benchmarks/small_sets.py plot PNG OUT...         curves side by side
python benchmarks/small_sets.py planted SOURCE COUNT    area under the ROC curve for each kind of copy
"""

from __future__ import annotations

import processor_clock  # noqa: F401

# isort: split

import io
import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.stats import rankdata
from torch import Tensor, nn

from unnoise.data import Images
from unnoise.metrics.frechet import frechet_distance
from unnoise.networks.conditioner import Conditioning
from unnoise.networks.embedding import SinusoidalEmbedding
from unnoise.runs.checkpoint import checkpoints
from unnoise.runs.config import parse_overrides
from unnoise.runs.metrics_file import read_metrics
from unnoise.samplers import DDIM
from unnoise.sources import open_source
from unnoise.training import guard
from unnoise.training.copy_watch import CopyWatch
from unnoise.training.hold_out import hold_out
from unnoise.training.train import train

ALWAYS = {"train.samples": 0, "train.save_every": 100, "train.keep": 1000, "train.guard": "warn"}
DENSE = {
    "train.precision": "fp32",
    "train.batch_size": 128,
    "train.learning_rate": 1e-3,
    "train.ema": 0.995,
    "train.warmup": 50,
    "train.log_every": 100,
}
DRAWN, STEPS, MEASURED, PLANTED = 400, 20, 8, 200


class Dense(nn.Module):
    """Residual blocks on all pixels at once: 0.9 M weights, and twenty times the images per second of a small U-Net."""

    def __init__(self, in_channels: int, image_size: tuple[int, int], vector_dim: int = 0, width: int = 384) -> None:
        super().__init__()
        self.in_channels, self.image_size, self.vector_dim, self.width = in_channels, image_size, vector_dim, width
        pixels = in_channels * image_size[0] * image_size[1]
        self.time = nn.Sequential(SinusoidalEmbedding(64), nn.Linear(64, width))
        self.tell = nn.Linear(max(1, vector_dim), width, bias=False)
        self.first, self.last = nn.Linear(pixels, width), nn.Linear(width, pixels)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
            for _ in range(3)
        )

    def forward(self, x: Tensor, level: Tensor, conditioning: Conditioning | None = None) -> Tensor:
        time_vector = self.time(level)
        h = self.first(x.flatten(1)) + time_vector
        if conditioning is not None and conditioning.vector is not None:
            h = h + self.tell(conditioning.vector)
        for block in self.blocks:
            h = h + block(h + time_vector)
        return self.last(h).view_as(x)


def curve(out: Path, source: str, count: int, seconds: float, settings: list[str]) -> None:
    """Trains, and measures distances of samples to the test images at some checkpoints, the one kept among them."""
    guard.EVERY = seconds / 25
    name, _, size = source.partition("@")
    how = {"size": int(size)} if size else {}
    known, test = (open_source(name, split=split, progress=False, **how) for split in ("train", "test"))
    rows = np.sort(np.random.default_rng(0).permutation(len(known))[:count])
    images = Images(np.asarray(known.pixels)[rows])
    recipe, own, network = ("ddpm", DENSE, Dense) if name == "digits" else ("auto", {}, None)
    overrides = {**ALWAYS, **own, **parse_overrides(settings)}
    run = train(images, recipe, out, minutes=seconds / 60, overrides=overrides, device="cpu", network=network)
    real = np.asarray(test.pixels).reshape(len(test), -1) / 127.5 - 1
    varying = real.std(0) > 0.05
    found = checkpoints(out / "checkpoints")
    best = found[-1].state()["best"][1]
    steps = {best, *(found[i].step for i in np.linspace(0, len(found) - 1, MEASURED).astype(int))}
    model, distances = run.diffusion("a curve", "cpu"), []
    for checkpoint in found:
        if checkpoint.step in steps:
            model.load_state_dict(checkpoint.tensors("ema"))
            drawn = model.sample(range(DRAWN), sampler=DDIM(steps=STEPS)).flatten(1).numpy()
            distance = frechet_distance(*moments(drawn[:, varying]), *moments(real[:, varying]))
            distances.append((checkpoint.step, float(distance)))
    lines = read_metrics(out)
    keys = ("held_out_loss", "training_loss", "copies", "copies_base_rate")
    series = {key: [(line["step"], line[key]) for line in lines if key in line] for key in keys}
    (out / "curve.json").write_text(json.dumps({"best": best, "images": count, "distance": distances, **series}))
    print(json.dumps({"best": best, "distance": distances, "summary": run.summary}))


def moments(x: np.ndarray) -> tuple[Tensor, Tensor]:
    x = x.astype(np.float64)
    return torch.from_numpy(x.mean(0)), torch.from_numpy(np.cov(x.T))


def plot(png: Path, folders: list[Path]) -> None:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(3, len(folders), figsize=(4 * len(folders), 7.5), sharex="col", squeeze=False)
    for column, folder in zip(axes.T, folders, strict=True):
        found = json.loads((folder / "curve.json").read_text())
        for key, name in (("training_loss", "training images"), ("held_out_loss", "held-out images")):
            column[0].plot(*zip(*found[key], strict=True), label=name)
        column[1].plot(*zip(*found["distance"], strict=True), "o-", color="C2", label="distance to test images")
        for key, name in (("copies", "samples"), ("copies_base_rate", "real images")):
            column[2].plot(*zip(*found[key], strict=True), label=name)
        for panel in column:
            panel.axvline(found["best"], color="grey", lw=0.8, ls="--")
            panel.spines[["top", "right"]].set_visible(False)
        column[0].set_title(f"{found['images']:,} images")
        column[2].set(xlabel="step", ylim=(-0.02, 1))
    for panel, label in zip(axes[:, 0], ("denoising loss", "Frechet distance, pixels", "share of copies"), strict=True):
        panel.set_ylabel(label)
    axes[0, 0].legend(frameon=False)
    axes[2, 0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(png, dpi=110)


def planted(source: str, count: int) -> None:
    """Training images with light changes against held-out ones, by the ratio of distances that tells copies."""
    images = open_source(source, size=None if source == "mnist" else 32, progress=False)
    images = images.subset(np.sort(np.random.default_rng(0).permutation(len(images))[:count]))
    held = hold_out(images, 0.2, 0)
    assert held is not None
    training = images.subset(held.training_rows(len(images)))
    watch = CopyWatch(training, mirrored=False)
    fresh = watch.look(images.batch(held.rows).image)
    draws = np.random.default_rng(0)
    pixels = training.pixels[np.sort(draws.permutation(len(training))[:PLANTED])]
    print(
        f"{len(training)} training, {len(held.rows)} held-out images, {float(fresh.copies().float().mean()):.4f} copies"
    )
    changes = {
        **{f"noise {std}": np.clip(pixels + draws.normal(0, std, pixels.shape), 0, 255) for std in (8, 16)},
        **{f"JPEG {quality}": np.stack([jpeg(image, quality) for image in pixels]) for quality in (75, 50)},
        "moved": np.pad(pixels, ((0, 0), (0, 0), (1, 0), (1, 0)), mode="edge")[..., :-1, :-1],
    }
    for name, changed in changes.items():
        found = watch.look(torch.from_numpy(changed.astype(np.uint8).astype(np.float32)) / 127.5 - 1)
        ranks = rankdata(torch.cat([found.ratio, fresh.ratio]).numpy())[: len(pixels)]
        below = 1 - (ranks.sum() - len(pixels) * (len(pixels) + 1) / 2) / (len(pixels) * len(fresh.ratio))
        print(f"{name}: {below:.4f}, {float(found.copies().float().mean()):.2f} found")


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    stream = io.BytesIO()
    picture = image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)
    Image.fromarray(picture).save(stream, "JPEG", quality=quality)
    found = np.asarray(Image.open(stream))
    return found[None] if found.ndim == 2 else np.moveaxis(found, -1, 0)


if __name__ == "__main__":
    torch.set_num_threads(1)
    command, *given = sys.argv[1:]
    if command == "curve":
        curve(Path(given[0]), given[1], int(given[2]), float(given[3]), given[4:])
    elif command == "plot":
        plot(Path(given[0]), [Path(folder) for folder in given[1:]])
    else:
        planted(given[0], int(given[1]))
