from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from unnoise.process.analytic import GaussianMixture
from unnoise.process.denoiser import Denoised, Denoiser
from unnoise.process.schedule import VP, LinearBetas, Schedule
from unnoise.samplers import DDIM, GRIDS, DPMSolver, UniPC
from unnoise.samplers.search import tune

MIXTURE = GaussianMixture(torch.ones(3), torch.tensor([[0.5, 0.5], [-0.5, 0.0], [0.2, -0.7]]), 0.1)


class Counted:
    def __init__(self, denoiser: Denoiser) -> None:
        self.denoiser, self.calls = denoiser, 0

    @property
    def schedule(self) -> Schedule:
        return self.denoiser.schedule

    def __call__(self, x_t: Tensor, t: Tensor, cond: Any = None) -> Denoised:
        self.calls += 1
        return self.denoiser(x_t, t, cond)


def noise(n: int, seed: int) -> Tensor:
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("schedule", [LinearBetas(), VP()], ids=repr)
def test_tuned_times_beat_every_named_grid_on_new_noise(schedule: Schedule) -> None:
    denoiser, solvers = Counted(MIXTURE.denoiser(schedule)), (DDIM(), DPMSolver(order=2))
    tuned = tune(denoiser, noise(64, 0), 5, solvers, candidates=64)
    assert tuned.calls == denoiser.calls
    assert tuned.error <= min(tuned.named.values())
    x_T = noise(500, 1)
    exact = UniPC(steps=200).run(denoiser, x_T)

    def error(sampler: Any) -> float:
        return float((sampler.run(denoiser, x_T) - exact).square().mean(1).sqrt().mean())

    fixed = [type(s)(steps=5, grid=grid) for s in solvers for grid in GRIDS]
    assert error(tuned.sampler) < min(error(sampler) for sampler in fixed)


def test_more_steps_than_candidates_are_refused() -> None:
    with pytest.raises(ValueError, match="1 to 8 steps"):
        tune(MIXTURE.denoiser(LinearBetas(T=8, beta_end=0.5)), noise(4, 0), 9)
