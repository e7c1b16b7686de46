"""The contracts of samplers, schedules and parametrizations, for the tests of plug-ins: each raises AssertionError."""

from unnoise.testing.parametrizations import check_parametrization
from unnoise.testing.samplers import check_sampler
from unnoise.testing.schedules import check_schedule

__all__ = ["check_parametrization", "check_sampler", "check_schedule"]
