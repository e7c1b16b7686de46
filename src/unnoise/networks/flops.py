"""What a computation costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry


def count_flops(call: Callable[[], object]) -> int:
    """Floating-point operations (a multiply-add is two) of the matrix products and convolutions of `call`."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter, torch.compiler.set_stance("force_eager"):
        call()
    return counter.get_total_flops()


class Work(NamedTuple):
    """flops: of matrix products and convolutions; operations: how many of torch's were called."""

    flops: int
    operations: int


def count_work(call: Callable[[], object]) -> Work:
    """What `call` computes, backward passes and gradients of gradients included."""
    with _Counter() as counter, torch.compiler.set_stance("force_eager"):
        call()
    return Work(counter.flops, counter.operations)


class _Counter(TorchDispatchMode):
    """Counts by torch's own formulas. Its FlopCounterMode follows modules, and so refuses `torch.autograd.grad`."""

    flops = operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        self.flops += 0 if formula is None else formula(*args, **(kwargs or {}), out_val=found)
        self.operations += 1
        return found
