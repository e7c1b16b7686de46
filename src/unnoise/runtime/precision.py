"""In what precision networks compute."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, get_args

import torch

from unnoise.errors import UserError
from unnoise.registry import suggest
from unnoise.runtime.cpu import cpu_has_native_bf16

Precision = Literal["auto", "fp32", "bf16"]
PRECISIONS: tuple[str, ...] = get_args(Precision)


def takes_bf16(device: str | torch.device, precision: str = "auto") -> bool:
    """Whether a network runs under bf16 autocast.

    Args:
        device: where it runs.
        precision: 'auto' (where the hardware has it), 'fp32' or 'bf16'.

    Raises:
        UserError: for another word, and where bf16 is demanded of hardware that only emulates it.
    """
    kind = torch.device(device).type
    if precision not in PRECISIONS:
        raise UserError(f"unknown precision {precision!r}; {suggest(precision, PRECISIONS)}")
    native = {"cuda": _cuda_has_bf16, "cpu": cpu_has_native_bf16}.get(kind, lambda: False)()
    if precision == "bf16" and not native:
        raise UserError(f"precision=bf16: this {kind} computes bf16 in software, far slower than fp32; use fp32")
    return precision == "bf16" or (precision == "auto" and native)


def autocast(device: str | torch.device, bf16: bool) -> AbstractContextManager[None]:
    """bf16 autocast on the device, or nothing."""
    kind = torch.device(device).type
    return torch.autocast(kind, dtype=torch.bfloat16) if bf16 else nullcontext()  # type: ignore[return-value]


def _cuda_has_bf16() -> bool:
    return torch.cuda.is_bf16_supported(including_emulation=False)
