"""How many images to draw at once."""

from __future__ import annotations

from collections.abc import Callable

import torch

MOST = 1024
CPU_MOST, CPU_PIXELS = 64, 2**18
"""On a CPU a larger batch is no faster: measured, 16 images of 32x32 at once take 7 % longer each than 64."""
FRACTION = 0.5
"""Of the free memory: the rest is for fragments, and for the calls outside of a CUDA graph, which has its own."""
PROBES = (2, 8)
"""Rows of the two batches whose memory is measured."""


def batch_that_fits(count: int, size: tuple[int, int], device: torch.device, step: Callable[[int], object]) -> int:
    """Images at once, for `count` of them of `size` (H, W).

    step: one step of so many rows, which a GPU runs and measures; elsewhere the number of pixels decides.
    """
    if device.type != "cuda":
        return _even(count, max(1, min(CPU_MOST, CPU_PIXELS // (size[0] * size[1]))))
    if count <= PROBES[1]:
        return count
    try:
        low, high = (_peak(device, step, rows) for rows in PROBES)
    except torch.cuda.OutOfMemoryError:
        return 1
    return _even(count, rows_within(FRACTION * _free(device), low, high))


def rows_within(free: float, low: int, high: int) -> int:
    """Rows whose memory is `free` bytes, on the line through what both PROBES took; a multiple of 8 from 8 on."""
    each = max(1.0, (high - low) / (PROBES[1] - PROBES[0]))
    rows = int((free - low) / each) + PROBES[0]
    return max(1, min(MOST, rows if rows < 8 else rows - rows % 8))


def _even(count: int, most: int) -> int:
    """At most `most`, in as many batches but of nearly equal size: 50 images are 25 and 25, not 48 and 2."""
    batches = max(1, -(-count // most))
    return -(-count // batches)


def _peak(device: torch.device, step: Callable[[int], object], rows: int) -> int:
    """The bytes that a step takes beyond what is there."""
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    step(rows)
    return torch.cuda.max_memory_allocated(device) - before


def _free(device: torch.device) -> int:
    """What the driver has, and what torch holds without using it."""
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused
