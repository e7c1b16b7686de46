"""What a measurement will cost, from the first steps of a few images, and how many samples fit into a given time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unnoise.data import Images
from unnoise.evaluation.target import Target
from unnoise.progress import duration, notice

MINUTES, LONGEST = 5.0, 30.0
"""How long sampling may take where no number of samples is given; and where that is too short for FEWEST."""
FEWEST, MOST = 500, 10_000
BARE_LEAST = 50
"""Samples where even LONGEST is too short for FEWEST."""
TRIAL = 16
"""Images whose first steps are timed."""


@dataclass(frozen=True)
class Cost:
    """One way of sampling. seconds: for an image; None for images that are already there. available: how many images
    there are at most; None for what is drawn. steps: None for models of one step."""

    seconds: float | None
    sampler: str | None = None
    steps: int | None = None
    available: int | None = None

    @classmethod
    def of(cls, target: Target, data: Images | None, seed: int, precision: str) -> Cost:
        """That of a target that has images or draws some, measured."""
        if target.images is not None:
            return cls(None, available=len(target.images))
        seconds = target.seconds_each(TRIAL, data, seed, precision)
        sampler = None if target.sampler is None else type(target.sampler).__name__
        return cls(seconds, sampler, None if target.sampler is None else target.sampler.steps)


@dataclass(frozen=True)
class SamplingPlan:
    """n: samples of each way; short: whether LONGEST was too short for FEWEST of each."""

    n: int
    costs: tuple[Cost, ...]
    short: bool = False

    @property
    def drawn(self) -> list[Cost]:
        """The ways in which images are drawn at all."""
        return [cost for cost in self.costs if cost.seconds is not None]

    @property
    def seconds(self) -> float:
        """What sampling takes."""
        return self.n * _each(self.costs)

    def text(self) -> str:
        """One line; a second where the samples are few."""
        if not self.drawn:
            return f"plan: {self.n} images that are already there"
        if len(self.costs) == 1:
            (cost,) = self.costs
            steps = "" if cost.steps is None else f", {cost.steps} steps each"
            what = f"{self.n} samples by {cost.sampler or 'the model'}{steps}"
        else:
            steps = sum(cost.steps or 1 for cost in self.drawn)
            what = f"{len(self.costs)} rows of {self.n} samples, {steps} steps for a sample of each"
        return f"plan: {what}, about {duration(self.seconds)}{self._few()}"

    def _few(self) -> str:
        if not self.short:
            return ""
        enough = duration(FEWEST * _each(self.costs))
        return (
            f"; so few because {FEWEST} would take about {enough}: distances from {self.n} samples are biased upwards, "
            f"so compare them only with others from {self.n}, or give -n {FEWEST}"
        )


def plan_samples(
    targets: Sequence[Target],
    data: Sequence[Images | None],
    n: int | None,
    seed: int,
    precision: str,
    most: int = MOST,
) -> SamplingPlan:
    """How many samples to draw of each target.

    Args:
        targets: what is measured.
        data: where the conditions of each come from.
        n: as many as this; None: as many as MINUTES allow for all of them, from FEWEST to `most`, and where FEWEST take
            longer than LONGEST, as many as that allows.
        seed: of the trials.
        precision: of sampling.
        most: where n is None.
    """
    pairs = zip(targets, data, strict=True)
    costs = tuple(Cost.of(target, images, seed, precision) for target, images in pairs)
    count = _affordable(_each(costs), most) if n is None else n
    drawn = any(cost.seconds is not None for cost in costs)
    count = count if drawn else min(count, max((cost.available or 0 for cost in costs), default=0))
    return SamplingPlan(count, costs, short=n is None and drawn and count < FEWEST)


def announce(plan: SamplingPlan) -> None:
    """The plan on standard error."""
    notice(plan.text())


def _each(costs: Sequence[Cost]) -> float:
    """Seconds for one image of every way."""
    return sum(cost.seconds or 0.0 for cost in costs)


def _affordable(each: float, most: int) -> int:
    if each == 0:
        return most
    least = min(FEWEST, max(BARE_LEAST, int(60 * LONGEST / each)))
    return max(least, min(most, int(60 * MINUTES / each)))
