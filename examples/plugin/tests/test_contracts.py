"""What unnoise demands of its own samplers and schedules, asked of this package's."""

from __future__ import annotations

from unnoise.process.schedule import Schedule
from unnoise.samplers import Sampler
from unnoise.testing import check_sampler, check_schedule


def test_samplers(plugged_sampler: type[Sampler]) -> None:
    check_sampler(plugged_sampler(steps=20))


def test_schedules(plugged_schedule: type[Schedule]) -> None:
    check_schedule(plugged_schedule())
