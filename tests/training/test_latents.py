from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import unnoise
from unnoise.models import Diffusion
from unnoise.models.assembly import build_model
from unnoise.models.codec import Latents
from unnoise.sources import open_source
from unnoise.training.latents import with_autoencoder, with_latents
from unnoise.training.train import train

SMALL = {"train.batch_size": 16, "train.samples": 4, "train.warmup": 1, "data.limit": 64}


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("latents") / "codec"
    train("digits", "vae-latent", out, steps=3, overrides={**SMALL, "model.channels": 8}, device="cpu")
    return out


def options(codec: Path) -> dict:
    network = {"model.network.channels": 8, "model.network.attention": []}
    return {**SMALL, **network, "model.codec.run": str(codec), "sampler.steps": 3}


def test_a_run_in_latents_trains_resumes_and_draws_without_the_codec_run(codec: Path, tmp_path: Path) -> None:
    whole = train("digits", "ldm", tmp_path / "whole", steps=4, overrides=options(codec), device="cpu")
    train("digits", "ldm", tmp_path / "parts", steps=2, overrides=options(codec), device="cpu")
    parts = train("digits", "ldm", tmp_path / "parts", steps=4, overrides=options(codec), device="cpu")
    one, other = (unnoise.load(run.folder, device="cpu") for run in (whole, parts))
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
    assert isinstance(one, Diffusion)
    assert isinstance(one.codec, Latents)
    assert float(one.codec.scale) != 1
    (codec / "config.toml").rename(codec / "hidden.toml")
    try:
        images = unnoise.load(whole.folder, device="cpu").sample(range(2))  # type: ignore[operator, union-attr]
        assert images.shape == (2, 1, 8, 8)
    finally:
        (codec / "hidden.toml").rename(codec / "config.toml")


def test_latents_are_those_of_the_images(codec: Path) -> None:
    images = open_source("digits", limit=20, progress=False)
    spec = with_autoencoder({"codec": {"kind": "latents", "run": str(codec)}, "clip": False})
    model = build_model(spec, images.shape, 0)
    coded = with_latents(model, images, "cpu", keep=True)
    assert isinstance(model, Diffusion)
    assert coded.latents is not None
    batch = coded.batch(np.array([3, 7]))
    assert batch.latents is not None
    torch.testing.assert_close(batch.latents, model.codec.encode(batch.image), atol=1e-5, rtol=1e-5)


def test_a_codec_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"model\.codec\.run=RUN"):
        train("digits", "ldm", tmp_path / "run", steps=1, device="cpu")


def test_damaged_latents_in_the_cache_are_made_anew(
    codec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = open_source("digits", limit=20, progress=False)
    monkeypatch.setenv("UNNOISE_CACHE", str(tmp_path))
    spec = with_autoencoder({"codec": {"kind": "latents", "run": str(codec)}, "clip": False})

    def made() -> np.ndarray:
        latents = with_latents(build_model(spec, images.shape, 0), images, "cpu", keep=True).latents
        assert latents is not None
        return latents

    first = made()
    (file,) = (tmp_path / "latents").iterdir()
    data = bytearray(file.read_bytes())
    data[-3] ^= 0xFF
    file.write_bytes(data)
    np.testing.assert_array_equal(made(), first)
