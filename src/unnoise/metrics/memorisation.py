"""Copies of training images among samples, as against mere likeness, which held-out images have too."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.stats import rankdata
from torch import Tensor

from unnoise.aliases import Record
from unnoise.errors import UserError
from unnoise.metrics.distances import nearest
from unnoise.metrics.statistics import Array, feature_pair

PAIRS = 16


@dataclass(frozen=True)
class Memorisation:
    """Distances to the nearest training image, of samples and of held-out images, and what follows from them.

    Args:
        fraction: of the samples within `threshold`, the suspected copies.
        fraction_stderr: its sampling error.
        expected: the same fraction of the held-out images, which cannot be copies; a model that generalises has about
            as many.
        threshold: the distance below which a sample is suspected.
        closer: the chance that a sample is nearer to the training set than a held-out image, 0.5 when neither is.
        distances: of the samples, (N,).
        held_out_distances: of the held-out images, (M,).
        nearest: the index of each sample's nearest training image, (N,).
    """

    fraction: float
    fraction_stderr: float
    expected: float
    threshold: float
    closer: float
    distances: Tensor
    held_out_distances: Tensor
    nearest: Tensor

    def closest(self, count: int = PAIRS) -> list[tuple[int, int, float]]:
        """(sample, training image, distance) of the closest pairs, nearest first: what a gallery shows."""
        order = self.distances.argsort(stable=True)[:count]
        return [(int(i), int(self.nearest[i]), float(self.distances[i])) for i in order]

    def summary(self) -> Record:
        """Everything but the distances, in plain numbers."""
        return {
            "fraction": self.fraction,
            "fraction_stderr": self.fraction_stderr,
            "expected": self.expected,
            "threshold": self.threshold,
            "closer_than_held_out": self.closer,
            "exact_copies": int((self.distances == 0).sum()),
            "median_distance": float(self.distances.median()),
            "median_held_out_distance": float(self.held_out_distances.median()),
            "closest": [{"sample": i, "training": j, "distance": d} for i, j, d in self.closest()],
        }


def memorisation(samples: Array, training: Array, held_out: Array, *, quantile: float = 0.01) -> Memorisation:
    """Samples that lie nearer to a training image than all but `quantile` of the held-out images do.

    samples (N, D), training (T, D), held_out (M, D): features. threshold: the `quantile` of the held-out images'
    distances to their nearest training image; `closer` is the Mann-Whitney statistic of both sets of distances
    (Meehan et al. 2020, section 3.1, without cells). The held-out set must be of one origin with the training set;
    where that holds duplicates (threshold 0), exact copies are suspicious and `expected` says how many are natural.
    Raises UserError for fewer than two images in a set, NaN, and widths that differ.
    """
    if not 0 < quantile < 1:
        raise UserError(f"quantile must lie between 0 and 1, got {quantile}")
    known = feature_pair(samples, training, ("samples", "training images"))
    others = feature_pair(held_out, training, ("held-out images", "training images"))
    own, theirs = nearest(*known), nearest(*others).distance
    threshold = float(torch.quantile(theirs, quantile))
    fraction = float((own.distance <= threshold).double().mean())
    return Memorisation(
        fraction=fraction,
        fraction_stderr=(fraction * (1 - fraction) / len(own.distance)) ** 0.5,
        expected=float((theirs <= threshold).double().mean()),
        threshold=threshold,
        closer=_chance_below(own.distance, theirs),
        distances=own.distance,
        held_out_distances=theirs,
        nearest=own.index,
    )


def _chance_below(x: Tensor, y: Tensor) -> float:
    """P(x < y) + P(x = y) / 2 over all pairs, from the ranks of y among both."""
    ranks = rankdata(torch.cat([x, y]).numpy())[len(x) :]
    return float((ranks.sum() - len(y) * (len(y) + 1) / 2) / (len(x) * len(y)))
