"""Classes and coverage of samples."""

from __future__ import annotations

import pytest
import torch

from unnoise.errors import UserError
from unnoise.metrics.variety import NearestClasses, recall, vanished

CENTRES = torch.eye(10) * 20


def blobs(labels: torch.Tensor, seed: int) -> torch.Tensor:
    return CENTRES[labels] + torch.randn(len(labels), 10, generator=torch.Generator().manual_seed(seed))


LABELS = torch.arange(10).repeat(30)
KNOWN = NearestClasses(blobs(LABELS, 0), LABELS, 10)


def test_the_nearest_tell_the_class() -> None:
    assert torch.equal(KNOWN.predict(blobs(LABELS, 1)), LABELS)


def test_classes_that_vanish_are_named_where_chance_does_not_explain_it() -> None:
    two = KNOWN.histogram(blobs(LABELS % 2, 1))
    assert two.covered == 2
    assert vanished(two, len(LABELS)) == tuple(range(2, 10))
    few = KNOWN.histogram(blobs(LABELS[:5], 1))
    assert len(few.missing) == 5
    assert vanished(few, 5) == ()  # five samples cannot have ten classes


def test_recall_of_half_of_the_data_is_a_half() -> None:
    assert recall(blobs(LABELS % 5, 1), blobs(LABELS, 2)) == pytest.approx(0.5, abs=0.1)
    assert recall(blobs(LABELS, 1), blobs(LABELS, 2)) > 0.8


def test_recall_needs_images() -> None:
    with pytest.raises(UserError, match="at least 5"):
        recall(blobs(LABELS[:4], 1), blobs(LABELS, 2))
