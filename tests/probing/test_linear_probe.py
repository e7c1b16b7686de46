from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unnoise.probing.linear_probe import export_features
from unnoise.training.train import train

SMALL = {"train.batch_size": 64, "train.samples": 0, "train.warmup": 5}


def test_an_autoencoders_codes_are_exported_and_read_by_a_linear_classifier(tmp_path: Path) -> None:
    run = train(
        "digits", "autoencoder", tmp_path / "run", steps=60, overrides={**SMALL, "model.channels": 8}, device="cpu"
    )
    result = export_features(run.folder, device="cpu")
    saved = np.load(result["out"])
    assert saved["features"].shape == (result["n"], 32) == (len(saved["labels"]), result["dim"])
    assert result["probe"]["accuracy"] > 0.8
    assert 0.9 < result["probe"]["pixels"] <= 1


def test_a_diffusion_models_middle_has_features_and_a_gan_has_none(tmp_path: Path) -> None:
    small = {**SMALL, "model.network.channels": 8}
    diffusion = train("digits", "ddpm-digits", tmp_path / "ddpm", steps=2, overrides=small, device="cpu")
    result = export_features(diffusion.folder, split="test", n=50, device="cpu")
    assert (result["n"], result["dim"], result["probe"]) == (50, 16, None)
    gan = train("digits", "gan", tmp_path / "gan", steps=1, overrides={**SMALL, "model.channels": 8}, device="cpu")
    with pytest.raises(ValueError, match="a gan has no encoder"):
        export_features(gan.folder, n=10, device="cpu")
