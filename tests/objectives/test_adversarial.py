"""Adversarial objectives: the identities of Goodfellow et al. 2014 where they are exact, and the contract."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unnoise.data.batch import Batch
from unnoise.data.images import Images
from unnoise.data.loader import Loader
from unnoise.models.gan import GAN
from unnoise.objectives.adversarial import GAMES, PENALTIES, Adversarial, gradient_penalty, r1
from unnoise.process.divergence import js_gaussian
from unnoise.runs.checkpoint import checkpoints, save_checkpoint
from unnoise.seeding import StepNoise
from unnoise.training.engine import choose_engine
from unnoise.training.settings import TrainSettings
from unnoise.training.trainer import Trainer

every_game = pytest.mark.parametrize("game", GAMES)
GRID = torch.linspace(-30, 30, 60_001, dtype=torch.float64)
DATA, SAMPLES = torch.distributions.Normal(0.0, 1.0), torch.distributions.Normal(1.0, 2.0)


def value(logit: Tensor) -> Tensor:
    """V(D) = E_data[log D] + E_samples[log(1 - D)] on the line, D = sigmoid(logit on GRID), by the trapezoid rule."""
    game = GAMES["minimax"].discriminator
    never = torch.full_like(logit, torch.inf)  # a logit so sure that its term is zero
    integrand = DATA.log_prob(GRID).exp() * game(logit, -never) + SAMPLES.log_prob(GRID).exp() * game(never, logit)
    return -torch.trapezoid(integrand, GRID)


def optimum() -> Tensor:
    """log p_data - log p_samples: D* = p_data / (p_data + p_samples)."""
    return DATA.log_prob(GRID) - SAMPLES.log_prob(GRID)


def test_the_value_at_the_optimal_discriminator_is_2_js_minus_2_log_2() -> None:
    assert float(value(optimum())) == pytest.approx(2 * js_gaussian(0, 1, 1, 2) - 2 * math.log(2), abs=1e-7)


def test_the_optimal_discriminator_is_optimal() -> None:
    logit = optimum().requires_grad_()
    value(logit).backward()
    assert logit.grad is not None
    assert logit.grad.abs().max() < 1e-12
    for direction in (torch.ones_like(GRID), GRID, GRID.sin(), (GRID > 1).double()):
        for step in (-0.5, -0.01, 0.01, 0.5):
            assert value(optimum() + step * direction) < value(optimum())


def test_the_minimax_generator_stops_learning_when_the_discriminator_has_won() -> None:
    """d/dlogit of log(1 - D) is -D, of -log D it is -(1 - D): both move towards the data, only one dies at D = 0."""
    slopes = {}
    for game in ("minimax", "non-saturating"):
        logit = torch.tensor([-20.0, 0.0, 20.0], dtype=torch.float64, requires_grad=True)
        GAMES[game].generator(logit).sum().backward()
        assert logit.grad is not None
        slopes[game] = logit.grad.tolist()
    assert slopes["minimax"] == pytest.approx([-math.exp(-20), -0.5, -1], rel=1e-6)
    assert slopes["non-saturating"] == pytest.approx([-1, -0.5, -math.exp(-20)], rel=1e-6)


def test_hinge_and_wasserstein_in_numbers() -> None:
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.5])
    assert GAMES["hinge"].discriminator(real, fake).tolist() == [0, 2]
    assert GAMES["wasserstein"].discriminator(real, fake).tolist() == [-5, 0]
    for game in ("hinge", "wasserstein"):
        assert GAMES[game].generator(fake).tolist() == [3, -0.5]


class Linear(nn.Module):
    """D(x) = sum of 0.3 x over 12 numbers: ||grad D||^2 = 12 * 0.09."""

    def forward(self, image: Tensor) -> Tensor:
        return 0.3 * image.flatten(1).sum(1)


def test_penalties_of_a_linear_discriminator() -> None:
    real, fake = torch.randn(2, 5, 3, 2, 2)
    assert float(r1(Linear(), real, fake, StepNoise(0))) == pytest.approx(0.54)
    expected = (math.sqrt(1.08) - 1) ** 2
    assert float(gradient_penalty(Linear(), real, fake, StepNoise(0))) == pytest.approx(expected, rel=1e-4)


def make(game: str = "non-saturating", penalty: str = "r1", spectral: bool = False) -> Adversarial:
    torch.manual_seed(0)
    model = GAN((1, 8, 8), channels=16, latent=8)
    return Adversarial(model, game, penalty, channels=16, multipliers=(1, 2), spectral=spectral)


def pixels(n: int = 8) -> np.ndarray:
    return np.where(np.random.default_rng(5).random((n, 1, 8, 8)) < 0.4, 255, 0).astype(np.uint8)


def images(n: int = 8) -> Batch:
    return Images(pixels(n)).batch(range(n))


@every_game
@pytest.mark.parametrize("penalty", PENALTIES)
def test_gradients_reach_the_phases_parameters_alone(game: str, penalty: str) -> None:
    objective = make(game, penalty)
    generator, discriminator = objective.phases()
    everything = [*generator.parameters, *discriminator.parameters]
    assert {id(p) for p in generator.parameters} == {id(p) for p in objective.model.parameters()}
    assert {id(p) for p in discriminator.parameters} == {id(p) for p in objective.discriminator.parameters()}
    for phase in (generator, discriminator):
        phase.loss(images(), StepNoise(0)).total.backward()
        own = {id(p) for p in phase.parameters}
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in phase.parameters)
        assert all(p.grad is None for p in everything if id(p) not in own)
        for parameter in everything:
            parameter.grad = None


def test_losses_are_functions_of_batch_and_noise() -> None:
    for phase in make().phases():
        first, again, other = (phase.loss(images(), StepNoise(3, k)).total for k in (1, 1, 2))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)


def test_the_parts_tell_how_the_game_stands() -> None:
    objective = make()
    with torch.no_grad():
        objective.discriminator.last.weight.zero_()
        objective.discriminator.last.bias.fill_(1.0)
    parts = objective.discriminator_loss(images(), StepNoise(0)).parts
    assert float(parts["accuracy_real"]) == 1
    assert float(parts["accuracy_fake"]) == 0
    assert float(parts["penalty"]) == 0
    assert float(parts["discriminator"]) == pytest.approx(math.log1p(math.exp(-1)) + math.log1p(math.e))


def trainer(spectral: bool) -> Trainer:
    settings = TrainSettings(batch_size=8, learning_rate=1e-3, warmup=2, precision="fp32", accumulate=2)
    objective = make(spectral=spectral)
    return Trainer(objective, Loader(Images(pixels(20)), 8, 0), settings, choose_engine(settings, "cpu"))


@pytest.mark.parametrize("spectral", [False, True])
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(tmp_path: Path, spectral: bool) -> None:
    """The discriminator is part of the checkpoint; a trial step before the first, such as a plan's, leaves no mark."""
    whole = trainer(spectral)
    for _ in range(5):
        whole.advance()
    first = trainer(spectral)
    for _ in range(2):
        first.advance()
    save_checkpoint(tmp_path, first.tensors(), [o.state_dict() for o in first.optimizers], first.state())
    resumed = trainer(spectral)
    for phase in resumed.phases:
        phase.loss(images(), StepNoise(9)).total.backward()
    resumed.restore(checkpoints(tmp_path)[0])
    for _ in range(3):
        resumed.advance()
    expected = whole.tensors()
    assert set(expected) == {"model", "ema", "discriminator"}
    for name, tensors in resumed.tensors().items():
        assert all(torch.equal(expected[name][key], found) for key, found in tensors.items()), name


@every_game
@pytest.mark.slow
def test_memorises_eight_images(game: str) -> None:
    objective, batch = make(game), images()
    big = replace(batch, image=batch.image.repeat(4, 1, 1, 1))
    phases = objective.phases()
    optimizers = [torch.optim.Adam(phase.parameters, lr=2e-3, betas=(0.0, 0.99)) for phase in phases]
    for step in range(1200):
        for index, (phase, optimizer) in enumerate(zip(phases, optimizers, strict=True)):
            optimizer.param_groups[0]["lr"] = 2e-3 * (1 - step / 1200)
            phase.loss(big, StepNoise(0, step, index)).total.backward()
            optimizer.step()
            optimizer.zero_grad()
    distance = (objective.model.eval().sample(range(64))[:, None] - batch.image).abs().mean((2, 3, 4)).min(1)
    assert distance.values.median() < 0.2
    assert len(distance.indices.unique()) >= 6


def test_unknown_words_are_refused() -> None:
    with pytest.raises(ValueError, match="did you mean 'minimax'"):
        make("minmax")
    with pytest.raises(ValueError, match="unknown penalty 'r2'"):
        make(penalty="r2")
    with pytest.raises(ValueError, match="penalty_weight must be at least 0"):
        Adversarial(GAN((1, 8, 8), channels=8), penalty_weight=-1.0)


def test_a_collapsed_generator_and_a_vanished_gradient_are_named_with_what_to_do() -> None:
    objective = Adversarial(GAN((1, 8, 8), channels=8))
    healthy = {
        "diversity": 0.9,
        "accuracy_real": 0.8,
        "accuracy_fake": 0.8,
        "grad_norm_generator": 1.0,
        "grad_norm_discriminator": 1.0,
    }
    assert objective.diagnose(healthy) is None
    assert "mode collapse" in str(objective.diagnose({**healthy, "diversity": 0.1}))
    won = {**healthy, "accuracy_real": 1.0, "accuracy_fake": 1.0}
    assert objective.diagnose(won) is None
    assert "vanishing gradient" in str(objective.diagnose({**won, "grad_norm_generator": 1e-3}))


def test_one_picture_for_every_code_has_no_diversity() -> None:
    torch.manual_seed(0)
    model = GAN((1, 8, 8), channels=8)
    objective = Adversarial(model)
    batch = Batch(torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1, {})
    assert float(objective.discriminator_loss(batch, StepNoise(0)).parts["diversity"]) > 0.01
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert float(objective.discriminator_loss(batch, StepNoise(0)).parts["diversity"]) < 1e-3
