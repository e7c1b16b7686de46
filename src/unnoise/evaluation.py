"""Numbers about a run, each with its conditions: what was measured, on what, by which checkpoint."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import unnoise
from unnoise.data import Images, open_source
from unnoise.files import write_atomic
from unnoise.metrics.likelihood import Bound, variational_bound
from unnoise.models.diffusion import Diffusion
from unnoise.process.gaussian import per_row, perturb
from unnoise.registry import lookup
from unnoise.runs import Run
from unnoise.seeding import StepNoise
from unnoise.training.checkpoint import newest_valid

SCORE_TIMES = 10
"""Noise levels at which the denoising-error score looks."""


@dataclass(frozen=True)
class Subject:
    """What is being measured."""

    model: Diffusion
    images: Tensor
    seed: int
    batch_size: int


def bits_per_dim(subject: Subject) -> dict[str, Any]:
    """The variational bound in bits per dimension, term by term, and its curve over t."""
    bound = measured_bound(subject)
    curve = {"t": bound.times.tolist(), "bits": (bound.per_t / np.log(2)).tolist()}
    return {"bits_per_dim": bound.bits_per_dim(), "bits_per_t": curve, "variance": variance_of(subject.model)}


METRICS: dict[str, Callable[[Subject], dict[str, Any]]] = {"bpd": bits_per_dim}


def evaluate(
    run: str | Path,
    data: Any = None,
    metrics: Sequence[str] = ("bpd",),
    *,
    split: str = "test",
    n: int = 1000,
    seed: int = 0,
    batch_size: int = 256,
    device: str | None = None,
) -> dict[str, Any]:
    """Measures a run and writes the result to its evaluations folder.

    data: a source (default: the one it was trained on), read with the run's own size and channels; split: which part
    of it, 'test' falling back to 'train' where the source has no split, and saying so. n: at most so many images.
    Raises ValueError for an unknown metric.
    """
    chosen = [lookup(METRICS, name, "metric") for name in metrics]
    opened = Run.open(run)
    images, used = open_for(opened, data, split, n)
    model = opened.diffusion("bits per dimension", device)
    subject = Subject(model, images.batch(range(len(images)), model.device).image, seed, batch_size)
    begun = time.perf_counter()
    values = {name: value for measure in chosen for name, value in measure(subject).items()}
    checkpoint, _ = newest_valid(opened.folder / "checkpoints")
    assert checkpoint is not None
    result = {
        "run": str(run),
        "step": checkpoint.step,
        "checkpoint": checkpoint.state()["files"]["ema.safetensors"],
        "data": {"source": images.source, "split": used, "fingerprint": images.fingerprint},
        "n": len(images),
        "seed": seed,
        **values,
        "seconds": round(time.perf_counter() - begun, 3),
        "unnoise": unnoise.__version__,
    }
    name = f"{checkpoint.step}-{'-'.join(metrics)}-{used}-{len(images)}.json"
    write_atomic(opened.folder / "evaluations" / name, json.dumps(result, indent=1))
    return result


def open_for(run: Run, data: Any, split: str, n: int | None) -> tuple[Images, str]:
    """Images as the run's model takes them, and the split they come from."""
    channels, height, width = run.shape
    source = run.config["source"] if data is None else data
    options: dict[str, Any] = {"size": (height, width), "channels": channels, "limit": n, "progress": False}
    try:
        return open_source(source, split=split, **options), split
    except ValueError:
        if split != "test":
            raise
        return open_source(source, split="train", **options), "train"


def variance_of(model: Diffusion) -> str:
    """The reverse variance a model's likelihood is measured with: its own where it learned one, else beta."""
    return "learned" if model.learned_variance else "beta"


def measured_bound(subject: Subject) -> Bound:
    """The bound of the model's clipped denoiser with the discretised decoder."""
    from unnoise.process.variance import VARIANCES

    return variational_bound(
        subject.model.guided(),
        subject.images,
        decoder="discretised",
        variance=VARIANCES[variance_of(subject.model)](),
        seed=subject.seed,
        batch_size=subject.batch_size,
    )


def score(
    run: str | Path, data: Any, *, split: str = "test", n: int | None = None, seed: int = 0, device: str | None = None
) -> dict[str, Any]:
    """Ranks images by how well a run explains them.

    Two scores, larger for stranger images: bits per dimension (simple images can fool it), and the denoising error
    over a range of noise levels. Returns them per image, in the order of the source.
    """
    opened = Run.open(run)
    images, used = open_for(opened, data, split, n)
    model = opened.diffusion("scoring", device)
    x_0 = images.batch(range(len(images)), model.device).image
    bound = measured_bound(Subject(model, x_0, seed, 256))
    return {
        "run": str(run),
        "data": images.source,
        "split": used,
        "n": len(images),
        "bits_per_dim": (bound.per_image / np.log(2)).tolist(),
        "denoising_error": denoising_errors(model, x_0, seed).tolist(),
    }


@torch.no_grad()
def denoising_errors(model: Diffusion, x_0: Tensor, seed: int = 0, batch_size: int = 256) -> Tensor:
    """(N,): the mean of |x_0 - denoised x_0|^2 alpha / sigma over noise levels from log-SNR 4 to -4."""
    total = torch.zeros(len(x_0), dtype=torch.float64)
    for index, log_snr in enumerate(torch.linspace(4, -4, SCORE_TIMES, dtype=torch.float64)):
        t = model.schedule.t(log_snr)
        t = t.round().clamp(min=1) if model.schedule.grid is not None else t
        x_t = perturb(model.schedule, x_0, StepNoise(seed, index).normal(x_0), t)
        denoised = torch.cat([model(part, t).x_0 for part in x_t.split(batch_size)])
        weight = per_row((log_snr / 2).exp(), x_0)
        total += (weight * (x_0 - denoised).square()).flatten(1).mean(1).double().cpu() / SCORE_TIMES
    return total
