"""The reference solver's coefficients against SciPy's, and how often it halves a step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import RK45 as Reference

from unnoise.process.analytic import GaussianMixture
from unnoise.process.schedule import VE, RectifiedFlow, Schedule
from unnoise.samplers import RK45
from unnoise.samplers.ode import LOWER, NODES, TABLEAU

BROAD = GaussianMixture(torch.ones(2), torch.tensor([[0.6, -0.6, 0.1], [-0.5, 0.2, 0.4]]), torch.tensor([0.5, 0.6]))


def test_the_tableau_is_dormand_and_princes() -> None:
    for row, theirs in zip(TABLEAU[:6], Reference.A, strict=True):
        np.testing.assert_allclose(row, theirs[: len(row)], rtol=1e-12)
    np.testing.assert_allclose(TABLEAU[6], Reference.B, rtol=1e-12)
    np.testing.assert_allclose(NODES[:6], Reference.C, rtol=1e-12)
    assert NODES[6] == 1
    errors = np.array(LOWER) - np.array([*TABLEAU[6], 0.0])
    np.testing.assert_allclose(np.abs(errors), np.abs(Reference.E), rtol=1e-9, atol=1e-15)
    assert sum(LOWER) == pytest.approx(1)


class Counted:
    def __init__(self, schedule: Schedule) -> None:
        self.denoiser, self.schedule, self.calls = BROAD.denoiser(schedule), schedule, 0

    def __call__(self, x_t: torch.Tensor, t: torch.Tensor, cond: Any = None) -> Any:
        self.calls += 1
        return self.denoiser(x_t, t, cond)


def calls(schedule: Schedule, **options: Any) -> int:
    counted = Counted(schedule)
    x_T = schedule.prior_std * torch.randn(8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    RK45(**options).run(counted, x_T)
    return counted.calls


@pytest.mark.parametrize("halvings", [0, 1, 2])
def test_a_step_is_halved_as_often_as_allowed(halvings: int) -> None:
    """A step costs a call at its start and six in each piece; the last, to t = 0, a call alone."""
    never_enough: dict[str, Any] = {"rtol": 0.0, "atol": 1e-30}
    pieces = 2 ** (halvings + 1) - 1
    assert calls(VE(), steps=4, halvings=halvings, **never_enough) == 3 * (1 + 6 * pieces) + 1


@pytest.mark.parametrize("schedule", [VE(sigma_max=5.0), RectifiedFlow()], ids=repr)
def test_a_smooth_path_needs_no_halving(schedule: Schedule) -> None:
    """The error estimate of a good step is small: no coefficient of it is wrong."""
    assert calls(schedule, steps=40, rtol=1e-4, atol=1e-4) == 39 * 7 + 1
