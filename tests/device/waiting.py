"""A stand-in for a GPU that a training step never waits for.

The 'meta' device has no numbers, so that reading one, or a shape that depends on one, is an error there. `no_waiting`
looks for what torch would let pass: numbers of the host's that a computation on the device takes in other than by
`unnoise.host.sent`, which on a GPU waits until all that was asked of it is done.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from unnoise.host import sent

FROM_NUMBERS = (torch.tensor, torch.as_tensor, torch.asarray, Tensor.new_tensor)


class Waited(RuntimeError):
    """The device would have waited."""


@contextmanager
def no_waiting() -> Iterator[None]:
    """Within, what would make the device wait raises Waited, or torch's own error for a device without numbers."""
    with _Made(), _Taken():
        yield


class _Made(TorchFunctionMode):
    """Tensors that are made on the device of Python's numbers."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in FROM_NUMBERS and result.is_meta and not (isinstance(args[0], Tensor) and func != Tensor.new_tensor):
            raise Waited(f"{func} puts numbers on the device")
        return result


class _Taken(TorchDispatchMode):
    """Tensors of the host's that operations take. A single number is taken as it is, unless it is copied."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.to.dtype_layout:  # torch itself, finding out a shape: a copy is a `_to_copy`
            return result
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        on_device = any(isinstance(leaf, Tensor) and leaf.is_meta for leaf in (*given, *tree_leaves(result)))
        taken = [tuple(leaf.shape) for leaf in given if not leaf.is_meta and (leaf.ndim or "copy" in func.name())]
        if on_device and taken and not _is_sent():
            raise Waited(f"{func} takes {taken} from the host")
        return result


def _is_sent() -> bool:
    frame = sys._getframe()
    while frame is not None and frame.f_code is not sent.__code__:
        frame = frame.f_back
    return frame is not None
