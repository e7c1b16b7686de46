from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d
from torch import nn

from unnoise.metrics.restoration import LPIPS, psnr, ssim


def images(channels: int = 3, size: tuple[int, int] = (17, 23), seed: int = 0) -> torch.Tensor:
    draws = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (2, channels, *size), generator=draws, dtype=torch.uint8)


def test_psnr_of_a_known_error() -> None:
    x = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    y = torch.stack([torch.full((1, 4, 4), value, dtype=torch.uint8) for value in (255, 51)])
    np.testing.assert_allclose(psnr(x, y), [0, 20 * np.log10(5)], atol=1e-12)
    assert psnr(x, x).tolist() == [np.inf, np.inf]


def by_windows(x: np.ndarray, y: np.ndarray) -> float:
    """SSIM of one channel with levels 0..255: Wang et al. 2004 in their own units, by two-dimensional windows."""
    distance = np.arange(11) - 5
    window = np.exp(-(distance[:, None] ** 2 + distance[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def mean(z: np.ndarray) -> np.ndarray:
        return convolve2d(z, window, mode="valid")

    mx, my = mean(x), mean(y)
    vx, vy, c = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float(np.mean((2 * mx * my + c1) * (2 * c + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))))


def test_ssim_equals_the_definition_on_levels() -> None:
    x = images()
    y = (x.float() * 0.7 + 20).to(torch.uint8)
    plain = [z.double().numpy() for z in (x, y)]
    want = [np.mean([by_windows(*(z[i, c] for z in plain)) for c in range(3)]) for i in range(2)]
    np.testing.assert_allclose(ssim(x, y), want, rtol=1e-9)


def test_ssim_of_equal_and_of_inverted_images() -> None:
    x = images(1)
    assert ssim(x, x).tolist() == pytest.approx([1, 1])
    assert float(ssim(x, 255 - x).max()) < 0


def test_floats_and_levels_agree() -> None:
    x, y = images(), images(seed=1)
    floats = [z.double() / 127.5 - 1 for z in (x, y)]
    for measure in (psnr, ssim):
        np.testing.assert_allclose(measure(*floats), measure(x, y), rtol=1e-12)


def test_faults_are_named() -> None:
    x = images()
    for measure in (psnr, ssim):
        with pytest.raises(ValueError, match=r"got \(2, 3, 17, 23\) and \(2, 3, 16, 23\)"):
            measure(x, x[:, :, 1:])
        with pytest.raises(ValueError, match="the targets hold NaN"):
            measure(x.float() / 255, x.float() * torch.nan)
    with pytest.raises(ValueError, match=r"at least 11x11 pixels, got \(10, 23\)"):
        ssim(x[:, :, :10], x[:, :, :10])


def test_lpips_without_its_packages_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(ValueError, match="needs the packages lpips and torchvision"):
        LPIPS()


def test_lpips_hands_colour_images_in_range_to_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stand(nn.Module):
        def __init__(self, net: str, verbose: bool) -> None:
            super().__init__()
            assert net == "alex"

        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            assert x.shape[1] == 3
            return (x - y).square().mean((1, 2, 3), keepdim=True)

    package = ModuleType("lpips")
    package.LPIPS = Stand  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lpips", package)
    x = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    assert LPIPS()(x, 255 - x).tolist() == [4, 4]
