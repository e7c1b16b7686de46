"""What the machine can do, asked rather than assumed."""

from __future__ import annotations

import torch


def cpu_has_native_bf16() -> bool:
    """Whether this CPU multiplies bf16 matrices in hardware (AMX); elsewhere bf16 is hundreds of times slower."""
    return torch.cpu._is_amx_tile_supported()


def keep_pages() -> bool:
    """Placeholder until measured."""
    return False
