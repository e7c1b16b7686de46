"""Tests of what a device computes, beside the CPU. On a machine without a GPU they run on the CPU, where they test
themselves; `benchmarks/gpu/run.sh` runs them on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from unnoise.runs.config import override, read_recipe
from unnoise.runtime.device import best_device
from unnoise.runtime.precision import computing_in
from unnoise.seeding import StepNoise
from unnoise.training.setup import Setup, prepare
from unnoise.training.trainer import Trainer

SMALL = {
    "unet": {"model.network.channels": 16, "model.network.dropout": 0.0},
    "dit": {"model.network.dim": 12},
    "unet2d": {"model.network.block_out_channels": [16, 16, 16], "model.network.attention_head_dim": 8},
}
TINY = {"train.batch_size": 8, "data.limit": 32, "data.size": 8, "train.warmup": 1, "train.channels_last": "off"}


def beside_the_cpu(values: Iterable[Any], kept: int = 1) -> list[Any]:
    """The values as parameters. Where the CPU is compared with itself all but the first few are slow: what each of
    them computes there is tested elsewhere."""
    slow = [pytest.mark.slow] if best_device() == "cpu" else []
    return [pytest.param(value, marks=slow if index >= kept else []) for index, value in enumerate(values)]


@pytest.fixture(scope="session")
def device() -> str:
    return best_device()


@pytest.fixture
def strictly_fp32(device: str) -> Iterator[None]:
    """Both devices multiply in fp32: a GPU's own TF32 keeps 10 bits."""
    with computing_in(device, "fp32"):
        yield


@pytest.fixture
def same_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every device trains on the CPU's draws."""

    def normal(noise: StepNoise, like: Tensor) -> Tensor:
        draws = torch.randn(like.shape, generator=noise._generator("cpu"), dtype=like.dtype)
        return draws.to(like.device)

    monkeypatch.setattr(StepNoise, "normal", normal)


def small(recipe: str, folder: Path, device: str, **more: Any) -> Setup:
    """A recipe, small enough for a test; its weights are the same on every device."""
    config = read_recipe(recipe)
    overrides: dict[str, Any] = dict(TINY)
    if config["model"].get("kind", "diffusion") == "diffusion":
        overrides.update(SMALL[config["model"]["network"]["kind"]])
    else:
        overrides["model.channels"] = 16
    if recipe == "classifier":
        overrides["model.dropout"] = 0.0
    source: Any = with_vectors(folder) if recipe == "ddpm-vector" else "glyphs:size=16,n=64"
    return prepare(source, recipe, override(config, {**overrides, **more}), 0, None, device)


@pytest.fixture(scope="session")
def trainer_of() -> Callable[..., Trainer]:
    return small_trainer


def small_trainer(recipe: str, folder: Path, device: str, **more: Any) -> Trainer:
    """Its trainer, with random numbers where the networks begin at zero, so that every gradient counts."""
    trainer = small(recipe, folder, device, **{"train.precision": "fp32", **more}).trainer(None)
    torch.backends.cudnn.benchmark = False  # a search for the best kernels takes longer than the test
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in (trainer.model, *trainer.objective.modules().values()):
            for parameter in module.parameters():
                parameter.add_((0.02 * torch.randn(parameter.shape, generator=draws)).to(parameter.device))
    return trainer


def with_vectors(folder: Path) -> Path:
    file = folder / "set.npz"
    if not file.exists():
        draws = np.random.default_rng(0)
        pixels = draws.integers(0, 256, (32, 8, 8, 1), dtype=np.uint8)
        np.savez(file, images=pixels, vectors=draws.standard_normal((32, 5)))
    return file
