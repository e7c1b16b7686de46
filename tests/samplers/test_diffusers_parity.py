"""The same steps as diffusers' schedulers, on their grid and with one denoiser, in float64.

DPM-Solver++ 3M is not among them: diffusers gives the second difference half the weight of its integral, which leaves
an error of second order; ours is measured to be of third.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from unnoise.process.analytic import GaussianMixture
from unnoise.process.schedule import LinearBetas
from unnoise.samplers import DDIM, DPMSolver, Sampler, UniPC

pytestmark = pytest.mark.filterwarnings("ignore")
DENOISER = GaussianMixture(
    torch.ones(3), torch.tensor([[0.5, 0.5], [-0.5, 0.0], [0.2, -0.7]]), torch.tensor([0.1, 0.2, 0.3])
).denoiser(LinearBetas())
ZERO = {"timestep_spacing": "trailing", "final_sigmas_type": "zero"}
PAIRS: list[tuple[Sampler, str, dict[str, Any]]] = [
    (DDIM(), "DDIMScheduler", {"timestep_spacing": "trailing", "clip_sample": False}),
    (DPMSolver(order=1), "DPMSolverMultistepScheduler", {**ZERO, "solver_order": 1}),
    (DPMSolver(order=2), "DPMSolverMultistepScheduler", {**ZERO, "solver_order": 2}),
    (UniPC(order=2), "UniPCMultistepScheduler", {**ZERO, "solver_order": 1}),
    (UniPC(order=3), "UniPCMultistepScheduler", {**ZERO, "solver_order": 2}),
]


@pytest.mark.parametrize(("sampler", "kind", "options"), PAIRS, ids=lambda value: repr(value)[:40])
def test_whole_runs_agree(sampler: Sampler, kind: str, options: dict[str, Any], diffusers: Any) -> None:
    scheduler = getattr(diffusers, kind)(num_train_timesteps=1000, **options)
    scheduler.set_timesteps(20)
    x = x_T = torch.randn(16, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for t in scheduler.timesteps:
        x = scheduler.step(DENOISER(x, t.double() + 1).eps, t, x).prev_sample
    times = tuple((scheduler.timesteps.double() + 1).tolist())
    got = type(sampler)(**{**vars(sampler), "steps": 20, "grid": times}).run(DENOISER, x_T)
    torch.testing.assert_close(got, x, rtol=0, atol=1e-4)
