"""The contract of every parametrization, on every schedule that has its row."""

from __future__ import annotations

import pytest
import torch

from unnoise.process.gaussian import perturb, posterior
from unnoise.process.parametrization import EDM, PARAMETRIZATIONS, X0, Mean, Parametrization, V, Velocity, X0Skip
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


@pytest.mark.parametrize("schedule", [CosineBetas(), VE()], ids=repr)
def test_x_0_with_a_skip_is_edms_denoiser_for_data_of_that_deviation(schedule: Schedule) -> None:
    """The same denoiser, if the network's answer has its scale: unit variance for data of unit variance."""
    x_0, eps, t = draw(schedule)
    x_t = perturb(schedule, x_0, eps, t)
    edm, skip = EDM(0.3), X0Skip(0.3)
    of_edm, of_skip = (one.target(schedule, x_0, eps, t).flatten(1) for one in (edm, skip))
    ratio = of_edm / of_skip
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))
    a, b = skip.row(schedule, t)
    torch.testing.assert_close(a**2 + b**2, torch.ones_like(t))
    found = skip.invert(schedule, skip.target(schedule, x_0, eps, t), x_t, t).x_0
    torch.testing.assert_close(found, edm.invert(schedule, edm.target(schedule, x_0, eps, t), x_t, t).x_0)


def test_x_0_with_a_skip_lies_between_x_0_and_v() -> None:
    schedule = CosineBetas()
    _, _, t = draw(schedule)
    for one, other, sign in ((X0Skip(0.0), X0(), 1), (X0Skip(1.0), V(), -1)):
        torch.testing.assert_close(
            torch.stack(one.row(schedule, t)), sign * torch.stack(other.row(schedule, t)), rtol=0, atol=1e-12
        )


def test_errors_of_x_0_with_a_skip_vanish_with_the_noise() -> None:
    """Of a network that errs by 1 everywhere: x_0 itself is then wrong by 1 at every level."""
    schedule, t = CosineBetas(), torch.tensor([1.0, 50.0, 900.0], dtype=torch.float64)
    x_t = torch.zeros(3, 1, dtype=torch.float64)
    wrong = torch.ones(3, 1, dtype=torch.float64)
    error = X0Skip(0.2).invert(schedule, wrong, x_t, t).x_0.abs().flatten()
    assert error[0] < 1.05 * schedule.sigma(t[0])
    assert 0.9 < error[2] < 1.1


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
