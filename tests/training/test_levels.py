"""Losses by noise level: at the levels they are said to be of, with the same noise on both sides, within their time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unnoise.data import Batch
from unnoise.models import Diffusion
from unnoise.process.parametrization import X0, Eps, Parametrization
from unnoise.process.schedule import VE, CosineBetas, LinearBetas, RectifiedFlow, Schedule
from unnoise.training.ema import EMA
from unnoise.training.levels import EDGES, FRACTION, LEVELS, ByLevel, LevelLosses, count_within, times


class Zero(nn.Module):
    """Answers zeros, and remembers what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        self.seen.append(x.detach())
        return torch.zeros_like(x) + 0 * self.weight


class Engine:
    device = "cpu"

    def looking(self) -> Any:
        return torch.autocast("cpu", enabled=False)


class Standing:
    """What of a trainer is read."""

    seed, engine = 0, Engine()

    def __init__(self, model: Diffusion) -> None:
        self.ema = EMA(model, 0.9)


def made(schedule: Schedule, parametrization: Parametrization) -> Diffusion:
    return Diffusion(Zero(), schedule, parametrization, shape=(1, 8, 8))


def images(count: int, seed: int) -> list[Batch]:
    return [Batch(torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1, {})]


def measured(model: Diffusion, held_out: list[Batch], training: list[Batch]) -> ByLevel:
    return LevelLosses(model, held_out, training).measure(Standing(model))  # type: ignore[arg-type]


def test_of_a_network_that_answers_nothing_the_loss_is_the_square_of_its_target() -> None:
    held_out, training = images(5, 0), images(5, 1)
    found = measured(made(CosineBetas(1000), X0()), held_out, training)
    for losses, batches in ((found.held_out, held_out), (found.training, training)):
        assert losses.shape == (LEVELS, 5)
        square = batches[0].image.square().flatten(1).mean(1)
        assert torch.allclose(losses, square.expand(LEVELS, 5))


class Beyond(Zero):
    """Answers -1.5."""

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        return super().forward(x, level) - 1.5


def test_the_loss_is_that_of_the_image_in_range_which_sampling_uses() -> None:
    model = Diffusion(Beyond(), CosineBetas(1000), X0(), shape=(1, 8, 8))
    found = measured(model, images(5, 0), images(5, 1))
    square = (images(5, 0)[0].image + 1).square().flatten(1).mean(1)
    torch.testing.assert_close(found.held_out, square.expand(LEVELS, 5))


@pytest.mark.parametrize("schedule", [CosineBetas(1000), LinearBetas(1000), RectifiedFlow(), VE()])
def test_levels_lie_between_their_signal_to_noise_ratios(schedule: Schedule) -> None:
    model = made(schedule, Eps())
    for high, low in pairwise(EDGES):
        t = times(model, torch.linspace(low, high, 50, dtype=torch.float64))
        ratios = schedule.log_snr(t)
        slack = 0.2 if schedule.grid is not None else 1e-6
        assert low - slack <= ratios.min() <= ratios.max() <= high + slack


def test_both_sides_have_the_same_noise_and_so_has_the_next_time() -> None:
    model = made(CosineBetas(1000), Eps())
    network = model.network
    assert isinstance(network, Zero)
    same = images(4, 0)
    found = measured(model, same, same)
    assert torch.equal(found.held_out, found.training)
    again = measured(model, same, images(4, 1))
    assert torch.equal(again.held_out, found.held_out)
    levels = network.seen[:LEVELS]
    assert not any(torch.equal(left, right) for left, right in pairwise(levels))


def test_less_noise_comes_first() -> None:
    """Of noise that is predicted as x_t, the error grows with what of x_t is image: 1 - 2 sigma + 1."""

    class Echo(Zero):
        def forward(self, x: Tensor, level: Tensor) -> Tensor:
            return x + 0 * self.weight

    model = Diffusion(Echo(), CosineBetas(1000), Eps(), shape=(1, 8, 8))
    losses = measured(model, images(64, 0), images(64, 1)).record()["held_out_losses"]
    assert losses == sorted(losses, reverse=True)


def test_what_is_recorded_are_means() -> None:
    record = ByLevel(torch.tensor([[1.0, 3.0], [5.0, 7.0]]), torch.tensor([[0.0, 2.0], [2.0, 4.0]])).record()
    assert record == {
        "held_out_loss": 4.0,
        "training_loss": 2.0,
        "held_out_losses": [2.0, 6.0],
        "training_losses": [1.0, 3.0],
    }


def test_they_wait_until_they_are_a_small_part_of_the_time() -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 1.0
        return now

    model = made(CosineBetas(1000), Eps())
    levels = LevelLosses(model, images(2, 0), images(2, 1), clock)
    assert levels.due()
    levels.measure(Standing(model))  # type: ignore[arg-type]
    assert not levels.due()
    now += 1 / FRACTION
    assert levels.due()


@pytest.mark.parametrize(
    ("seconds", "available", "count"), [(6100, 1000, 101), (1, 1000, 8), (1e9, 1000, 256), (1, 3, 3)]
)
def test_as_many_images_as_the_time_allows(seconds: float, available: int, count: int) -> None:
    """2 % of 6,100 s are 122 s: 1,220 forward passes of 0.1 s, of 2 sides at 6 levels."""
    assert count_within(seconds, 0.1, available) == count
