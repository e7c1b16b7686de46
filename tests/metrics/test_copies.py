from __future__ import annotations

import pytest
import torch

from unnoise.metrics.copies import copies


def images(n: int, seed: int) -> torch.Tensor:
    return torch.randn(n, 3, 6, 6, generator=torch.Generator().manual_seed(seed))


def test_new_images_of_the_same_kind_are_no_copies() -> None:
    assert not copies(images(200, 1), images(50, 0)).any()


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_planted_copies_are_found_and_nothing_else(noise: float) -> None:
    training, samples = images(50, 0), images(40, 1)
    samples[:10] = training[7:17] + noise * samples[:10]
    assert copies(samples, training).tolist() == [True] * 10 + [False] * 30


def test_the_border_is_where_the_ratio_says() -> None:
    training = torch.zeros(2, 1, 1, 1)
    training[1] = 4.0
    at = torch.tensor([0.9, 1.1]).view(2, 1, 1, 1)  # a third of the way to the second, less and more
    assert copies(at, training).tolist() == [True, False]


def test_mirror_images_are_copies_where_training_mirrors() -> None:
    training = images(20, 0)
    samples = training[:5].flip(3)
    assert not copies(samples, training).any()
    assert copies(samples, training, mirrored=True).all()


def test_what_cannot_be_told_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        copies(images(3, 0), images(1, 1))
    with pytest.raises(ValueError, match="of one shape"):
        copies(images(3, 0), images(3, 1)[:, :1])
