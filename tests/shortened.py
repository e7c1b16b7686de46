"""What makes the figures of `unnoise show` that train or sample for long short enough for a test."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import pytest

from unnoise.lectures.spoiled import noisy
from unnoise.samplers import DDIM

CONSTANTS: dict[str, Mapping[str, Any]] = {
    "labels": {"COUNTS": (10,), "SEEDS": 1},
    "divergences": {"FRAMES": 2},
    "marginals": {"FRAMES": 2},
    "trajectories": {"STEPS": (1, 2, 5), "IMAGES": 2},
    "vanishing": {"EVERY": 20},
    "robustness": {"FAMILIES": ("GAN",), "FEW": (100, 10_000), "SPOILED": {"pixel noise": noisy}},
    "stacked": {"FAMILIES": ("VAE",), "TRAINING": 20_000},
    "cost": {"FAMILIES": ("GAN", "diffusion"), "PARTS": (0.5, 1.0), "CALLS": {"DDIM": [DDIM(steps=2), DDIM(steps=3)]}},
    "rates": {"RATES": (1e-3, 1e-2), "SEEDS": 1},
    "corrections": {
        "FRACTIONS": (0.5, 0.95),
        "POINTS": 20,
        "IMAGES": 2,
        "SAMPLERS": {"ODE": DDIM(steps=20), "SDE": DDIM(steps=20, eta=1.0)},
    },
}
"""Figure -> names in its module, and their shorter values."""


def shorten(monkeypatch: pytest.MonkeyPatch, figure: str) -> None:
    """Sets them, until the test is over."""
    for name, value in CONSTANTS.get(figure, {}).items():
        monkeypatch.setattr(import_module(f"unnoise.lectures.{figure}"), name, value)
