"""Rows of a data set, taken in batches whose size changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from unnoise.aliases import Conditions
from unnoise.errors import UserError
from unnoise.seeding import generator

NUMBERS_A_CALL = 2**19
CHUNK = 64


def batch_rows(x: Tensor, batch_size: int | None) -> int:
    """`batch_size`, or as many rows of x (N, *) as hold half a million numbers (170 images of 3x32x32), 1 to 4096."""
    if batch_size is None:
        return min(4096, max(1, NUMBERS_A_CALL // x[0].numel()))
    if batch_size < 1:
        raise UserError(f"need a batch_size of at least 1, got {batch_size}")
    return batch_size


def blocks(count: int, size: int) -> Iterator[range]:
    """0..count - 1 in ranges of at most `size`."""
    for start in range(0, count, size):
        yield range(start, min(start + size, count))


def row_normal(x: Tensor, rows: range, *keys: int) -> Tensor:
    """Standard normal numbers (len(rows), *) in x's dtype, on its device: row i is a function of the keys and i.

    They are drawn in chunks of fixed rows, so that a batch costs few generators.
    """
    chunks = range(rows.start // CHUNK, (rows.stop - 1) // CHUNK + 1)
    kind = {"dtype": x.dtype, "device": x.device}
    drawn = [torch.randn(CHUNK, *x.shape[1:], generator=generator(*keys, c, device=x.device), **kind) for c in chunks]
    return torch.cat(drawn)[rows.start - chunks.start * CHUNK :][: len(rows)]


def take(cond: Conditions | None, index: Tensor) -> Any:
    """The rows `index` (B,) of the conditions: of a tensor, of a list, or of every value of a mapping."""
    if isinstance(cond, Mapping):
        return {name: take(value, index) for name, value in cond.items()}
    if isinstance(cond, Tensor):
        return cond[index.to(cond.device)]
    return None if cond is None else [cond[i] for i in index.tolist()]


def wide(x: Tensor) -> Tensor:
    """x in float64, on the CPU where the device has none."""
    return (x.cpu() if x.device.type == "mps" else x).double()


def stderr(values: Tensor) -> float:
    """The standard error of the mean of independent values (N,); nan for fewer than two."""
    return float(values.std() / len(values) ** 0.5) if len(values) > 1 else float("nan")
