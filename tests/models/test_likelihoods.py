from __future__ import annotations

import math

import pytest
import torch

from unnoise.models.likelihoods import (
    LIKELIHOODS,
    Bernoulli,
    DiagonalGaussian,
    DiscretisedLogistic,
    Gaussian,
    clipped_logistic_mean,
    discretised_logistic,
)
from unnoise.seeding import StepNoise

LEVELS = torch.arange(256, dtype=torch.float64) / 127.5 - 1


@pytest.mark.parametrize("mean", [-3.0, -1.0, 0.0, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("log_scale", [-7.0, -4.0, 0.0, 3.0])
def test_the_discretised_logistic_is_a_distribution_of_levels(mean: float, log_scale: float) -> None:
    log_prob = discretised_logistic(LEVELS, torch.full_like(LEVELS, mean), torch.full_like(LEVELS, log_scale))
    assert log_prob.isfinite().all()
    assert float(log_prob.exp().sum()) == pytest.approx(1, abs=1e-9)


def test_the_discretised_logistic_is_a_difference_of_distribution_functions() -> None:
    mean, scale = 0.1, 0.2
    cdf = torch.sigmoid((LEVELS[1:-1, None] + torch.tensor([-1, 1]) / 255 - mean) / scale)
    got = discretised_logistic(LEVELS[1:-1], torch.tensor(mean), torch.tensor(math.log(scale)))
    torch.testing.assert_close(got.exp(), cdf[:, 1] - cdf[:, 0], rtol=1e-6, atol=0.0)


def test_far_from_the_mean_it_neither_overflows_nor_loses_its_gradient() -> None:
    mean = torch.tensor([-1.0, 1.0, 0.0], requires_grad=True)
    log_scale = torch.full((3,), -7.0, requires_grad=True)
    discretised_logistic(torch.tensor([1.0, -1.0, 0.5]), mean, log_scale).sum().backward()
    assert mean.grad is not None
    assert log_scale.grad is not None
    assert mean.grad.isfinite().all()
    assert log_scale.grad.isfinite().all()
    assert mean.grad.tolist() == pytest.approx([math.exp(7), -math.exp(7), math.exp(7)], rel=1e-3)


def test_bernoulli_is_a_distribution_of_black_and_white() -> None:
    output = torch.randn(5, 1, 1, 1)
    total = sum(Bernoulli().log_prob(torch.full((5, 1, 1, 1), x), output).exp() for x in (-1.0, 1.0))
    torch.testing.assert_close(total, torch.ones(5))


def test_bernoullis_target_is_drawn_with_the_pixels_probability() -> None:
    image = torch.tensor([-1.0, -0.5, 0.0, 0.8, 1.0]).reshape(1, 1, 1, 5).expand(20_000, 1, 1, 5)
    target = Bernoulli().target(image, StepNoise(0))
    assert set(target.unique().tolist()) == {-1.0, 1.0}
    share = (target > 0).float().mean(0).flatten().tolist()
    assert share == pytest.approx([0, 0.25, 0.5, 0.9, 1], abs=0.015)
    assert share[0] == 0
    assert share[-1] == 1


def test_gaussian_explains_dequantised_levels_by_the_normal_density() -> None:
    likelihood, image = Gaussian(), LEVELS.float().reshape(1, 1, 16, 16)
    target = likelihood.target(image, StepNoise(1))
    assert torch.equal(((target + 1) * 127.5).round(), ((image + 1) * 127.5).round())
    assert not torch.equal(target, image)
    output = torch.randn(1, 1, 16, 16)
    expected = torch.distributions.Normal(output, likelihood.log_scale.exp()).log_prob(target).sum().reshape(1)
    torch.testing.assert_close(likelihood.log_prob(target, output), expected)


@pytest.mark.parametrize("mean", [-3.0, 0.0, 0.3, 2.0])
@pytest.mark.parametrize("log_scale", [-7.0, -2.0, 0.0, 3.0])
def test_the_expected_pixel_is_the_sum_over_the_levels(mean: float, log_scale: float) -> None:
    m, s = torch.tensor([mean, log_scale], dtype=torch.float64)
    expected = (LEVELS * discretised_logistic(LEVELS, m, s).exp()).sum()
    assert float(clipped_logistic_mean(m, s.exp())) == pytest.approx(float(expected), abs=1 / 255)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_mean_is_an_image(name: str) -> None:
    likelihood = LIKELIHOODS[name]()
    mean = likelihood.mean(3 * torch.randn(2, 3 * likelihood.outputs, 4, 4))
    assert mean.shape == (2, 3, 4, 4)
    assert mean.abs().max() <= 1


def test_levels_are_explained_as_they_are() -> None:
    image = LEVELS.reshape(1, 1, 16, 16)
    assert DiscretisedLogistic().target(image, StepNoise(0)) is image


def test_a_diagonal_gaussian_has_a_variance_for_every_pixel() -> None:
    likelihood, x = DiagonalGaussian(), torch.randn(2, 3, 4, 4)
    mean, log_scale = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    expected = torch.distributions.Normal(mean, log_scale.exp()).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(likelihood.log_prob(x, torch.cat([mean, log_scale], 1)), expected)
    assert not list(likelihood.parameters())


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_draws_have_the_mean_that_is_shown(name: str) -> None:
    """With outputs that keep nearly all draws within [-1, 1], where clamping does not move the mean."""
    likelihood = LIKELIHOODS[name]()
    output = torch.full((20_000, likelihood.outputs, 1, 1), -2.5)
    output[:, 0] = 0.2
    drawn = likelihood.draw(output, StepNoise(0))
    assert drawn.abs().max() <= 1
    assert drawn.mean().item() == pytest.approx(float(likelihood.mean(output[:1])), abs=0.02)


def test_drawn_levels_are_levels_as_probable_as_the_likelihood_says() -> None:
    output = torch.tensor([0.1, -3.0]).view(1, 2, 1, 1).expand(50_000, 2, 1, 1)
    drawn = DiscretisedLogistic().draw(output, StepNoise(0)).double().flatten()
    index = ((drawn + 1) * 127.5).round()
    assert torch.allclose(index / 127.5 - 1, drawn, atol=1e-6)
    mass = discretised_logistic(LEVELS, torch.tensor(0.1).double(), torch.tensor(-3.0).double()).exp()
    assert (torch.bincount(index.long(), minlength=256) / 50_000 - mass).abs().max() < 0.004
