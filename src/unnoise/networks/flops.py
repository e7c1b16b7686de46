"""What a computation costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode


def count_flops(call: Callable[[], object]) -> int:
    """Floating-point operations (a multiply-add is two) of the matrix products and convolutions of `call`."""
    with torch.no_grad():
        return count_work(call).flops


class Work(NamedTuple):
    """flops: of matrix products and convolutions; operations: how many of torch's were called."""

    flops: int
    operations: int


def count_work(call: Callable[[], object]) -> Work:
    """What `call` computes, backward passes included."""
    eagerly = torch.compiler.set_stance("force_eager")
    with FlopCounterMode(display=False) as counter, _Operations() as operations, eagerly:
        call()
    return Work(counter.get_total_flops(), operations.count)


class _Operations(TorchDispatchMode):
    """Counts calls."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))
