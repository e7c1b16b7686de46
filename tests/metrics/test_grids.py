from __future__ import annotations

import pytest
import torch

from unnoise.metrics.grids import EVERY_TIME_UP_TO, angles, rising_times, visits
from unnoise.process.schedule import VE, VP, Cosine, LinearBetas, RectifiedFlow, Schedule


@pytest.mark.parametrize("schedule", [VP(), VE(), RectifiedFlow(), Cosine()], ids=repr)
def test_angles_are_evenly_spaced(schedule: Schedule) -> None:
    times = angles(schedule, 10)
    assert float(times[-1]) == schedule.t_max
    angle = torch.atan2(schedule.sigma(times), schedule.alpha(times))
    torch.testing.assert_close(angle.diff(), angle[:1].expand(9))


def test_native_steps_are_the_default() -> None:
    assert torch.equal(rising_times(LinearBetas(50), None), LinearBetas(50).grid)
    assert rising_times(LinearBetas(50), 5).tolist() == [10, 20, 30, 40, 50]
    assert rising_times(VP(), torch.tensor([0.25, 0.5])).tolist() == [0.25, 0.5]
    assert len(rising_times(VP(), None)) == 1000
    with pytest.raises(ValueError, match="at least 1"):
        rising_times(VP(), 0)


def test_samples_are_stratified_over_the_grid_and_over_images() -> None:
    places = visits(10, torch.zeros(1000, 2), 1, 4, seed=0)
    assert places.shape == (1000, 4)
    fraction = torch.bincount(places.flatten(), minlength=10) / 4000
    torch.testing.assert_close(fraction, torch.full((10,), 0.1), rtol=0.02, atol=0)
    assert (places.diff(dim=1) >= 2).all()
    assert torch.equal(visits(10, torch.zeros(1000, 2), 1, 10, seed=0)[7], torch.arange(10))


def test_large_sets_are_sampled() -> None:
    few, many = (torch.empty(1).expand(count, 3, 32, 32) for count in (10, 10_000))
    assert visits(999, few, 1, None, 0).shape == (10, 999)
    assert visits(999, many, 1, None, 0).shape == (10_000, EVERY_TIME_UP_TO // (10_000 * 3072))
