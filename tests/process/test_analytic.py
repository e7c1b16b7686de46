from __future__ import annotations

import pytest
import torch

from unnoise.process.analytic import GaussianMixture
from unnoise.process.schedule import VE, VP, CosineBetas, RectifiedFlow, Schedule

MIXTURE = GaussianMixture(
    torch.tensor([0.2, 0.5, 0.3]), torch.tensor([[1.0, 0.0], [-1.0, 0.5], [0.0, -2.0]]), torch.tensor([0.1, 0.3, 0.2])
)
every_schedule = pytest.mark.parametrize("schedule", [VP(), VE(), RectifiedFlow(), CosineBetas()], ids=repr)


@every_schedule
def test_denoised_splits_x_t(schedule: Schedule) -> None:
    t = torch.linspace(0.01, 0.99, 8, dtype=torch.float64) * schedule.t_max
    x_t = 2 * torch.randn(8, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    denoised = MIXTURE.denoiser(schedule)(x_t, t)
    torch.testing.assert_close(denoised.lerp(schedule.alpha(t), schedule.sigma(t)), x_t)


@every_schedule
def test_score_is_the_gradient_of_the_marginal(schedule: Schedule) -> None:
    for share in (0.05, 0.5, 0.95):
        t = share * schedule.t_max
        x_t = torch.randn(16, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
        (expected,) = torch.autograd.grad(MIXTURE.at(schedule, t).log_prob(x_t).sum(), x_t)
        torch.testing.assert_close(MIXTURE.denoiser(schedule)(x_t, t).score.detach(), expected)


def test_log_prob_and_samples_are_the_mixtures() -> None:
    x = torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    parts = torch.distributions.Independent(
        torch.distributions.Normal(MIXTURE.means, MIXTURE.stds[:, None].expand(3, 2)), 1
    )
    reference = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(MIXTURE.weights), parts)
    torch.testing.assert_close(MIXTURE.log_prob(x), reference.log_prob(x))
    draws = MIXTURE.sample(100_000, seed=3)
    torch.testing.assert_close(draws.mean(0), reference.mean, rtol=0, atol=0.02)
    torch.testing.assert_close(draws.var(0), reference.variance, rtol=0.02, atol=0.02)
    assert torch.equal(draws, MIXTURE.sample(100_000, seed=3))


def test_images_keep_their_shape_and_type() -> None:
    mixture = GaussianMixture(torch.ones(1), torch.zeros(1, 12), 0.5)
    denoised = mixture.denoiser(VP())(torch.randn(4, 3, 2, 2), torch.tensor(0.5))
    assert denoised.x_0.shape == (4, 3, 2, 2)
    assert denoised.x_0.dtype == torch.float32


def test_bad_mixtures_are_refused() -> None:
    with pytest.raises(ValueError, match="weights"):
        GaussianMixture(torch.ones(2), torch.zeros(3, 2), 1.0)
    with pytest.raises(ValueError, match="positive"):
        GaussianMixture(torch.ones(3), torch.zeros(3, 2), 0.0)
