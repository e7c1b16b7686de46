"""How near a restored image is to the one that was degraded: PSNR, SSIM, and LPIPS where its package is there."""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from unnoise.errors import UserError

RANGE = 255.0
WINDOW, WINDOW_STD = 11, 1.5
K_1, K_2 = 0.01, 0.03
EXACT = 100.0
"""dB: what stands for the PSNR of equal images, which is infinite, in a mean."""


def psnr(images: Tensor, targets: Tensor) -> Tensor:
    """10 log10(range^2 / mean squared error) of each image, (B,) float64, in dB; infinite for equal images.

    images, targets (B, C, H, W): uint8, or floats in [-1, 1]. Raises UserError for shapes that differ and for NaN.
    """
    x, y = _pair(images, targets)
    return 10 * torch.log10(RANGE**2 / (x - y).square().flatten(1).mean(1))


def mean_with_error(name: str, values: Tensor) -> dict[str, float | None]:
    """The mean of a number per image (B,) and its standard error, None for one image, under `name` and NAME_stderr."""
    error = float(values.std() / len(values) ** 0.5) if len(values) > 1 else None
    return {name: float(values.mean()), f"{name}_stderr": error}


def ssim(images: Tensor, targets: Tensor) -> Tensor:
    """The mean structural similarity of each image, (B,) float64, 1 for equal images.

    images, targets (B, C, H, W): uint8, or floats in [-1, 1], of at least 11x11 pixels. Over windows that lie inside
    the image, weighted by an 11x11 Gaussian of standard deviation 1.5, with K = (0.01, 0.03) and population variances
    (Wang et al. 2004, equation 13 and section III.C); each channel apart, then their mean.
    Raises UserError for smaller images, shapes that differ and NaN.
    """
    x, y = _pair(images, targets)
    if min(x.shape[2:]) < WINDOW:
        raise UserError(f"SSIM needs images of at least {WINDOW}x{WINDOW} pixels, got {tuple(x.shape[2:])}")
    c_1, c_2 = (K_1 * RANGE) ** 2, (K_2 * RANGE) ** 2
    mean_x, mean_y = _blur(x), _blur(y)
    var_x, var_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + c_1) / (mean_x**2 + mean_y**2 + c_1)
    structure = (2 * covariance + c_2) / (var_x + var_y + c_2)
    return (luminance * structure).flatten(1).mean(1)


class LPIPS:
    """The learned perceptual distance (Zhang et al. 2018), by the authors' package `lpips`.

    network: 'alex' (what is quoted) or 'vgg'. Raises UserError when the package, torchvision or weights are missing.
    """

    def __init__(self, network: str = "alex") -> None:
        self.network = network
        self.distance = _lpips(network)

    @torch.inference_mode()
    def __call__(self, images: Tensor, targets: Tensor) -> Tensor:
        """(B,) float64 of images (B, C, H, W), uint8 or floats in [-1, 1]; grey is repeated."""
        x, y = (_rgb(z / 127.5 - 1).float() for z in _pair(images, targets))
        return self.distance(x, y).flatten().double()


def _lpips(network: str) -> Any:
    try:
        return import_module("lpips").LPIPS(net=network, verbose=False).eval()
    except (ImportError, RuntimeError, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(f"LPIPS needs the packages lpips and torchvision, and AlexNet's weights ({reason})") from None


def _pair(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Both in float64 as levels 0..255 (not rounded), on the CPU; SSIM is defined on these and changes with a shift."""
    if images.shape != targets.shape or images.ndim != 4:
        raise UserError(
            f"need two sets (B, C, H, W) of one shape, got {tuple(images.shape)} and {tuple(targets.shape)}"
        )
    pair = tuple(
        z.cpu().double() if z.dtype == torch.uint8 else (z.cpu().double() + 1) * 127.5 for z in (images, targets)
    )
    for name, z in zip(("images", "targets"), pair, strict=True):
        if not bool(z.isfinite().all()):
            raise UserError(f"the {name} hold NaN or infinite numbers")
    return pair[0], pair[1]


def _blur(x: Tensor) -> Tensor:
    """Means under the Gaussian window, wherever it fits."""
    offsets = torch.arange(WINDOW, dtype=x.dtype) - WINDOW // 2
    weights = torch.tensor([math.exp(-(float(o) ** 2) / (2 * WINDOW_STD**2)) for o in offsets], dtype=x.dtype)
    weights = (weights / weights.sum()).expand(x.shape[1], 1, 1, WINDOW)
    rows = F.conv2d(x, weights, groups=x.shape[1])
    return F.conv2d(rows, weights.transpose(2, 3), groups=x.shape[1])


def _rgb(images: Tensor) -> Tensor:
    if images.shape[1] not in (1, 3):
        raise UserError(f"LPIPS takes grey or RGB images, got {images.shape[1]} channels")
    return images.expand(-1, 3, -1, -1)
