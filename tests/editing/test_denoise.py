"""Denoising pictures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from unnoise.data import save_png
from unnoise.editing.denoise import denoise_picture, denoised
from unnoise.errors import NotApplicable, UserError
from unnoise.models import GAN, Autoencoder, Diffusion
from unnoise.process.denoiser import Denoised
from unnoise.training.train import train

TINY = {"model.channels": 8, "train.batch_size": 16, "train.samples": 0, "train.warmup": 1}


class Exact(Diffusion):
    """Answers as if all pixels were N(0, 1)."""

    def denoise(self, x_t: Tensor, t: Tensor, *given: Any) -> Denoised:
        alpha, sigma = float(self.schedule.alpha(t)), float(self.schedule.sigma(t))
        x_0 = alpha * x_t / (alpha**2 + sigma**2)
        return Denoised(x_t, x_0, (x_t - alpha * x_0) / sigma, schedule=self.schedule, t=t)


@pytest.mark.parametrize("schedule", ["cosine", "linear-betas", "ve", "rectified-flow"])
def test_it_is_the_wiener_filter_where_pixels_are_normal(schedule: str) -> None:
    spec = {"network": {"kind": "unet", "channels": 8, "multipliers": [1]}, "schedule": schedule, "clip": False}
    model = Exact.build(spec, (1, 8, 8), 0)
    picture = torch.randn(2, 1, 8, 8)
    for noise in (0.2, 1.0):
        expected = picture / (1 + noise**2)
        assert torch.allclose(denoised(model, picture, noise), expected, atol=0.02 * (1 + math.sqrt(noise)))


def test_an_autoencoder_gives_its_reconstruction() -> None:
    model, picture = Autoencoder((1, 8, 8), latent=3, channels=4, multipliers=(1,)), torch.rand(2, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(denoised(model, picture, 0.5), model.decode(model.encode(picture)))


def test_others_are_refused() -> None:
    with pytest.raises(NotApplicable, match="recipe dae"):
        denoised(GAN((1, 8, 8), channels=4, multipliers=(1,)), torch.rand(1, 1, 8, 8), 0.5)
    diffusion = Diffusion.build({"network": {"kind": "unet", "channels": 8, "multipliers": [1]}}, (1, 8, 8), 0)
    with pytest.raises(UserError, match="above 0"):
        denoised(diffusion, torch.rand(1, 1, 8, 8), 0.0)


def test_a_picture_stands_beside_its_denoised_self(tmp_path: Path) -> None:
    run = train("digits", "dae", tmp_path / "run", steps=2, overrides=TINY, device="cpu").folder
    save_png(torch.rand(1, 8, 8) * 2 - 1, tmp_path / "noisy.png")
    result = denoise_picture(run, tmp_path / "noisy.png", device="cpu")
    assert Path(result["out"]).is_file()
    assert result["removed"] > 0
    with pytest.raises(UserError, match="overwrite"):
        denoise_picture(run, tmp_path / "noisy.png", device="cpu")
