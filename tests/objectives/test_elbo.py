from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from unnoise.data.batch import Batch
from unnoise.models.likelihoods import LIKELIHOODS
from unnoise.models.vae import VAE
from unnoise.objectives.elbo import Elbo
from unnoise.seeding import StepNoise

every_likelihood = pytest.mark.parametrize("likelihood", LIKELIHOODS)


def make(likelihood: str = "bernoulli", beta: float = 1.0, free_bits: float = 0.0) -> Elbo:
    torch.manual_seed(0)
    return Elbo(VAE((1, 8, 8), channels=16, latent=6, likelihood=likelihood), beta, free_bits)


def images(n: int = 8) -> Batch:
    draws = torch.Generator().manual_seed(5)
    return Batch(torch.where(torch.rand(n, 1, 8, 8, generator=draws) < 0.4, 1.0, -1.0), {})


@every_likelihood
def test_it_is_minus_the_models_own_bound(likelihood: str) -> None:
    objective, batch = make(likelihood), images(256)
    loss = objective.loss(batch, StepNoise(3, 0))
    bound = -objective.model.log_likelihood(batch.image, seed=3).nats.mean()
    torch.testing.assert_close(loss.parts["bound"], bound)
    torch.testing.assert_close(loss.total.detach(), bound / 64)
    torch.testing.assert_close(loss.parts["distortion"] + loss.parts["rate"], bound)


def test_beta_weighs_the_rate() -> None:
    parts = make(beta=0.0).loss(images(), StepNoise(0)).parts
    for beta in (0.0, 0.5, 4.0):
        total = make(beta=beta).loss(images(), StepNoise(0)).total
        assert float(total.detach()) == pytest.approx(float(parts["distortion"] + beta * parts["rate"]) / 64)


def test_free_bits_cost_the_same_until_they_are_used_up() -> None:
    """Below the allowance the charge is the allowance itself, log 2 nats a bit, and sends no gradient to the rate."""
    objective, batch = make(free_bits=3.0), images()
    loss = objective.loss(batch, StepNoise(0))
    assert float(loss.parts["rate"]) < 6 * 3 * math.log(2)
    expected = (loss.parts["distortion"] + 6 * 3 * math.log(2)) / 64
    torch.testing.assert_close(loss.total.detach(), expected)
    generous, charged = make(free_bits=0.0), make(free_bits=1e-9)
    assert float(charged.loss(batch, StepNoise(0)).total.detach()) == pytest.approx(
        float(generous.loss(batch, StepNoise(0)).total.detach())
    )


@every_likelihood
def test_the_loss_is_a_function_of_batch_and_noise(likelihood: str) -> None:
    objective = make(likelihood)
    first, again, other = (objective.loss(images(), StepNoise(3, k)).total for k in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@every_likelihood
def test_gradients_reach_the_phases_parameters_alone(likelihood: str) -> None:
    objective = make(likelihood)
    (phase,) = objective.phases()
    phase.loss(images(), StepNoise(0)).total.backward()
    assert {id(p) for p in phase.parameters} == {id(p) for p in objective.model.parameters()}
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in phase.parameters)


@every_likelihood
@pytest.mark.slow
def test_memorises_eight_images(likelihood: str) -> None:
    """It comes to draw these eight, nearer to them (0.3) than they lie to each other (1), at a rate that tells eight
    apart: log 8 nats."""
    objective, batch = make(likelihood), images()
    big = replace(batch, image=batch.image.repeat(8, 1, 1, 1))
    optimizer = torch.optim.AdamW(objective.model.parameters())
    for step in range(1000):
        optimizer.param_groups[0]["lr"] = 6e-3 * min(1, (step + 1) / 100)
        loss = objective.loss(big, StepNoise(0, step))
        loss.total.backward()
        torch.nn.utils.clip_grad_norm_(objective.model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model = objective.model.eval()
    assert (model.decode(model.encode(batch.image)) - batch.image).abs().mean() < 0.3
    assert float(loss.parts["rate"]) > 0.9 * math.log(8)
    distance = (model.sample(range(64))[:, None] - batch.image).abs().mean((2, 3, 4)).min(1)
    assert distance.values.median() < 0.3
    assert len(distance.indices.unique()) >= 6


@pytest.mark.parametrize("wrong", [{"beta": -1.0}, {"free_bits": -0.5}])
def test_negative_weights_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"objective.{next(iter(wrong))} must be at least 0"):
        make(**wrong)  # type: ignore[arg-type]
