"""Class numbers and class names from whatever a source calls its classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unnoise.aliases import Value

MAX_PLAIN = 1000  # whole labels 0..MAX_PLAIN-1 keep their numbers


def class_table(values: Sequence[Value]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class numbers for the values of all images of all splits.

    Whole numbers from 0 to MAX_PLAIN - 1 are their own class numbers; other numbers are numbered in order of size,
    texts in order of the alphabet.

    Args:
        values: one per image, texts or numbers.

    Returns:
        labels (N,) int64 and the class names.
    """
    values = [_plain(value) for value in values]
    if all(isinstance(value, int) and 0 <= value < MAX_PLAIN for value in values):
        return np.asarray(values, np.int64), tuple(str(number) for number in range(max(values) + 1))
    numbers = all(isinstance(value, (int, float)) for value in values)
    if not numbers:
        values = [str(value) for value in values]
    ordered = sorted(set(values))
    number = {value: index for index, value in enumerate(ordered)}
    return np.array([number[value] for value in values], np.int64), tuple(str(value) for value in ordered)


def _plain(value: Value) -> Value:
    """numpy's scalars as Python's, whole floats as integers, bytes as text."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, bool):
        return str(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value
