from __future__ import annotations

from pathlib import Path

import pytest
import torch

from unnoise.runs.metrics_file import read_metrics
from unnoise.runs.pictures import drawn
from unnoise.sources import open_source
from unnoise.training.noise_watch import NoiseWatch, roughness
from unnoise.training.train import train


def noise(n: int, size: int = 16) -> torch.Tensor:
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(0))


def test_roughness_of_white_noise_is_one_whatever_its_mean_and_size() -> None:
    torch.testing.assert_close(roughness(noise(50, 64)).mean(), torch.tensor(1.0), atol=0.01, rtol=0)
    torch.testing.assert_close(roughness(noise(50)), roughness(3 * noise(50) + 7))


def test_roughness_of_a_ramp_and_of_one_colour() -> None:
    ramp = torch.arange(32.0).expand(1, 1, 32, 32)  # steps of 1 across and 0 down; variance (32^2 - 1) / 12
    torch.testing.assert_close(roughness(ramp), torch.tensor([0.5 / (2 * (32**2 - 1) / 12)]))
    assert roughness(torch.full((2, 1, 8, 8), 0.3)).tolist() == [0.0, 0.0]


def test_noise_is_said_and_images_are_not() -> None:
    images = open_source("builtin:glyphs:size=32,n=64", split="train").batch(range(64)).image
    watch = NoiseWatch(images)
    said = watch.warning(noise(16, 32), 12_345)
    assert said is not None
    assert "12,345 steps" in said
    assert watch.warning(images, 12_345) is None


@pytest.mark.parametrize("share", [0.3, 3.0])
def test_images_under_a_little_noise_are_images_and_under_much_are_noise(share: float) -> None:
    images = open_source("builtin:glyphs:size=32,n=64", split="train").batch(range(64)).image
    noisy = images + share * images.std() * torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    assert (NoiseWatch(images).warning(noisy, 1) is not None) == (share > 1)


def test_where_the_data_is_noise_nothing_is_said() -> None:
    assert NoiseWatch(noise(64)).warning(2 * noise(64).flip(0), 1) is None


def test_a_training_that_has_hardly_begun_says_that_its_samples_are_noise_once(tmp_path: Path) -> None:
    tiny = {"model.network.channels": 8, "model.network.multipliers": [1], "model.network.attention": []}
    often = {"train.draw_every": 0, "train.samples": 4, "sampler.steps": 3, "train.batch_size": 8}
    run = train("digits", "ddpm-digits", tmp_path / "run", steps=3, overrides={**tiny, **often}, device="cpu")
    said = [line["warning"] for line in read_metrics(run.folder) if "warning" in line]
    assert [text for text in said if text.startswith("still noise")] == [said[0]]
    assert len(drawn(run.folder)) == 3
