"""Which rows of a batch are computed at the moment: all, or a part on one of several processes or in one of several
passes.

What is drawn for a row, and what is taken from all rows, belongs to the batch: it is the same however the batch is
divided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class BatchPart:
    """Rows `start` to `stop` of a batch of `total` rows.

    Args:
        start, stop: of the rows that this process computes in this pass.
        first, last: of the rows that all processes compute in this pass.
        total: rows of the batch.
        add: the sum of a tensor over all processes, with gradients.
    """

    start: int
    stop: int
    first: int
    last: int
    total: int
    add: Callable[[Tensor], Tensor]

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def whole(self) -> bool:
        """Whether this is no part but the batch."""
        return len(self) == self.total

    @contextmanager
    def computed(self) -> Iterator[None]:
        """Within, networks and objectives compute this part of the batch."""
        global _current
        before, _current = _current, None if self.whole else self
        try:
            yield
        finally:
            _current = before

    def rows(self, batch: Tensor) -> Tensor:
        """Those of the part, of a tensor with a row for each image of the batch."""
        return batch[self.start : self.stop]


_current: BatchPart | None = None


def rows_now() -> tuple[int, int] | None:
    """The rows of the batch that are computed at the moment, the first and the one after the last; None: all."""
    return None if _current is None else (_current.start, _current.stop)


def all_rows(x: Tensor) -> Tensor:
    """The rows (N, *) that all processes compute in this pass, of those that this one computes (B, *), with gradients.

    Without several processes, x itself.
    """
    part = _current
    if part is None or (part.first, part.last) == (part.start, part.stop):
        return x
    ends = (part.start - part.first, part.last - part.stop)
    return part.add(F.pad(x, (0, 0) * (x.ndim - 1) + ends))


def std_over_rows(x: Tensor) -> Tensor:
    """The standard deviation (*) of the rows (N, *) that all processes compute in this pass; x (B, *): those of this
    one. Only sums are exchanged."""
    part = _current
    if part is None:
        return x.std(0, correction=min(1, len(x) - 1))
    count = part.last - part.first
    mean = part.add(x.sum(0)) / count
    return (part.add((x - mean).square().sum(0)) / max(1, count - 1)).sqrt()


def uniform_rows(count: int, device: torch.device) -> Tensor:
    """Uniform numbers (count,) in [0, 1) of torch's global generator, one for each row of the part."""
    part = _current
    if part is None:
        return torch.rand(count, device=device)
    return part.rows(torch.rand(part.total, device=device))


def normal_rows(like: Tensor) -> Tensor:
    """Standard normal numbers of torch's global generator, of the shape of `like` (B, *)."""
    part = _current
    if part is None:
        return torch.randn_like(like)
    return part.rows(torch.randn(part.total, *like.shape[1:], dtype=like.dtype, device=like.device))


class Dropout(nn.Dropout):
    """Dropout whose mask belongs to the rows. A part draws the mask of the whole batch and takes its rows of it."""

    def forward(self, input: Tensor) -> Tensor:
        part = _current
        if part is None or not self.training or self.p == 0:
            return super().forward(input)
        ones = torch.ones(part.total, *input.shape[1:], dtype=input.dtype, device=input.device)
        if input.ndim == 4 and input.is_contiguous(memory_format=torch.channels_last):
            ones = ones.contiguous(memory_format=torch.channels_last)
        return input * part.rows(F.dropout(ones, self.p))
