"""What a model that draws in one step leaves out, seen while it trains: classes of labelled images, else recall."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import binom
from torch import Tensor
from torch.nn import functional as F

from unnoise.aliases import Record
from unnoise.data import Images
from unnoise.metrics.distances import nearest
from unnoise.metrics.precision_recall import precision_recall
from unnoise.seeding import generator

SAMPLES = 500
"""Drawn for each look."""
FEWEST = 100
"""With fewer a histogram says nothing."""
REFERENCES, TRIED = 2000, 500
SIDE = 32
RELIABLE = 0.8
"""The accuracy of the nearest neighbour from which on its histogram means something."""
MOST_CLASSES = 100
VANISHED = 0.1
"""Of its fraction in the data, below which a class has vanished,"""
CHANCE = 1e-3
"""unless perfect samples have as few of any class with this probability."""

NAMED = 10
"""Classes at most that a warning names."""


class Look(NamedTuple):
    """values: {class_fractions, class_fractions_data, classes_vanished}, or {recall}. warning: where classes vanish."""

    values: Record
    warning: str | None = None


class VarietyWatch:
    """Counts the classes that a model draws, by the nearest training image; where images have no labels, or neighbours
    do not tell their classes, it measures recall (Kynkaanniemi et al. 2019). Both in pixels, at SIDE a side at most.

    Args:
        images: of the training.

    Attributes:
        accuracy: of the nearest neighbour on training images that it is not told; None without labels.
    """

    def __init__(self, images: Images) -> None:
        order = torch.randperm(len(images), generator=generator(0)).numpy()
        kept, tried = order[:REFERENCES], order[REFERENCES : REFERENCES + TRIED]
        if len(images) < REFERENCES + TRIED:
            kept, tried = np.split(order, [len(order) * 4 // 5])
        self._names = images.classes
        self._references = flat(images.batch(kept).image)
        self._labels: np.ndarray | None = None
        self.accuracy: float | None = None
        if images.labels is None or not 2 <= len(images.classes) <= MOST_CLASSES or not len(tried):
            return
        self._labels = images.labels[kept]
        self._data = np.bincount(images.labels, minlength=len(images.classes)) / len(images)
        self.accuracy = float((self._classes(images.batch(tried).image) == images.labels[tried]).mean())

    @property
    def counts_classes(self) -> bool:
        return self.accuracy is not None and self.accuracy >= RELIABLE

    def look(self, samples: Tensor) -> Look:
        """What images (N, C, H, W) show."""
        if not self.counts_classes:
            recall = precision_recall(flat(samples), self._references[: len(samples)]).recall.value
            return Look({"recall": round(recall, 4)})
        counts = np.bincount(self._classes(samples), minlength=len(self._names))
        vanished = self._vanished(counts, len(samples))
        values = {
            "class_fractions": np.round(counts / len(samples), 4).tolist(),
            "class_fractions_data": np.round(self._data, 4).tolist(),
            "classes_vanished": len(vanished),
        }
        return Look(values, self._warning(vanished, len(samples)))

    def _warning(self, vanished: list[int], n: int) -> str | None:
        if not vanished:
            return None
        named = ", ".join(self._names[label] for label in vanished[:NAMED]) + (", ..." if len(vanished) > NAMED else "")
        return (
            f"classes vanish: {len(vanished)} of {len(self._names)} are missing among {n} samples ({named}); "
            "train for longer, or lower train.learning_rate"
        )

    def _vanished(self, counts: np.ndarray, n: int) -> list[int]:
        few = counts < VANISHED * self._data * n
        chance = binom.cdf(counts, n, self._data) * len(counts)
        return np.flatnonzero(few & (chance < CHANCE)).tolist()

    def _classes(self, images: Tensor) -> np.ndarray:
        assert self._labels is not None
        return self._labels[nearest(flat(images), self._references).index.numpy()]


def flat(images: Tensor) -> Tensor:
    """(N, numbers) on the CPU, of images with SIDE pixels a side at most."""
    height, width = images.shape[-2:]
    small = F.adaptive_avg_pool2d(images.float().cpu(), (min(height, SIDE), min(width, SIDE)))
    return small.flatten(1)
