from __future__ import annotations

import pytest
import torch

from unnoise.process.analytic import GaussianMixture
from unnoise.process.schedule import VP, LinearBetas, RectifiedFlow, Schedule
from unnoise.samplers import DDIM, interpolate, invert, slerp

MIXTURE = GaussianMixture(torch.ones(3), torch.tensor([[0.5, 0.5], [-0.5, 0.0], [0.2, -0.7]]), 0.15)


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    """In dB, for values in [-1, 1]."""
    return float(10 * torch.log10(4 / (a - b).square().mean()))


@pytest.mark.parametrize("schedule", [LinearBetas(), VP()], ids=repr)
def test_image_to_noise_to_image(schedule: Schedule) -> None:
    sampler, denoiser = DDIM(steps=100, grid="log-snr"), MIXTURE.denoiser(schedule)
    x_0 = MIXTURE.sample(16, seed=1)
    x_T = invert(denoiser, x_0, sampler)
    assert psnr(sampler.run(denoiser, x_T), x_0) > 60
    plain = invert(denoiser, x_0, sampler, iterations=1)
    assert psnr(sampler.run(denoiser, plain), x_0) < 60


def test_the_noise_of_an_image_is_noise() -> None:
    x_T = invert(MIXTURE.denoiser(LinearBetas()), MIXTURE.sample(2000), DDIM(steps=50, grid="log-snr"))
    torch.testing.assert_close(x_T.std(0), torch.ones(2, dtype=torch.float64), rtol=0.08, atol=0)


def test_slerp_keeps_norms_and_ends() -> None:
    a, b = torch.randn(2, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    path = interpolate(a, b, 5)
    assert path.shape == (5, 4, 3, 8, 8)
    torch.testing.assert_close(path[0], a)
    torch.testing.assert_close(path[-1], b)
    norms = path.flatten(2).norm(dim=2)
    assert norms.min() > 0.95 * min(a.flatten(1).norm(dim=1).min(), b.flatten(1).norm(dim=1).min())
    torch.testing.assert_close(slerp(a, a, 0.3), a)


def test_impossible_inversions_are_refused() -> None:
    denoiser, x_0 = MIXTURE.denoiser(RectifiedFlow()), MIXTURE.sample(2)
    with pytest.raises(ValueError, match="deterministic"):
        invert(denoiser, x_0, DDIM(eta=1.0))
    with pytest.raises(ValueError, match="at least 1 iteration"):
        invert(denoiser, x_0, iterations=0)
    with pytest.raises(ValueError, match="2 ends"):
        interpolate(x_0, x_0, 1)


def test_slerp_goes_along_the_circle_in_equal_angles() -> None:
    """Between orthogonal vectors of one length: cos of the angle of the one, sin of the other."""
    a, b = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 2.0]])
    for fraction in (0.0, 0.2, 0.5, 1.0):
        angle = torch.tensor(fraction * torch.pi / 2)
        torch.testing.assert_close(slerp(a, b, fraction), angle.cos() * a + angle.sin() * b, rtol=1e-5, atol=1e-6)
    angles = torch.atan2(interpolate(a, b, 5)[:, 0, 2], interpolate(a, b, 5)[:, 0, 0])
    torch.testing.assert_close(angles, torch.arange(5) * torch.pi / 8, rtol=1e-5, atol=1e-6)


def test_slerp_between_vectors_at_sixty_degrees() -> None:
    """Shoemake 1985: sin((1 - f) angle) a + sin(f angle) b, over the angle's sine."""
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.75**0.5]])
    middle = slerp(a, b, 0.25)
    expected = torch.tensor([[torch.pi / 12]])
    torch.testing.assert_close(middle, torch.cat([expected.cos(), expected.sin()], dim=1), rtol=1e-5, atol=1e-6)


def test_one_iteration_is_ddim_upwards_from_the_image_scaled() -> None:
    """From t = 0 to t: x_0 / alpha is the guess, and x_t = (x_0 + sigma v) / alpha with v at that guess."""
    schedule, t = VP(), torch.tensor(0.4, dtype=torch.float64)
    denoiser, x_0 = MIXTURE.denoiser(schedule), MIXTURE.sample(5)
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    guess = denoiser(x_0 / alpha, t)
    expected = (x_0 + sigma * (alpha * guess.eps - sigma * guess.x_0)) / alpha
    got = invert(denoiser, x_0, DDIM(steps=1, grid=(0.4,)), iterations=1)
    torch.testing.assert_close(got, expected)
