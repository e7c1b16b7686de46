"""What the figures were taken on, and the two rates that bound them: of matrix products and of copies."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from datetime import date
from importlib import metadata
from statistics import median
from typing import Any

import torch

PACKAGES = ("unnoise", "torch", "triton", "diffusers", "denoising-diffusion-pytorch", "numpy")
SIDE, SMALL_SIDE = 8192, 512


def synchronise(device: str) -> None:
    """Waits until the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def seconds(work: Callable[[], object], device: str, repeats: int = 10) -> float:
    """The median time of a call, after three calls to warm up."""
    for _ in range(3):
        work()
    times = []
    for _ in range(repeats):
        synchronise(device)
        begun = time.perf_counter()
        work()
        synchronise(device)
        times.append(time.perf_counter() - begun)
    return median(times)


def conditions(device: str, small: bool) -> dict[str, Any]:
    """Device, versions, date, measured rates."""
    name = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine()
    return {
        "device": name,
        "memory_gib": round(torch.cuda.get_device_properties(0).total_memory / 2**30, 1) if device == "cuda" else None,
        "devices": torch.cuda.device_count() if device == "cuda" else 0,
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
        "versions": {package: _version(package) for package in PACKAGES},
        "date": date.today().isoformat(),
        "small": small,
        "tflops": {name: matrix_rate(device, name, small) / 1e12 for name in ("fp32", "tf32", "bf16")},
        "copy_gb_per_second": copy_rate(device, small) / 1e9,
    }


def matrix_rate(device: str, precision: str, small: bool) -> float:
    """FLOP/s of one product of square matrices of random numbers."""
    side = SMALL_SIDE if small else SIDE
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    return 2 * side**3 / seconds(lambda: left @ right, device)


def copy_rate(device: str, small: bool) -> float:
    """Bytes read and written a second."""
    source = torch.empty(2**24 if small else 2**31, dtype=torch.uint8, device=device).random_()
    target = torch.empty_like(source)
    return 2 * source.numel() / seconds(lambda: target.copy_(source), device)


def _version(package: str) -> str:
    if package == "torch":
        return torch.__version__
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "source" if package == "unnoise" else "absent"
