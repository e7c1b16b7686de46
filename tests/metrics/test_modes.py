from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from unnoise.metrics.modes import mode_coverage


def test_the_same_fractions_are_at_no_distance() -> None:
    labels = torch.arange(40) % 4
    got = mode_coverage(labels.flip(0), labels.repeat(3), classes=4)
    assert got.kl == 0
    assert got.missing == ()
    assert got.covered == 4


def test_equals_scipys_entropy() -> None:
    draws = np.random.default_rng(0)
    predicted, labels = draws.integers(0, 6, 500), draws.choice(6, 4000, p=[0.3, 0.3, 0.1, 0.1, 0.1, 0.1])
    p, q = (np.bincount(values) / len(values) for values in (predicted, labels))
    got = mode_coverage(predicted, labels, classes=6)
    np.testing.assert_allclose(got.fractions, p)
    np.testing.assert_allclose(got.data_fractions, q)
    assert got.kl == pytest.approx(entropy(p, q))


def test_dropped_modes_are_named() -> None:
    labels = torch.arange(10).repeat(5)
    got = mode_coverage(torch.tensor([1, 1, 1, 8]).repeat(50), labels, classes=10)
    assert got.missing == (0, 2, 3, 4, 5, 6, 7, 9)
    assert got.covered == 2
    assert got.kl == pytest.approx(math.log(10) - entropy([0.75, 0.25]))
    assert got.missing_expected == pytest.approx(10 * 0.9**200)


def test_classes_that_the_data_lacks() -> None:
    known = torch.tensor([0, 0, 1])
    within = mode_coverage(torch.tensor([1, 0, 0]), known, classes=3)
    assert (within.kl, within.missing, within.covered) == (0, (), 2)
    assert mode_coverage(torch.tensor([2, 0]), known, classes=3).kl == math.inf


def test_the_baseline_is_what_perfect_samples_show() -> None:
    draws = torch.Generator().manual_seed(0)
    labels = torch.arange(8)
    found = [mode_coverage(torch.randint(8, (400,), generator=draws), labels, classes=8) for _ in range(300)]
    assert np.mean([each.kl for each in found]) == pytest.approx(found[0].kl_baseline, rel=0.1)


def test_faults_are_named() -> None:
    labels = torch.arange(3)
    with pytest.raises(ValueError, match=r"predicted labels must lie in 0..2, got 0..3"):
        mode_coverage(torch.arange(4), labels, classes=3)
    with pytest.raises(ValueError, match="integers"):
        mode_coverage(torch.ones(4), labels, classes=3)
    with pytest.raises(ValueError, match="at least one"):
        mode_coverage(labels, labels[:0], classes=3)
