"""The contract of every parametrization, on every schedule that has its row."""

from __future__ import annotations

import pytest
import torch

from unnoise.process.gaussian import perturb, posterior
from unnoise.process.parametrization import EDM, PARAMETRIZATIONS, Mean, Parametrization, V, Velocity, X0Skip
from unnoise.process.schedule import VE, VP, Cosine, CosineBetas, LinearBetas, RectifiedFlow, Schedule
from unnoise.process.weight import WEIGHTS, EDMWeight, Flat, MinSNR

SCHEDULES = [LinearBetas(), CosineBetas(T=100), Cosine(), VP(), VE(), RectifiedFlow()]
PAIRS = [
    (kind(), schedule)
    for kind in PARAMETRIZATIONS.values()
    for schedule in SCHEDULES
    if schedule.grid is not None or kind is not Mean
]
every_pair = pytest.mark.parametrize(("parametrization", "schedule"), PAIRS, ids=repr)


def draw(schedule: Schedule, n: int = 16) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(0)
    x_0, eps = torch.randn(2, n, 3, 4, 4, generator=draws, dtype=torch.float64)
    t = torch.linspace(0.02, 0.98, n, dtype=torch.float64) * schedule.t_max
    return x_0, eps, t if schedule.grid is None else t.ceil()


@every_pair
def test_invert_undoes_target(parametrization: Parametrization, schedule: Schedule) -> None:
    x_0, eps, t = draw(schedule)
    x_t = perturb(schedule, x_0, eps, t)
    denoised = parametrization.invert(schedule, parametrization.target(schedule, x_0, eps, t), x_t, t)
    torch.testing.assert_close(denoised.x_0, x_0, rtol=0, atol=1e-6)
    torch.testing.assert_close(denoised.eps, eps, rtol=0, atol=1e-6)


@every_pair
def test_any_output_splits_x_t(parametrization: Parametrization, schedule: Schedule) -> None:
    x_t, output, t = draw(schedule)
    denoised = parametrization.invert(schedule, output, x_t, t)
    again = denoised.lerp(schedule.alpha(t), schedule.sigma(t))
    torch.testing.assert_close(again, x_t, rtol=1e-8, atol=1e-8)


@every_pair
def test_one_time_for_all_rows_equals_a_time_per_row(parametrization: Parametrization, schedule: Schedule) -> None:
    x_t, output, t = draw(schedule)
    together = parametrization.invert(schedule, output, x_t, t[3].expand(len(x_t)))
    alone = parametrization.invert(schedule, output, x_t, t[3])
    torch.testing.assert_close(alone.x_0, together.x_0)


def test_mean_is_ho_et_als_posterior_mean() -> None:
    schedule = LinearBetas()
    x_0, eps, t = draw(schedule)
    expected = posterior(schedule, t, t - 1).mean(perturb(schedule, x_0, eps, t), x_0)
    torch.testing.assert_close(Mean().target(schedule, x_0, eps, t), expected)


def test_mean_needs_native_steps() -> None:
    with pytest.raises(ValueError, match="native steps"):
        Mean().row(VP(), torch.tensor(0.5))


def test_v_is_the_velocity_on_the_circle() -> None:
    """On alpha = cos, sigma = sin, d x_t / d t = pi / 2 v (Salimans & Ho 2022)."""
    t = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    for v, velocity in zip(V().row(Cosine(), t), Velocity().row(Cosine(), t), strict=True):
        torch.testing.assert_close(v * torch.pi / 2, velocity)


def test_edm_row_is_karras_et_als_denoiser() -> None:
    """D(x) = c_skip x + c_out F, with table 1's coefficients."""
    data, sigma = 0.5, torch.tensor([0.002, 0.5, 80.0], dtype=torch.float64)
    x_t, output = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    c_skip = data**2 / (sigma**2 + data**2)
    c_out = sigma * data / (sigma**2 + data**2).sqrt()
    expected = c_skip[:, None] * x_t + c_out[:, None] * output
    torch.testing.assert_close(EDM(data).invert(VE(), output, x_t, sigma).x_0, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(EDM(data).input_scale(VE(), sigma), (sigma**2 + data**2).rsqrt())
    torch.testing.assert_close(EDM(data).noise_level(VE(), sigma), sigma.log() / 4)


def test_x_0_with_a_skip_is_half_the_input_where_sigma_over_alpha_is_the_skip() -> None:
    """x_0 = c x_t / alpha + (1 - c) output: c = 1/2 there, and near 1 and 0 a hundred times below and above it."""
    x_t, output = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    sigma = torch.tensor([0.002, 0.2, 20.0], dtype=torch.float64)
    x_0 = X0Skip(0.2).invert(VE(), output, x_t, sigma).x_0
    torch.testing.assert_close(x_0[1], (x_t[1] + output[1]) / 2)
    torch.testing.assert_close(x_0[0], x_t[0], rtol=0, atol=1e-3)
    torch.testing.assert_close(x_0[2], output[2], rtol=0, atol=1e-3)


@every_pair
@pytest.mark.parametrize("weight", [kind() for kind in WEIGHTS.values() if kind is not Flat], ids=repr)
def test_weights_measure_one_error_whatever_the_target(
    parametrization: Parametrization, schedule: Schedule, weight: object
) -> None:
    """A wrong x_0 costs the same under every parametrization: the weight undoes the target's own scale."""
    x_0, eps, t = draw(schedule)
    wrong = torch.full_like(x_0, 0.1)
    x_t = perturb(schedule, x_0, eps, t)
    scaled = weight(schedule, parametrization, t)  # type: ignore[operator]
    a, b = parametrization.row(schedule, t)
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    error = a * 0.1 - b * 0.1 * alpha / sigma
    reference = weight(schedule, PARAMETRIZATIONS["x0"](), t)  # type: ignore[operator]
    torch.testing.assert_close(scaled * error**2, reference * 0.1**2, rtol=1e-6, atol=1e-9)
    assert x_t.shape == wrong.shape


def test_edm_weight_is_flat_under_edm_and_min_snr_is_capped() -> None:
    t = torch.logspace(-2, 1.5, 9, dtype=torch.float64)
    torch.testing.assert_close(EDMWeight()(VE(), EDM(), t), torch.ones_like(t))
    assert MinSNR(5.0)(VE(), PARAMETRIZATIONS["x0"](), t).max() == 5.0
