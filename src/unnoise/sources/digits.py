"""The embedded default: scikit-learn's 1,797 handwritten digits of 8x8 pixels (Alpaydin and Kaynak, 1998)."""

from __future__ import annotations

import numpy as np

from unnoise.sources.arrays import Arrays

HELD_OUT = 6  # one digit in six is held out, of every class alike


def read_digits(split: str) -> Arrays:
    """The train or the held-out digits; the values 0..16 become 0..255."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    rows = np.flatnonzero(_held_out(labels) == (split == "test"))
    scaled = np.rint(pixels[rows].reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    return Arrays(scaled, {"labels": labels[rows].astype(np.int64)}, tuple(str(digit) for digit in range(10)))


def _held_out(labels: np.ndarray) -> np.ndarray:
    held = np.zeros(len(labels), bool)
    for digit in range(10):
        rows = np.flatnonzero(labels == digit)
        held[np.random.default_rng([0, digit]).permutation(rows)[: round(len(rows) / HELD_OUT)]] = True
    return held
