"""Samples too few for the features they are compared in."""

from __future__ import annotations

ENOUGH = 5
"""Images a dimension below which a Frechet distance is mostly bias (50,000 and 10,000 are customary for 2048)."""


def small_sample_warning(n: int, dim: int) -> str | None:
    """What to say of a covariance of `dim` features from n images, or None when n is enough."""
    if n <= dim:
        return f"{n} images are too few for {dim} features: the covariance is singular and the distance mostly bias"
    if n < ENOUGH * dim:
        return f"{n} images are few for {dim} features: the distance is biased upwards; {ENOUGH * dim} would be better"
    return None
