"""What every schedule must be."""

from __future__ import annotations

import torch
from torch import Tensor

from unnoise.process.schedule import Schedule


def check_schedule(schedule: Schedule) -> None:
    """Raises AssertionError unless the schedule begins clean, its noise rises, its derivatives are those of autograd,
    log_snr is the log of the ratio of powers, and t is its inverse."""
    t = inner_times(schedule)
    assert schedule.alpha(0.0) == 1, "alpha must be 1 at t = 0"
    assert schedule.sigma(0.0) == 0, "sigma must be 0 at t = 0"
    assert bool((schedule.alpha(t).diff() <= 0).all()), "alpha must not rise"
    assert bool(((schedule.sigma(t) / schedule.alpha(t)).diff() > 0).all()), "sigma / alpha must rise"
    for name in ("alpha", "sigma"):
        at = t.clone().requires_grad_()
        (expected,) = torch.autograd.grad(getattr(schedule, name)(at).sum(), at)
        _close(getattr(schedule, f"d_{name}")(t), expected, f"d_{name} must be the derivative of {name}")
    ratio = 2 * (schedule.alpha(t) / schedule.sigma(t)).log()
    _close(schedule.log_snr(t), ratio, "log_snr must be log(alpha^2 / sigma^2)")
    _close(schedule.t(schedule.log_snr(t)), t, "t must be the inverse of log_snr")
    assert schedule.alpha(t.float()).dtype == torch.float32, "a schedule answers in the type that it is asked in"


def inner_times(schedule: Schedule, n: int = 57) -> Tensor:
    """Times strictly inside (0, t_max), off the native steps, where a discrete schedule has kinks."""
    return (torch.arange(n, dtype=torch.float64) + 0.4142) / n * schedule.t_max


def _close(got: Tensor, expected: Tensor, message: str) -> None:
    torch.testing.assert_close(got, expected, rtol=1e-8, atol=1e-9, msg=lambda text: f"{message}: {text}")
