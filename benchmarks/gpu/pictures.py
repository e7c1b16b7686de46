"""A training for the minutes that are left, by the product's own commands: its curve, a grid of samples, distances."""

from __future__ import annotations

import shutil
from typing import Any

from record import Recording

import unnoise
from unnoise.evaluation.evaluate import evaluate
from unnoise.runs.metrics_file import read_metrics
from unnoise.sampling.generate import generate

RECIPE = "ddpm"
SETTINGS: dict[str, Any] = {
    "model.network.channels": 64,
    "model.network.blocks": 2,
    "model.network.heads": 2,
    "train.batch_size": 256,
    "train.steps": 1_000_000,
    "train.learning_rate": 6e-4,
    "train.warmup": 1000,
    "train.ema": 0.9995,
    "data.flip": True,
}
SMALL: dict[str, Any] = {"model.network.channels": 8, "model.network.blocks": 1, "train.batch_size": 8}
AFTERWARDS = 25.0
"""Seconds for samples and distances."""
SAMPLES = 5000


def main(recording: Recording, source: str | None = None, keep: bool = True) -> None:
    """source: what to train on. keep: the samples and the weights stay beside the figures."""
    small, folder = recording.small, recording.file.parent / "run"
    source = source or ("builtin:digits" if small else "cifar10")
    shutil.rmtree(folder, ignore_errors=True)
    minutes = {"steps": 4} if small else {"minutes": max(0.5, (recording.left() - AFTERWARDS) / 60)}
    settings = SMALL | {"data.limit": 64} if small else SETTINGS
    run = unnoise.train(source, RECIPE, folder, **minutes, overrides=settings)
    summary = {key: value for key, value in (run.summary or {}).items() if key != "run"}
    recording.write("training", {"source": source, "recipe": RECIPE, "settings": settings, **summary})
    recording.write("curve", [line for line in read_metrics(folder) if "loss" in line])
    grid = recording.file.parent / "samples.png"
    generate(folder, range(16 if small else 64), options={"steps": 4 if small else 50}, out=grid, overwrite=True)
    if not small:
        drawn = generate(folder, range(SAMPLES), out=recording.file.parent / "samples.npz", overwrite=True)
        recording.write("samples", {key: drawn[key] for key in ("images", "seconds", "network_calls", "sampler")})
    if recording.left() > 60 and not small:
        found = evaluate(folder, metrics=("fid", "precision", "recall"), n=SAMPLES, features="classifier")
        recording.write("distances", found)
    if not keep:
        shutil.rmtree(folder)
