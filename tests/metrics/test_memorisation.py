from __future__ import annotations

import json

import pytest
import torch

from unnoise.metrics.memorisation import memorisation


def sets(copies: int = 0, noise: float = 0.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """500 samples, the first `copies` of them near training images; 2000 training and 1000 held-out images."""
    draws = torch.Generator().manual_seed(0)
    training, held_out, samples = (torch.randn(n, 8, generator=draws) for n in (2000, 1000, 500))
    samples[:copies] = training[100 : 100 + copies] + noise * torch.randn(copies, 8, generator=draws)
    return samples, training, held_out


def test_fresh_samples_are_no_nearer_than_held_out_images() -> None:
    got = memorisation(*sets())
    assert got.expected == pytest.approx(0.01)
    assert abs(got.fraction - got.expected) < 0.015
    assert got.closer == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_planted_copies_are_found_and_paired(noise: float) -> None:
    got = memorisation(*sets(copies=50, noise=noise))
    assert set((got.distances <= got.threshold).nonzero().flatten().tolist()) >= set(range(50))
    assert got.fraction == pytest.approx(0.1, abs=0.015)
    assert got.fraction > got.expected + 5 * got.fraction_stderr
    assert got.nearest[:50].tolist() == list(range(100, 150))
    pairs = got.closest(50)
    assert {(i, j) for i, j, _ in pairs} == {(i, 100 + i) for i in range(50)}
    assert [d for _, _, d in pairs] == sorted(d for _, _, d in pairs)


def test_a_model_that_only_copies() -> None:
    _, training, held_out = sets()
    got = memorisation(training[:300], training, held_out)
    assert (got.fraction, got.closer) == (1, 1)
    assert got.summary()["exact_copies"] == 300


def test_data_with_duplicates_of_its_own() -> None:
    """Half of the held-out images are in the training set too: copies are then natural, and `expected` says so."""
    _, training, held_out = sets()
    held_out[::2] = training[:500]
    got = memorisation(held_out, training, held_out)
    assert got.threshold == 0
    assert got.fraction == got.expected == 0.5
    assert got.closer == 0.5


def test_order_changes_nothing_but_the_indices() -> None:
    samples, training, held_out = sets(copies=50)
    one, two = memorisation(samples, training, held_out), memorisation(samples.flip(0), training, held_out.flip(0))
    assert (one.fraction, one.threshold, one.closer) == (two.fraction, two.threshold, two.closer)


def test_the_summary_is_json() -> None:
    summary = memorisation(*sets(copies=3)).summary()
    assert json.loads(json.dumps(summary)) == summary
    assert {pair["sample"] for pair in summary["closest"][:3]} == {0, 1, 2}


def test_faults_are_named() -> None:
    samples, training, held_out = sets()
    with pytest.raises(ValueError, match="quantile must lie between 0 and 1, got 1"):
        memorisation(samples, training, held_out, quantile=1)
    with pytest.raises(ValueError, match="at least 2 images for samples, got 1"):
        memorisation(samples[:1], training, held_out)
    with pytest.raises(ValueError, match="held-out images have 7 dimensions but training images 8"):
        memorisation(samples, training, held_out[:, :7])
    with pytest.raises(ValueError, match="NaN"):
        memorisation(samples * torch.nan, training, held_out)
