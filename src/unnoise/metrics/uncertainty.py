"""How sure a number is: intervals by resampling and by repetition, and samples too few for their features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from scipy.stats import norm, t
from torch import Tensor

from unnoise.errors import UserError
from unnoise.seeding import generator

ENOUGH = 5
"""Images a dimension below which a Frechet distance is mostly bias (50,000 and 10,000 are customary for 2048)."""


@dataclass(frozen=True)
class Uncertain:
    """A value, its standard error, and the interval (low, high) that holds a repetition of the measurement's mean.

    bias: by how much resampled values exceed `value` on average; it says how strongly the number depends on n.
    """

    value: float
    stderr: float
    interval: tuple[float, float]
    level: float
    bias: float = 0.0


def bootstrap(
    statistic: Callable[..., float], *sets: Tensor, resamples: int = 200, level: float = 0.95, seed: int = 0
) -> Uncertain:
    """value +- z stderr, the standard error being the deviation over resampled sets (Efron 1979).

    sets: tensors whose rows are drawn with replacement, each by itself; what is not to vary stays in the closure.
    The interval is normal, not one of percentiles: a Frechet distance or an MMD of resampled rows lies above that of
    the rows, since repeated rows are like a smaller n, so percentiles would not hold the value itself. For statistics
    of nearest neighbours repeated rows are worse than that: take the errors that `manifold` gives.
    Raises UserError for sets below two rows, fewer than two resamples, and a level outside (0, 1).
    """
    if any(len(rows) < 2 for rows in sets):
        raise UserError(f"resampling needs at least 2 images in each set, got {[len(rows) for rows in sets]}")
    if resamples < 2 or not 0 < level < 1:
        raise UserError(f"need at least 2 resamples and a level in (0, 1), got {resamples} and {level}")
    value = float(statistic(*sets))
    drawn = torch.tensor([statistic(*_resampled(sets, seed, i)) for i in range(resamples)], dtype=torch.float64)
    stderr = float(drawn.std())
    reach = float(norm.ppf((1 + level) / 2)) * stderr
    return Uncertain(value, stderr, (value - reach, value + reach), level, float(drawn.mean()) - value)


def repeated(values: Sequence[float], level: float = 0.95) -> Uncertain:
    """The mean of a measurement repeated with other seeds, and Student's interval of that mean.

    Raises UserError for fewer than two values.
    """
    if len(values) < 2:
        raise UserError(f"an interval needs at least 2 repetitions, got {len(values)}")
    taken = torch.tensor(values, dtype=torch.float64)
    mean, stderr = float(taken.mean()), float(taken.std() / len(taken) ** 0.5)
    reach = float(t.ppf((1 + level) / 2, len(taken) - 1)) * stderr
    return Uncertain(mean, stderr, (mean - reach, mean + reach), level)


def small_sample_warning(n: int, dim: int) -> str | None:
    """What to say of a covariance of `dim` features from n images, or None when n is enough."""
    if n <= dim:
        return f"{n} images are too few for {dim} features: the covariance is singular and the distance mostly bias"
    if n < ENOUGH * dim:
        return f"{n} images are few for {dim} features: the distance is biased upwards; {ENOUGH * dim} would be better"
    return None


def _resampled(sets: Sequence[Tensor], seed: int, index: int) -> list[Tensor]:
    draws = generator(seed, index)
    return [rows[torch.randint(len(rows), (len(rows),), generator=draws)] for rows in sets]
