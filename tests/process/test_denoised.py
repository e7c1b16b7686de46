"""Score, velocity and the other readings of a split of x_t, on a Gaussian where each has a closed form."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from unnoise.process.analytic import GaussianMixture
from unnoise.process.denoiser import Denoised
from unnoise.process.schedule import VE, VP, Cosine, LinearBetas, RectifiedFlow, Schedule

MEAN, STD = torch.tensor([[0.3, -0.6, 0.1]], dtype=torch.float64), 0.4
GAUSSIAN = GaussianMixture(torch.ones(1), MEAN, STD)
MIXTURE = GaussianMixture(torch.ones(2), torch.tensor([[0.5, 0.2], [-0.4, 0.3]]), torch.tensor([0.2, 0.5]))
every_schedule = pytest.mark.parametrize(
    "schedule", [VP(), VE(sigma_max=3.0), Cosine(), RectifiedFlow(), LinearBetas()], ids=repr
)


def times(schedule: Schedule) -> Tensor:
    """A time for each of four rows, between native steps."""
    return torch.tensor([0.1004, 0.3004, 0.6204, 0.9004], dtype=torch.float64) * schedule.t_max


def draws(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@every_schedule
def test_velocity_is_the_derivative_along_the_flow(schedule: Schedule) -> None:
    """The flow of N(mu, s^2) is x_t = alpha mu + std_t z with z fixed; its derivative by central differences."""

    def flow(t: Tensor) -> Tensor:
        alpha, sigma = schedule.alpha(t)[:, None], schedule.sigma(t)[:, None]
        return alpha * MEAN + ((alpha * STD) ** 2 + sigma**2).sqrt() * draws(4, 3)

    t, step = times(schedule), 1e-6 * schedule.t_max
    expected = (flow(t + step) - flow(t - step)) / (2 * step)
    velocity = GAUSSIAN.denoiser(schedule)(flow(t), t).velocity
    torch.testing.assert_close(velocity, expected, rtol=1e-6, atol=1e-7)


@every_schedule
def test_score_is_the_gradient_of_the_log_density(schedule: Schedule) -> None:
    for t in times(schedule):
        x = draws(5, 2).requires_grad_()
        (expected,) = torch.autograd.grad(MIXTURE.at(schedule, t).log_prob(x).sum(), x)
        score = MIXTURE.denoiser(schedule)(x.detach(), t).score
        torch.testing.assert_close(score, expected, rtol=1e-8, atol=1e-10)


@every_schedule
def test_another_clean_image_keeps_x_t(schedule: Schedule) -> None:
    t, x_t, x_0 = times(schedule), draws(4, 3), draws(4, 3) / 2
    alpha, sigma = schedule.alpha(t)[:, None], schedule.sigma(t)[:, None]
    for time, rows in ((t, slice(None)), (t[1], slice(1, 2))):
        denoised = GAUSSIAN.denoiser(schedule)(x_t[rows], time).with_x0(x_0[rows])
        assert torch.equal(denoised.x_0, x_0[rows])
        torch.testing.assert_close(denoised.eps, ((x_t - alpha * x_0) / sigma)[rows])


def test_without_a_time_there_is_no_score() -> None:
    x = draws(2, 3)
    with pytest.raises(ValueError, match="schedule and t"):
        _ = Denoised(x, x, x).score


def test_the_mixtures_density_is_torchs() -> None:
    parts = [
        torch.distributions.Normal(mean, std).log_prob(x := draws(6, 2)).sum(1)
        for mean, std in zip(MIXTURE.means, MIXTURE.stds, strict=True)
    ]
    expected = torch.logsumexp(torch.stack(parts) + torch.log(torch.tensor(0.5)), 0)
    torch.testing.assert_close(MIXTURE.log_prob(x), expected)
    drawn = MIXTURE.sample(200_000, seed=3)
    mean = MIXTURE.means.mean(0)
    torch.testing.assert_close(drawn.mean(0), mean, rtol=0, atol=0.005)
    second = (MIXTURE.means**2).mean(0) + (MIXTURE.stds**2).mean() - mean**2
    torch.testing.assert_close(drawn.var(0), second, rtol=0.02, atol=0)


@pytest.mark.parametrize(
    ("weights", "means", "stds"),
    [
        (torch.ones(2), torch.zeros(3, 2), 1.0),
        (torch.ones(3), torch.zeros(3), 1.0),
        (torch.tensor([1.0, -0.1]), torch.zeros(2, 2), 1.0),
        (torch.zeros(2), torch.zeros(2, 2), 1.0),
        (torch.ones(2), torch.zeros(2, 2), torch.tensor([1.0, 0.0])),
    ],
)
def test_impossible_mixtures_are_refused(weights: Tensor, means: Tensor, stds: Tensor | float) -> None:
    with pytest.raises(ValueError, match="need weights"):
        GaussianMixture(weights, means, stds)
