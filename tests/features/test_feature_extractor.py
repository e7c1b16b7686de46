from __future__ import annotations

import pytest
import torch

from unnoise.features import FEATURES, Pixels
from unnoise.features.extractor import colour, levels
from unnoise.registry import build


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def test_the_table_has_every_space_under_its_own_name() -> None:
    assert sorted(FEATURES) == ["classifier", "dino", "imagenet", "inception", "pixels"]
    assert all(cls.name == name for name, cls in FEATURES.items())
    assert build(FEATURES, "pixels", "feature space", shape=(1, 8, 8)).dim == 64


def test_floats_become_their_levels() -> None:
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    assert torch.equal(levels(every.float() / 127.5 - 1), every)
    assert levels(torch.tensor([-1.3, 1.2, 0.0]).reshape(1, 1, 1, 3)).flatten().tolist() == [0, 255, 128]


def test_pixels_are_the_pixels() -> None:
    x = images(5, 3, 8, 6)
    extractor = Pixels((3, 8, 6))
    assert extractor.dim == 144
    torch.testing.assert_close(extractor(x), x.flatten(1) / 127.5 - 1)
    torch.testing.assert_close(extractor(x.float() / 127.5 - 1), extractor(x))


def test_large_pixels_are_averaged() -> None:
    x = images(2, 1, 64, 32)
    extractor = Pixels((1, 64, 32), side=16)
    want = x.float().reshape(2, 16, 4, 16, 2).mean((2, 4)).flatten(1) / 127.5 - 1
    torch.testing.assert_close(extractor(x), want)
    assert extractor.dim == 256
    assert "1x16x16" in extractor.version


def test_a_stream_gives_the_rows_of_its_batches() -> None:
    x, extractor = images(10, 1, 4, 4), Pixels((1, 4, 4))
    assert torch.equal(extractor.extract(x.split(3)), extractor(x))
    assert extractor.extract([]).shape == (0, 16)


def test_grey_becomes_colour() -> None:
    x = images(2, 1, 4, 4)
    assert torch.equal(colour(x, "imagenet")[:, 2], x[:, 0])
    with pytest.raises(ValueError, match="'imagenet' take grey or RGB images, got 4 channels"):
        colour(images(2, 4, 4, 4), "imagenet")


def test_faults_are_named() -> None:
    extractor = Pixels((1, 4, 4))
    broken = torch.zeros(5, 1, 4, 4)
    broken[2:4, 0, 1, 1] = torch.nan
    with pytest.raises(ValueError, match="2 of 5 images hold NaN or infinite numbers, the first is 2"):
        extractor(broken)
    with pytest.raises(ValueError, match=r"must lie in \[-1, 1\], got 255; give 0..255 as uint8"):
        extractor(torch.full((1, 1, 4, 4), 255.0))
    with pytest.raises(ValueError, match=r"shape \(B, C, H, W\), got \(4, 4\)"):
        extractor(torch.zeros(4, 4))
    with pytest.raises(ValueError, match=r"uint8, or floats in \[-1, 1\], got torch.int64"):
        extractor(torch.zeros(1, 1, 4, 4).long())
    with pytest.raises(ValueError, match=r"pixel features of images \(1, 4, 4\) cannot take \(1, 5, 4\)"):
        extractor(images(1, 1, 5, 4))
    with pytest.raises(ValueError, match="'pixels' know no classes"):
        extractor.probabilities(torch.zeros(1, 16))
