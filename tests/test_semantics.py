from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import unnoise
from unnoise.data import open_source
from unnoise.models.assembly import build_model
from unnoise.semantics import Codes, DDIMNoise, arithmetic, code_space, edit_codes, interpolated, there_and_back
from unnoise.training.start import train

SMALL = {"train.batch_size": 32, "train.samples": 0, "train.warmup": 1}


class Doubling:
    """A linear code: z = 2 x."""

    def encode(self, image: Tensor) -> Tensor:
        return 2 * image

    def decode(self, z: Tensor) -> Tensor:
        return z / 2


def pictures(count: int) -> list[Tensor]:
    draws = torch.Generator().manual_seed(0)
    return [torch.rand(1, 1, 4, 4, generator=draws) for _ in range(count)]


def test_arithmetic_and_interpolation_of_a_linear_code_are_those_of_images() -> None:
    space, (a, b, c) = Codes(Doubling()), pictures(3)
    torch.testing.assert_close(arithmetic(space, a, b, c), a - b + c)
    torch.testing.assert_close(arithmetic(space, a, a, c), c)
    path = interpolated(space, a, b, 5)
    torch.testing.assert_close(path[[0, 2, 4]], torch.cat([a, (a + b) / 2, b]))


def test_a_sum_of_noises_has_the_norm_of_noise() -> None:
    torch.manual_seed(0)
    model = build_model({"network": {"kind": "unet", "channels": 8}}, (1, 8, 8), 0)
    assert isinstance(model, unnoise.Diffusion)
    space = DDIMNoise(model)
    a, b, c = torch.randn(3, 1, 1, 8, 8)
    assert float(space.settled(a - b + c, c).norm()) == pytest.approx(float(c.norm()), rel=1e-5)


@pytest.fixture(scope="module")
def diffusion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("semantics") / "run"
    overrides = {**SMALL, "model.network.channels": 16}
    train("digits", "ddpm-digits", out, steps=150, overrides=overrides, device="cpu")
    return out


def test_an_image_comes_back_from_its_noise(diffusion: Path) -> None:
    model = unnoise.load(diffusion, device="cpu")
    images = open_source("digits", split="test", progress=False).batch(range(4)).image
    _, psnr = there_and_back(code_space(model, steps=100), images)
    assert psnr > 40


def test_every_task_writes_its_grid_and_wrong_requests_are_refused(diffusion: Path, tmp_path: Path) -> None:
    small = {**SMALL, "model.channels": 8}
    vae = train("digits", "vae", tmp_path / "vae", steps=2, overrides=small, device="cpu").folder
    files = [tmp_path / f"{index}.png" for index in range(3)]
    for index, file in enumerate(files):
        Image.fromarray(np.asarray(open_source("digits", progress=False).pixels[index, 0])).save(file)
    for run in (diffusion, vae):
        between = edit_codes(run, "interpolate", files[:2], count=3, steps=5, out=tmp_path / "i.png", device="cpu")
        assert between["images"] == 3
        sums = edit_codes(run, "arithmetic", files, steps=5, out=tmp_path / "a.png", device="cpu")
        assert sums["images"] == 4
        assert edit_codes(run, "invert", files[:1], steps=5, out=tmp_path / "b.png", device="cpu")["psnr"] > 0
    assert edit_codes(vae, "traverse", files[:1], count=2, out=tmp_path / "t.png", device="cpu")["images"] == 20
    with pytest.raises(ValueError, match="takes 3 pictures, got 2"):
        edit_codes(vae, "arithmetic", files[:2])
    with pytest.raises(ValueError, match="codes of few numbers"):
        edit_codes(diffusion, "traverse", files[:1], device="cpu")
