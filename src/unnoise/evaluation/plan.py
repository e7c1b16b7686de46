"""What an evaluation will cost, from a trial batch, and how many samples fit into a given time."""

from __future__ import annotations

import time
from dataclasses import dataclass

from unnoise.data import Images
from unnoise.evaluation.target import Target
from unnoise.progress import duration, notice

MINUTES = 5.0
"""How long sampling may take where no number of samples is given."""
FEWEST, MOST = 500, 10_000
TRIAL = 16
"""Images of the trial batch."""


@dataclass(frozen=True)
class SamplingPlan:
    """n: samples. seconds: what they take; None for images that are already there."""

    n: int
    seconds: float | None
    sampler: str | None
    steps: int | None

    def text(self) -> str:
        """One line."""
        if self.seconds is None:
            return f"plan: {self.n} images that are already there"
        steps = "" if self.steps is None else f", {self.steps} steps each"
        return f"plan: {self.n} samples by {self.sampler or 'the model'}{steps}, about {duration(self.seconds)}"


def plan_samples(target: Target, data: Images | None, n: int | None, seed: int, precision: str) -> SamplingPlan:
    """How many samples to draw: n, or as many as MINUTES allow, at least FEWEST and at most MOST.

    A trial batch is timed after a smaller one that warms up.
    """
    if target.images is not None:
        return SamplingPlan(min(n or MOST, len(target.images)), None, None, None)
    target.draw(1, data, seed, TRIAL, precision)
    begun = time.perf_counter()
    target.draw(TRIAL, data, seed, TRIAL, precision)
    each = (time.perf_counter() - begun) / TRIAL
    count = n or max(FEWEST, min(MOST, int(60 * MINUTES / each)))
    sampler = None if target.sampler is None else type(target.sampler).__name__
    return SamplingPlan(count, count * each, sampler, None if target.sampler is None else target.sampler.steps)


def announce(plan: SamplingPlan) -> None:
    """The plan on standard error."""
    notice(plan.text())
