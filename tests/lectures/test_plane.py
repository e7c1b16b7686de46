"""Models in the plane, and the experiments on GANs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from unnoise.lectures import show
from unnoise.lectures.forgetting import forgetting_matrix
from unnoise.lectures.mixtures import ring
from unnoise.lectures.modes import counted, grid_of_gaussians
from unnoise.lectures.plane import Critic, Game, PlaneDenoiser, Setting, train_diffusion, train_vae
from unnoise.lectures.vanishing import gradient_norm
from unnoise.process.analytic import GaussianMixture
from unnoise.process.schedule import Cosine

ONE = GaussianMixture(torch.ones(1), torch.tensor([[1.0, -0.5]]), 0.3)


@pytest.mark.parametrize("name", ["modes", "collapse", "vanishing", "forgetting"])
def test_an_experiment_is_one_command(name: str, tmp_path: Path) -> None:
    drawn = show(name, steps=12, out=tmp_path / f"{name}.png")
    assert (tmp_path / f"{name}.png").is_file()
    assert len(drawn) > 3


def test_all_modes_are_found_where_they_are_drawn() -> None:
    data = grid_of_gaussians()
    numbers = counted(data.sample(5000, seed=1), data)
    assert (numbers["found"], numbers["modes"]) == (25, 25)
    assert numbers["kl"] < 0.01
    assert numbers["near"] > 0.99


def test_what_is_left_out_is_not_found() -> None:
    data = grid_of_gaussians()
    few = GaussianMixture(torch.ones(3), data.means[:3], 0.05)
    assert counted(few.sample(1000, seed=1), data)["found"] == 3
    far = counted(torch.full((10, 2), 50.0), data)
    assert far == {"found": 0, "modes": 25, "kl": None, "near": 0.0}


def test_the_same_seed_plays_the_same_game_whatever_the_global_generator() -> None:
    first = Game(ring(), Setting(spectral=True, penalty="r1"), seed=3).play(3).draw(5)
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    second = Game(ring(), Setting(spectral=True, penalty="r1"), seed=3).play(3).draw(5)
    assert torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_each_cure_is_in_the_discriminator() -> None:
    game = Game(ring(), Setting(spectral=True), seed=0)
    game.sharpen(20)
    norms = [float(torch.linalg.matrix_norm(layer.weight.detach(), 2)) for layer in game.critic.layers()]
    assert norms == pytest.approx([1.0] * 4, abs=0.2)
    sees = Critic(Setting(batch_std=True))
    x = torch.randn(8, 2)
    assert not torch.allclose(sees(x)[:1], sees(x[:1].expand(8, 2))[:1])
    plain = Critic(Setting())
    assert torch.allclose(plain(x)[:1], plain(x[:1].expand(8, 2))[:1])


def test_the_minimax_gradient_vanishes_beside_the_other() -> None:
    game = Game(ring(8, radius=2.0, std=0.1), Setting(), seed=0)
    before = {name: gradient_norm(game, name) for name in ("minimax", "non-saturating")}
    game.sharpen(150)
    after = {name: gradient_norm(game, name) for name in before}
    assert after["minimax"] / before["minimax"] < 0.3
    assert after["non-saturating"] > after["minimax"]


def test_the_matrix_counts_what_is_caught() -> None:
    right_half, everything = (lambda x: -x[:, 0]), (lambda x: torch.full((len(x),), -1.0))
    samples = [torch.tensor([[1.0, 0.0], [2.0, 0.0]]), torch.tensor([[1.0, 0.0], [-1.0, 0.0]])]
    assert forgetting_matrix([right_half, everything], samples).tolist() == [[1.0, 0.5], [1.0, 1.0]]


@pytest.mark.slow
@pytest.mark.parametrize("train", [train_vae, train_diffusion])
def test_one_gaussian_is_learned(train: object) -> None:
    assert callable(train)
    x = train(ONE, 800, 0)(4000).double()
    assert torch.allclose(x.mean(0), ONE.means[0], atol=0.06)
    assert torch.allclose(x.std(0), torch.tensor(0.3).double(), atol=0.06)


def test_the_denoiser_splits_x_t() -> None:
    denoiser = PlaneDenoiser(Cosine())
    assert isinstance(denoiser, nn.Module)
    x_t, t = torch.randn(5, 2), torch.tensor(0.3, dtype=torch.float64)
    found = denoiser(x_t, t)
    rebuilt = float(Cosine().alpha(t)) * found.x_0 + float(Cosine().sigma(t)) * found.eps
    assert torch.allclose(rebuilt, x_t, atol=1e-5)


@pytest.mark.slow
def test_collapse_is_shown_and_cured_in_three_of_three_seeds(tmp_path: Path) -> None:
    found = show("collapse", out=tmp_path / "collapse.png")["modes_found"]
    assert max(found.pop("no cure")) <= 3
    assert found == {"R1": [8, 8, 8], "spectral norm": [8, 8, 8], "minibatch statistics": [8, 8, 8]}
