"""What every parametrization must be."""

from __future__ import annotations

import torch

from unnoise.process.gaussian import perturb
from unnoise.process.parametrization import Parametrization
from unnoise.process.schedule import Schedule


def check_parametrization(parametrization: Parametrization, schedule: Schedule) -> None:
    """Raises AssertionError unless `invert` undoes `target`, and whatever the network answers splits x_t."""
    draws = torch.Generator().manual_seed(0)
    x_0, eps = torch.randn(2, 16, 3, 4, 4, generator=draws, dtype=torch.float64)
    t = torch.linspace(0.02, 0.98, 16, dtype=torch.float64) * schedule.t_max
    t = t if schedule.grid is None else t.ceil()
    x_t = perturb(schedule, x_0, eps, t)
    denoised = parametrization.invert(schedule, parametrization.target(schedule, x_0, eps, t), x_t, t)
    torch.testing.assert_close(denoised.x_0, x_0, rtol=0, atol=1e-6)
    torch.testing.assert_close(denoised.eps, eps, rtol=0, atol=1e-6)
    split = parametrization.invert(schedule, eps, x_t, t).lerp(schedule.alpha(t), schedule.sigma(t))
    torch.testing.assert_close(split, x_t, rtol=1e-8, atol=1e-8)
