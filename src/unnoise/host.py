"""From the host's memory to a device and back, without waiting for it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def sent(tensor: Tensor, device: str | torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """A CPU tensor on the device, in `dtype` if given. From pinned memory a GPU fetches it in its own time, and the
    host does not wait."""
    tensor = tensor if dtype is None else tensor.to(dtype)
    if torch.device(device).type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def fetched(tensor: Tensor) -> Callable[[], Tensor]:
    """Begins to bring a device's tensor to the host. What is returned gives it, and waits for it where it is not there
    yet; a GPU is not waited for before that."""
    if not tensor.is_cuda:
        there = tensor.cpu()
        return lambda: there
    there = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    there.copy_(tensor, non_blocking=True)
    copied = torch.cuda.Event()
    copied.record(torch.cuda.current_stream(tensor.device))

    def arrived() -> Tensor:
        copied.synchronize()
        return there

    return arrived
