"""Loss weights against their papers' formulas, each for the prediction type that the paper writes it for."""

from __future__ import annotations

import pytest
import torch

from unnoise.process.parametrization import EDM, X0, Eps, Parametrization, V
from unnoise.process.schedule import VE, VP, CosineBetas, LinearBetas, Schedule
from unnoise.process.weight import P2, BoundWeight, EDMWeight, Flat, MinSNR, Weight


def times(schedule: Schedule) -> torch.Tensor:
    t = torch.linspace(0.01, 1, 23, dtype=torch.float64) * schedule.t_max
    return t if schedule.grid is None else t.ceil()


def snr_of(schedule: Schedule, t: torch.Tensor) -> torch.Tensor:
    """alpha^2 / sigma^2, from the two functions."""
    return (schedule.alpha(t) / schedule.sigma(t)) ** 2


PAPERS = [
    (P2(), Eps(), lambda snr: 1 / (1 + snr)),  # Choi et al. 2022, equation 8, with their k and gamma
    (P2(k=0.5, gamma=2.0), Eps(), lambda snr: 1 / (0.5 + snr) ** 2),
    (P2(k=2.0, gamma=0.5), X0(), lambda snr: snr / (2 + snr) ** 0.5),
    (MinSNR(), X0(), lambda snr: snr.clamp(max=5)),  # Hang et al. 2023, section 3.4
    (MinSNR(3.0), Eps(), lambda snr: (3 / snr).clamp(max=1)),
    (MinSNR(), V(), lambda snr: snr.clamp(max=5) / (snr + 1)),
    (Flat(), Eps(), torch.ones_like),
]


@pytest.mark.parametrize("schedule", [LinearBetas(), CosineBetas(), VP()], ids=repr)
@pytest.mark.parametrize(("weight", "parametrization", "formula"), PAPERS, ids=lambda value: type(value).__name__)
def test_a_weight_is_its_papers(weight: Weight, parametrization: Parametrization, formula, schedule: Schedule) -> None:
    t = times(schedule)
    expected = formula(snr_of(schedule, t))
    torch.testing.assert_close(weight(schedule, parametrization, t), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("data", [0.5, 1.3])
def test_edm_weight_is_karras_et_als(data: float) -> None:
    """(sigma^2 + sigma_data^2) / (sigma sigma_data)^2 on the error of D (table 1)."""
    sigma = torch.tensor([0.01, 0.3, 2.0, 60.0], dtype=torch.float64)
    expected = (sigma**2 + data**2) / (sigma * data) ** 2
    torch.testing.assert_close(EDMWeight(data)(VE(), X0(), sigma), expected)
    torch.testing.assert_close(EDMWeight(data)(VE(), EDM(data), sigma), torch.ones_like(sigma))


def test_the_bounds_weight_is_equation_12_of_ho_et_al() -> None:
    """T beta_t^2 / (2 sigma_t^2 (1 - beta_t) (1 - alpha_bar_t)) on errors of eps."""
    schedule = LinearBetas()
    betas, alpha_bar = schedule.betas[1:], schedule.alpha_bar[1:]
    t = torch.arange(2, 1001, dtype=torch.float64)
    tilde = betas * (1 - schedule.alpha_bar[:-1]) / (1 - alpha_bar)
    for name, var in (("beta", betas), ("beta-tilde", tilde)):
        expected = 1000 * betas**2 / (2 * var * (1 - betas) * (1 - alpha_bar))
        torch.testing.assert_close(BoundWeight(name)(schedule, Eps(), t), expected, rtol=1e-6, atol=1e-12)


def test_the_bounds_weight_in_continuous_time_is_the_limit_of_ever_more_steps() -> None:
    t = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    fine = BoundWeight()(LinearBetas(100_000, 0.1 / 100_000, 20 / 100_000), V(), t * 100_000)
    torch.testing.assert_close(BoundWeight()(VP(), V(), t), fine, rtol=1e-3, atol=0)


def test_only_a_fixed_variance_has_weights() -> None:
    with pytest.raises(ValueError, match="beta-tilde"):
        BoundWeight("learned")
