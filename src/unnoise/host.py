"""From the host's memory to a device."""

from __future__ import annotations

import torch
from torch import Tensor


def sent(tensor: Tensor, device: str | torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """A CPU tensor on the device, in `dtype` if given. From pinned memory a GPU fetches it in its own time, and the
    host does not wait."""
    tensor = tensor if dtype is None else tensor.to(dtype)
    if torch.device(device).type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
