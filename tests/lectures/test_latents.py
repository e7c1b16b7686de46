"""The plane of two latents."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from unnoise.errors import NotApplicable
from unnoise.lectures import show
from unnoise.lectures.latents import decoded_grid, empty_fraction
from unnoise.models import VAE
from unnoise.training.train import train

TINY = {"model.latent": 2, "model.channels": 8, "train.batch_size": 16, "train.samples": 0, "train.warmup": 1}


def test_a_plane_is_drawn_for_two_runs(tmp_path: Path) -> None:
    folders = [tmp_path / recipe for recipe in ("vae", "autoencoder")]
    for folder in folders:
        train("digits", folder.name, folder, steps=2, overrides=TINY, device="cpu")
    drawn = show("latents", *folders, out=tmp_path / "latents.png")
    assert (tmp_path / "latents.png").is_file()
    assert set(drawn["empty_fraction"]) == {str(folder) for folder in folders}
    assert all(0 <= fraction < 1 for fraction in drawn["empty_fraction"].values())


def test_clusters_leave_holes_that_a_gaussian_does_not() -> None:
    even = torch.randn(3000, 2, generator=torch.Generator().manual_seed(0))
    clusters = torch.cat([0.1 * even[:1500], 0.1 * even[1500:] + 5])
    assert empty_fraction(even) < 0.1
    assert empty_fraction(clusters) > 0.7


def test_the_upper_left_of_the_grid_is_where_the_first_latent_is_low_and_the_second_high() -> None:
    class Corner(VAE):
        def decode(self, z: torch.Tensor) -> torch.Tensor:
            return torch.where((z[:, 0] < 0) & (z[:, 1] > 0), 1.0, -1.0).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)

    sheet = decoded_grid(Corner((1, 8, 8), latent=2, channels=4, multipliers=(1,)), torch.zeros(1, 2), count=4)
    assert sheet.shape == (1, 32, 32)
    assert (sheet[0, :16, :16] == 255).all()
    assert (sheet[0, 16:] == 0).all()


def test_other_runs_are_refused_with_the_way_out(run: Path, tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match=r"model\.latent=2"):
        show("latents", run, out=tmp_path / "latents.png")
