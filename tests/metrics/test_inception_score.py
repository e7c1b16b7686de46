from __future__ import annotations

import numpy as np
import pytest
import torch

from unnoise.metrics.inception_score import inception_score


def logits(n: int = 503, classes: int = 7) -> torch.Tensor:
    return 2 * torch.randn(n, classes, generator=torch.Generator().manual_seed(0)).double()


def by_entropies(p: np.ndarray) -> float:
    """exp(H(mean) - mean H): the score as mutual information."""

    def entropy(q: np.ndarray) -> float:
        return -float(np.sum(q * np.log(q)))

    return float(np.exp(entropy(p.mean(0)) - np.mean([entropy(row) for row in p])))


def test_one_split_is_the_mutual_information_in_any_order() -> None:
    p = logits().softmax(1)
    want = by_entropies(p.numpy())
    assert inception_score(p, splits=1).mean == pytest.approx(want, rel=1e-12)
    assert inception_score(p.flip(0), splits=1, seed=None).mean == pytest.approx(want, rel=1e-12)


def test_splits_without_a_shuffle_are_consecutive() -> None:
    p = logits().softmax(1).numpy()
    want = [by_entropies(p[i * 503 // 4 : (i + 1) * 503 // 4]) for i in range(4)]
    got = inception_score(p, splits=4, seed=None)
    np.testing.assert_allclose(got.scores, want, rtol=1e-12)
    assert got.std == pytest.approx(np.std(want))


def test_extremes() -> None:
    assert inception_score(torch.eye(4).repeat(5, 1), splits=1).mean == pytest.approx(4)
    assert inception_score(torch.full((8, 4), 0.25), splits=2).mean == pytest.approx(1)


def test_agrees_with_torch_fidelity(torch_fidelity) -> None:
    from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, KEY_METRIC_ISC_STD, isc_features_to_metric

    want, got = isc_features_to_metric(logits()), inception_score(logits().softmax(1))
    assert got.mean == pytest.approx(want[KEY_METRIC_ISC_MEAN], rel=1e-9)
    assert got.std == pytest.approx(want[KEY_METRIC_ISC_STD], rel=1e-9)


def test_faults_are_named() -> None:
    p = logits().softmax(1)
    with pytest.raises(ValueError, match="at least 2 images for class probabilities, got 1"):
        inception_score(p[:1])
    with pytest.raises(ValueError, match="1 to 5 splits for 5 images, got 10"):
        inception_score(p[:5])
    with pytest.raises(ValueError, match=r"softmax\(logits\)"):
        inception_score(logits())
    with pytest.raises(ValueError, match="NaN"):
        inception_score(p * torch.nan)
