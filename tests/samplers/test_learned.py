"""The general linear solver: it is every multistep solver, and what is learnt of it beats them on new noise."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from unnoise.errors import UserError
from unnoise.process.analytic import GaussianMixture
from unnoise.process.schedule import VE, CosineBetas, LinearBetas, RectifiedFlow, Schedule
from unnoise.registry import build, spec_of
from unnoise.samplers import DDIM, IPNDM, SAMPLERS, AdamsBashforth, Ancestral, DPMSolver, Heun, Learned, Sampler, UniPC
from unnoise.samplers.learned import as_learned
from unnoise.samplers.learning import Coefficients, Draws, distance, learn
from unnoise.samplers.spec import parse_sampler, sampler_text

MIXTURE = GaussianMixture(torch.ones(3), torch.tensor([[0.5, 0.5], [-0.5, 0.0], [0.2, -0.7]]), 0.1)
MULTISTEP: list[Sampler] = [
    DDIM(),
    DPMSolver(order=2),
    DPMSolver(order=3),
    UniPC(order=2),
    UniPC(order=4),
    AdamsBashforth(order=4),
    IPNDM(),
]


def noise(schedule: Schedule, n: int = 32, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return schedule.prior_std * torch.randn(n, 2, generator=random, dtype=torch.float64)


@pytest.mark.parametrize("schedule", [LinearBetas(), CosineBetas(), VE(), RectifiedFlow()], ids=repr)
@pytest.mark.parametrize("sampler", MULTISTEP, ids=repr)
def test_every_multistep_solver_is_a_row_of_coefficients(sampler: Sampler, schedule: Schedule) -> None:
    chosen, x_T = replace(sampler, steps=6), noise(schedule)
    denoiser = MIXTURE.denoiser(schedule)
    torch.testing.assert_close(
        as_learned(chosen, schedule).run(denoiser, x_T), chosen.run(denoiser, x_T), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (Ancestral(steps=4), "draws noise"),
        (DDIM(steps=4, eta=0.5), "draws noise"),
        (Heun(steps=4), "Heun calls the network more than once"),
    ],
    ids=repr,
)
def test_what_draws_noise_or_calls_twice_has_no_such_form(sampler: Sampler, message: str) -> None:
    with pytest.raises(UserError, match=message):
        as_learned(sampler, LinearBetas())


def test_a_learned_sampler_is_a_spec_and_a_text() -> None:
    sampler = Learned(3, (1000.0, 420.5, 39.0), (0.1, 0.2, 0.25), (-0.1, 0.0, 0.5), (1000.0, 430.0, 40.25))
    assert build(SAMPLERS, spec_of(SAMPLERS, sampler), "sampler") == sampler
    assert build(SAMPLERS, parse_sampler(sampler_text(sampler)), "sampler") == sampler


def test_the_network_is_given_the_network_times() -> None:
    asked = []

    class Recorded:
        schedule = LinearBetas()

        def __call__(self, x_t: Tensor, t: Tensor, cond: object = None) -> object:
            asked.append(float(t))
            return MIXTURE.denoiser(self.schedule)(x_t, t)

    Learned(2, (1000.0, 300.0), network_times=(990.5, 310.0)).run(Recorded(), noise(LinearBetas()))  # type: ignore[arg-type]
    assert asked == [990.5, 310.0]


@pytest.mark.parametrize("wrong", [{"image_weights": (0.1,)}, {"noise_weights": (0.1,) * 4}, {"network_times": (1.0,)}])
def test_a_wrong_number_of_coefficients_is_refused(wrong: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(UserError, match="3 image weights"):
        Learned(3, **wrong)  # type: ignore[arg-type]


def draws(schedule: Schedule, n: int, seed: int) -> Draws:
    x_T = noise(schedule, n, seed)
    return Draws(x_T, AdamsBashforth(steps=300, order=3).run(MIXTURE.denoiser(schedule), x_T))


@pytest.mark.parametrize("schedule", [LinearBetas(), VE(), RectifiedFlow()], ids=repr)
def test_what_is_learnt_from_is_what_is_kept(schedule: Schedule) -> None:
    """The differentiable form, moved away from where it starts, and the sampler made of it give the same images."""
    learnt = Coefficients.of(as_learned(DPMSolver(steps=4, order=3), schedule), schedule)
    with torch.no_grad():
        for tensor in learnt.tensors():
            tensor.add_(
                0.05 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
            )
    few = draws(schedule, 8, 2)
    kept, denoiser = learnt.sampler(), MIXTURE.denoiser(schedule)
    assert kept.network_times != kept.grid
    torch.testing.assert_close(kept.run(denoiser, few.x_T), learnt.run(denoiser, few).detach(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("schedule", [LinearBetas(), RectifiedFlow()], ids=repr)
def test_learnt_coefficients_win_on_new_noise(schedule: Schedule) -> None:
    denoiser, start = MIXTURE.denoiser(schedule), AdamsBashforth(steps=3)
    learnt = learn(denoiser, draws(schedule, 64, 3), draws(schedule, 16, 4), start, iterations=60)
    new = draws(schedule, 300, 5)
    before, after = (float(distance(sampler.run(denoiser, new.x_T), new.ends)) for sampler in (start, learnt))
    assert after < 0.7 * before


def test_no_iterations_keep_the_start() -> None:
    schedule, start = LinearBetas(), UniPC(steps=4)
    few = draws(schedule, 8, 6)
    learnt = learn(MIXTURE.denoiser(schedule), few, few, start, iterations=0)
    torch.testing.assert_close(
        learnt.run(MIXTURE.denoiser(schedule), few.x_T),
        start.run(MIXTURE.denoiser(schedule), few.x_T),
        rtol=1e-6,
        atol=1e-6,
    )
