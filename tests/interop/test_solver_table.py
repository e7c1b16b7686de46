"""Samplers as tables of coefficients: the same images as the sampler itself, whatever the denoiser."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from unnoise.errors import NotApplicable
from unnoise.interop.solver_table import SolverTable, solver_table
from unnoise.process.analytic import GaussianMixture
from unnoise.process.denoiser import Denoiser
from unnoise.process.schedule import VE, CosineBetas, RectifiedFlow, Schedule
from unnoise.samplers import DDIM, IPNDM, RK45, AdamsBashforth, Ancestral, DPMSolver, Euler, Heun, Sampler, UniPC

SCHEDULES: list[Schedule] = [CosineBetas(200), VE(), RectifiedFlow()]
SAMPLERS: list[tuple[Sampler, int]] = [
    (DDIM(steps=10), 1),
    (Euler(steps=7), 1),
    (Heun(steps=5), 2),
    (DPMSolver(steps=8), 2),
    (DPMSolver(steps=8, order=3), 3),
    (UniPC(steps=9), 3),
    (AdamsBashforth(steps=9, order=4), 4),
    (IPNDM(steps=9, order=4), 4),
]


def by_table(table: SolverTable, denoiser: Denoiser, x: Tensor) -> Tensor:
    """The loop of the graphs, written with lists."""
    past: list[Tensor] = []
    for t, row in zip(table.times, table.rows, strict=True):
        denoised = denoiser(x, torch.tensor(t, dtype=torch.float64))
        past = [x, denoised.x_0, denoised.eps, *past]
        x = torch.zeros_like(x)
        for weight, term in zip(row.tolist(), past, strict=False):
            x = x + weight * term
    return x


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: type(schedule).__name__)
@pytest.mark.parametrize(("sampler", "memory"), SAMPLERS, ids=lambda value: getattr(type(value), "__name__", ""))
def test_a_table_is_its_sampler(sampler: Sampler, memory: int, schedule: Schedule) -> None:
    mixture = GaussianMixture(
        torch.tensor([0.3, 0.7]), torch.tensor([[-1.0, 0.2], [0.6, -0.4]]), torch.tensor([0.2, 0.4])
    )
    denoiser = mixture.denoiser(schedule)
    x_T = schedule.prior_std * torch.randn(5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    table = solver_table(sampler, schedule)
    assert table.memory == memory
    torch.testing.assert_close(by_table(table, denoiser, x_T), sampler.run(denoiser, x_T), rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (Ancestral(steps=5), "ddpm@5 draws noise in its steps"),
        (DDIM(steps=5, eta=0.5), "ddim@5:eta=0.5 draws noise"),
        (RK45(steps=5), "chooses its steps by the images"),
        (DDIM(steps=2000), "calls the network 2000 times; a graph may do so 1024"),
    ],
)
def test_samplers_that_are_no_table_are_refused(sampler: Sampler, message: str) -> None:
    with pytest.raises(NotApplicable, match=message):
        solver_table(sampler, RectifiedFlow())
