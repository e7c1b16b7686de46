from __future__ import annotations

import math

import pytest
import torch

from unnoise.process.analytic import GaussianMixture
from unnoise.process.schedule import VE, VP, CosineBetas, LinearBetas, Schedule
from unnoise.samplers import Renoise
from unnoise.seeding import SeededNoise

MIXTURE = GaussianMixture(torch.ones(2), torch.tensor([[0.5, 0.5], [-0.5, 0.0]]), 0.2)


@pytest.mark.parametrize("schedule", [VE(), VP(), LinearBetas(), CosineBetas()], ids=repr)
def test_one_step_is_what_the_model_says_at_the_start(schedule: Schedule) -> None:
    denoiser = MIXTURE.denoiser(schedule)
    x_T = schedule.prior_std * torch.randn(8, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    said = denoiser(x_T, torch.tensor(schedule.t_max, dtype=torch.float64)).x_0
    assert torch.equal(Renoise(steps=1).run(denoiser, x_T), said)


def test_each_step_renoises_with_the_noise_of_its_seeds() -> None:
    """Algorithm 1 of Song et al. 2023, written out."""
    schedule, seeds = VE(), (7, 3)
    denoiser, draws = MIXTURE.denoiser(schedule), SeededNoise(seeds, purpose=1)
    x = 80 * torch.randn(2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sampler = Renoise(steps=3, grid=(80.0, 2.0, 0.3))
    drawn = sampler.run(denoiser, x, seeds)
    for sigma, following in ((80.0, 2.0), (2.0, 0.3), (0.3, None)):
        x = denoiser(x, torch.tensor(sigma, dtype=torch.float64)).x_0
        x = x if following is None else x + following * draws.normal(x)
    torch.testing.assert_close(drawn, x, rtol=1e-12, atol=1e-12)


def test_named_grids_leave_out_their_least_time() -> None:
    assert Renoise(steps=1).times(VE()).tolist() == [80.0, 0.0]
    falling = Renoise(steps=2).times(VE())
    assert falling[0] == 80
    assert 1 < falling[1] < 5
    assert Renoise(steps=2, grid="trailing").times(LinearBetas()).tolist() == [1000, 667, 0]
    with pytest.raises(ValueError, match="at least 1"):
        Renoise(steps=0).times(VE())


@pytest.mark.parametrize("schedule", [VE(), VP(), LinearBetas(), CosineBetas()], ids=repr)
def test_a_start_tells_the_first_call_of_less_noise_and_shows_it_noise_alone(schedule: Schedule) -> None:
    """Of the deviation that data of deviation 1 has there: sqrt(alpha^2 + sigma^2)."""
    t = Renoise(steps=1, start=0.75).times(schedule)[0]
    alpha, sigma = (float(part) for part in (schedule.alpha(t), schedule.sigma(t)))
    assert math.atan(sigma / alpha) == pytest.approx(0.75 * math.pi / 2, abs=2e-3)
    noise = torch.randn(8, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    denoiser = MIXTURE.denoiser(schedule)
    said = denoiser(math.hypot(alpha, sigma) * noise, t).x_0
    drawn = Renoise(steps=1, start=0.75).run(denoiser, schedule.prior_std * noise)
    torch.testing.assert_close(drawn, said, rtol=1e-6, atol=1e-9)


def test_only_the_first_call_after_a_start_is_shown_noise_alone() -> None:
    schedule, seeds = VE(), (7, 3)
    denoiser, draws = MIXTURE.denoiser(schedule), SeededNoise(seeds, purpose=1)
    noise = torch.randn(2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    first, then = (math.tan(share * math.pi / 2) for share in (0.8, 0.4))
    sampler = Renoise(steps=2, start=0.8)
    torch.testing.assert_close(sampler.times(schedule), torch.tensor([first, then, 0.0], dtype=torch.float64))
    x = denoiser(math.hypot(1, first) * noise, torch.tensor(first, dtype=torch.float64)).x_0
    x = denoiser(x + then * draws.normal(x), torch.tensor(then, dtype=torch.float64)).x_0
    torch.testing.assert_close(sampler.run(denoiser, 80 * noise, seeds), x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("grid", ["trailing", (80.0, 2.0)])
def test_a_start_and_a_grid_are_not_taken_together(grid: str | tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"start=0\.7 or from a grid"):
        Renoise(steps=2, start=0.7, grid=grid).times(VE())
