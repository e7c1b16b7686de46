from __future__ import annotations

from pathlib import Path

import pytest

from unnoise.training.train import train


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small diffusion run on the embedded digits."""
    folder = tmp_path_factory.mktemp("evaluation") / "run"
    overrides = {
        "model.network.channels": 8,
        "model.schedule.kind": "linear-betas",
        "model.schedule.T": 50,
        "model.schedule.beta_start": 0.002,
        "model.schedule.beta_end": 0.4,
        "sampler.steps": 5,
        "train.batch_size": 32,
        "train.samples": 0,
        "train.warmup": 10,
    }
    train("digits", "ddpm-digits", folder, steps=150, overrides=overrides, device="cpu")
    return folder
