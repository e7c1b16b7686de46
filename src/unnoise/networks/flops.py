"""What a computation costs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode


def count_flops(call: Callable[[], object]) -> int:
    """Floating-point operations (a multiply-add is two) of the matrix products and convolutions of `call`."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter, torch.compiler.set_stance("force_eager"):
        call()
    return counter.get_total_flops()
