"""Class numbers and class names from whatever a source calls its classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

MAX_PLAIN = 1000  # integer labels 0..MAX_PLAIN-1 keep their numbers


def class_table(values: Sequence[Any]) -> tuple[np.ndarray, tuple[str, ...]]:
    """(labels (N,) int64, class names) of one value, text or integer, per image.

    Integers from 0 to MAX_PLAIN - 1 are their own class numbers, so that the same number means the same class in
    another split; other values are numbered in sorted order.
    """
    plain = all(isinstance(value, (int, np.integer)) and not isinstance(value, bool) for value in values)
    if plain and all(0 <= value < MAX_PLAIN for value in values):
        labels = np.asarray(values, np.int64)
        return labels, tuple(str(number) for number in range(int(labels.max()) + 1))
    ordered = sorted(set(values)) if plain else sorted({str(value) for value in values})
    number = {value: index for index, value in enumerate(ordered)}
    labels = np.array([number[value if plain else str(value)] for value in values], np.int64)
    return labels, tuple(str(value) for value in ordered)
