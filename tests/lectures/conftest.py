from __future__ import annotations

from pathlib import Path

import pytest

from unnoise.training.train import train


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small diffusion run on the embedded digits."""
    folder = tmp_path_factory.mktemp("lectures") / "run"
    overrides = {
        "model.network.channels": 8,
        "model.schedule.T": 50,
        "sampler.steps": 5,
        "train.batch_size": 16,
        "train.samples": 0,
        "train.warmup": 10,
    }
    train("digits", "ddpm-digits", folder, steps=40, overrides=overrides, device="cpu")
    return folder
