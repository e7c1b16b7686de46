"""How various samples are, beside the data: which classes they have, or how much of the data they cover."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unnoise.errors import UserError
from unnoise.metrics.modes import Modes, mode_coverage
from unnoise.metrics.precision_recall import precision_recall

NEIGHBOURS = 5
SUREST = 0.01
"""Of perfect samples so few would miss as many classes: then a warning is due."""


@dataclass(frozen=True)
class NearestClasses:
    """Tells the class of an image by a vote of the nearest labelled ones, in whatever features are given.

    Args:
        features: of labelled images, (M, D).
        labels: their classes, (M,).
        classes: how many there are.
    """

    features: Tensor
    labels: Tensor
    classes: int

    def predict(self, features: Tensor) -> Tensor:
        """The classes (N,) of features (N, D)."""
        near = torch.cdist(features.double(), self.features.double()).topk(NEIGHBOURS, largest=False).indices
        votes = torch.nn.functional.one_hot(self.labels[near], self.classes).sum(1)
        return votes.argmax(1)

    def histogram(self, features: Tensor) -> Modes:
        """The classes of samples with features (N, D) beside those of the labelled images."""
        return mode_coverage(self.predict(features), self.labels, classes=self.classes)


def vanished(found: Modes, n: int) -> tuple[int, ...]:
    """The classes that no sample of n has, and that all but one perfect sample set in a hundred would have.

    With a fraction q of the data, none of n perfect samples is of the class with probability (1 - q)^n.
    """
    return tuple(k for k in found.missing if float(1 - found.data_fractions[k]) ** n < SUREST)


def recall(samples: Tensor, reference: Tensor) -> float:
    """How much of the data the samples cover (Kynkaanniemi et al. 2019), from features (N, D) and (M, D).

    Both are cut to one length, without which the larger set covers more.

    Raises:
        UserError: for fewer than five rows in either.
    """
    n = min(len(samples), len(reference))
    if n < NEIGHBOURS:
        raise UserError(f"recall needs at least {NEIGHBOURS} images on either side, got {n}")
    return precision_recall(samples[:n], reference[:n], density_k=3).recall.value
