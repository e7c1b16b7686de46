"""In what precision networks compute."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal, get_args

import torch

from unnoise.errors import UserError
from unnoise.registry import suggest
from unnoise.runtime.cpu import cpu_has_native_bf16

Precision = Literal["auto", "fp32", "tf32", "bf16", "fp16"]
PRECISIONS: tuple[str, ...] = get_args(Precision)
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


def chosen_precision(device: str | torch.device, precision: str = "auto") -> str:
    """What a network computes in on a device: 'fp32', 'tf32', 'bf16' or 'fp16'.

    Args:
        device: where it runs.
        precision: one of these, or 'auto': bf16 where the hardware has it, else tf32 on a GPU that has that, else fp32.

    Raises:
        UserError: for another word, and for what the device would only emulate.
    """
    kind = torch.device(device).type
    if precision not in PRECISIONS:
        raise UserError(f"unknown precision {precision!r}; {suggest(precision, PRECISIONS)}")
    there = [name for name, has in NATIVE.items() if has(kind)]
    if precision == "auto":
        return there[0]
    if precision not in there:
        raise UserError(
            f"precision={precision}: this {kind} has no hardware for it and would be far slower than in fp32; "
            f"allowed here: {', '.join(there)}"
        )
    return precision


@contextmanager
def computing_in(device: str | torch.device, precision: str) -> Iterator[None]:
    """Within, networks on the device compute in a precision that `chosen_precision` gave.

    bf16 and fp16 are autocast: weights stay in fp32. On a GPU tf32 rounds the factors of fp32 products to 10 bits, and
    fp32 does not.
    """
    kind = torch.device(device).type
    cast = AUTOCAST.get(precision)
    with products_in(device, precision), nullcontext() if cast is None else torch.autocast(kind, dtype=cast):
        yield


@contextmanager
def products_in(device: str | torch.device, precision: str) -> Iterator[None]:
    """`computing_in` but for autocast, which ends before a backward pass begins.

    What stays in fp32 is multiplied in TF32, unless the precision is fp32.
    """
    if torch.device(device).type != "cuda":
        yield
        return
    cudnn = torch.backends.cudnn
    before = torch.get_float32_matmul_precision(), cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest" if precision == "fp32" else "high")
    cudnn.allow_tf32 = precision != "fp32"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        cudnn.allow_tf32 = before[1]


def _has_bf16(kind: str) -> bool:
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return kind == "cpu" and cpu_has_native_bf16()


def _has_tf32(kind: str) -> bool:
    return kind == "cuda" and torch.cuda.get_device_capability() >= (8, 0)


NATIVE: dict[str, Callable[[str], bool]] = {
    "bf16": _has_bf16,
    "tf32": _has_tf32,
    "fp32": lambda kind: True,
    "fp16": lambda kind: kind == "cuda",
}
"""Whether a kind of device has each in hardware; 'auto' takes the first."""
