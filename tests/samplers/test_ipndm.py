"""iPNDM: its weights, and its order where its strides are equal."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from unnoise.process.analytic import GaussianMixture
from unnoise.process.denoiser import Denoiser
from unnoise.process.schedule import VE, LinearBetas
from unnoise.samplers import DDIM, IPNDM, RK45, AdamsBashforth
from unnoise.samplers.multistep import EQUAL_STRIDES, History
from unnoise.seeding import SeededNoise

MIXTURE = GaussianMixture(torch.ones(2), torch.tensor([[0.6, -0.6], [-0.5, 0.2]]), torch.tensor([0.4, 0.5]))
SILENCE = SeededNoise(())


def noise() -> Tensor:
    return torch.randn(8, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def after_an_exact_start(sampler: IPNDM, denoiser: Denoiser, strides: int) -> Tensor:
    """x at sigma = 1 from sigma = 3 in so many equal strides, the first answers those on the exact path."""
    times = torch.linspace(3, 1, strides + 1, dtype=torch.float64)
    exact = RK45(steps=strides + 1, grid=tuple(times.tolist()), rtol=1e-12, atol=1e-12)
    path = [3 * noise(), *(point.x for point in exact.stream(denoiser, 3 * noise()))]
    state, x = History(), path[sampler.order - 1]
    for t, x_t in zip(times, path[: sampler.order - 1], strict=False):
        state = state.with_newest(denoiser.schedule.at(t), denoiser(x_t, t), sampler.order)
    for t, s in pairwise(times[sampler.order - 1 :]):
        x, _, state = sampler.step(denoiser, x, t, s, state, SILENCE)
    return x - path[strides]


@pytest.mark.parametrize("order", [2, 3, 4])
def test_on_equal_strides_after_an_exact_start_it_has_its_order(order: int) -> None:
    denoiser = MIXTURE.denoiser(VE(sigma_max=3.0))
    coarse, fine = (after_an_exact_start(IPNDM(order=order), denoiser, n).square().mean().sqrt() for n in (24, 48))
    assert abs(float(torch.log2(coarse / fine)) - order) < 0.3


@pytest.mark.parametrize("order", [2, 3, 4])
def test_on_equal_strides_it_is_adams_bashforth(order: int) -> None:
    """On VE the line of AdamsBashforth is sigma, and x_0 + sigma eps = x_t makes its two extrapolations one."""
    times = tuple(torch.linspace(3, 0, 9)[:-1].tolist())
    denoiser, x_T = MIXTURE.denoiser(VE(sigma_max=3.0)), 3 * noise()
    ours = list(IPNDM(steps=8, grid=times, order=order).stream(denoiser, x_T))
    theirs = list(AdamsBashforth(steps=8, grid=times, order=order).stream(denoiser, x_T))
    for step, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        # A history shorter than the order has the weights of its own length in both.
        torch.testing.assert_close(a.x, b.x, rtol=1e-5, atol=1e-5, msg=f"step {step}")


def test_the_first_step_is_ddim_even_where_no_signal_is_left() -> None:
    denoiser, times = MIXTURE.denoiser(LinearBetas()), (1000.0, 300.0)
    first = next(IPNDM(steps=2, grid=times).stream(denoiser, noise()))
    torch.testing.assert_close(first.x, next(DDIM(steps=2, grid=times).stream(denoiser, noise())).x)


@pytest.mark.parametrize("order", EQUAL_STRIDES)
def test_the_weights_integrate_polynomials_below_their_order(order: int) -> None:
    for power in range(order):
        got = sum(weight * (-j) ** power for j, weight in enumerate(EQUAL_STRIDES[order]))
        assert got == pytest.approx(1 / (power + 1))
