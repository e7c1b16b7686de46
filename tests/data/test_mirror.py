"""Whether a set may be shown mirrored."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from unnoise.data import Images
from unnoise.data.mirror import ALLOWED, mirror_images, upper_bound
from unnoise.sources import open_source


def blobs(count: int, seed: int = 0) -> np.ndarray:
    """Pictures of a few coloured blobs: (count, 3, 16, 16)."""
    coarse = torch.randn(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return (127.5 + 50 * F.interpolate(coarse, (16, 16), mode="bicubic")).clamp(0, 255).numpy().astype(np.uint8)


def test_digits_and_letters_are_never_mirrored() -> None:
    digits = mirror_images(open_source("digits", progress=False))
    assert not digits.allowed
    assert "nearer to another image" in digits.reason
    letters = open_source("glyphs:size=16,n=600", progress=False)
    assert not mirror_images(letters).allowed
    assert not mirror_images(Images(letters.pixels)).allowed, "without classes and captions neither"


def test_pictures_without_a_side_are_mirrored() -> None:
    assert mirror_images(Images(blobs(700))).allowed


def test_colours_that_prefer_a_side_are_seen() -> None:
    """All brighter to the left, of half of the contrast of the rest."""
    slope = np.linspace(60, -60, 16).astype(int)
    assert not mirror_images(Images(np.clip(blobs(700) + slope, 0, 255).astype(np.uint8))).allowed


def test_edges_that_prefer_a_side_are_seen_in_any_colour() -> None:
    """A stroke that leans to the right, dark on bright or bright on dark."""
    draws = np.random.default_rng(0)
    canvas = np.zeros((700, 1, 16, 16))
    for image in canvas:
        at, sign, tone = draws.integers(3, 12), draws.choice([-60, 60]), draws.integers(80, 175)
        for row in range(16):
            image[0, row, max(0, min(15, at + 4 - row // 2)) :][..., :2] = sign
        image += tone
    assert not mirror_images(Images(canvas.astype(np.uint8))).allowed


def test_classes_are_compared_within_themselves() -> None:
    """Arrows to the left and to the right: together they have no side, each class has."""
    slope = np.linspace(80, -80, 16)
    left = np.clip(blobs(350) + slope, 0, 255)
    right = np.clip(blobs(350, seed=1) - slope, 0, 255)
    pixels = np.concatenate([left, right]).astype(np.uint8)
    assert mirror_images(Images(pixels)).allowed
    labels = np.repeat([0, 1], 350)
    assert not mirror_images(Images(pixels, {"labels": labels}, ("a", "b"))).allowed


@pytest.mark.parametrize(
    ("fields", "classes", "reason"),
    [
        ({"captions": ["a house"] * 699 + ["a Left turn"]}, (), "'Left'"),
        ({"labels": np.zeros(700, np.int64)}, ("letter b",), "'letter'"),
        ({"vectors": np.zeros((700, 2), np.float32)}, (), "a vector"),
    ],
)
def test_conditions_that_mirroring_makes_untrue(fields: dict, classes: tuple[str, ...], reason: str) -> None:
    found = mirror_images(Images(blobs(700), fields, classes))
    assert not found.allowed
    assert reason in found.reason


def test_few_images_tell_nothing() -> None:
    found = mirror_images(Images(blobs(60)))
    assert not found.allowed
    assert "too few images" in found.reason
    assert not mirror_images(Images(blobs(1))).allowed


@pytest.mark.parametrize(("chance", "trials"), [(0.5, 20), (0.55, 300), (0.0, 5), (1.0, 9)])
def test_the_bound_is_the_exact_binomial_one(chance: float, trials: int) -> None:
    """At the bound so few successes or fewer have a probability of 2.5 %."""
    from scipy.stats import binom

    bound = upper_bound(chance, trials)
    assert bound == 1 or binom.cdf(round(chance * trials), trials, bound) == pytest.approx(0.025)
    assert upper_bound(0.5, 10_000) < ALLOWED < upper_bound(0.5, 50)
