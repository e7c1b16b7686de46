"""Fixtures that go through what installed plug-ins declare: `pytest -p unnoise.testing.pytest_plugin`.

`plugged_sampler`, `plugged_schedule`, `plugged_network` and `plugged_metric` are the classes, one test for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unnoise.registry.plugins import declared, loaded

if TYPE_CHECKING:
    import pytest

FIXTURES = {
    "plugged_sampler": "unnoise.samplers",
    "plugged_schedule": "unnoise.schedules",
    "plugged_network": "unnoise.networks",
    "plugged_metric": "unnoise.metrics",
}
"""Fixture -> the group of entry points whose objects it goes through."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Gives each of FIXTURES every object that installed packages declare."""
    for fixture, group in FIXTURES.items():
        if fixture in metafunc.fixturenames:
            points = declared(group)
            metafunc.parametrize(fixture, [loaded(point) for point in points.values()], ids=list(points))
