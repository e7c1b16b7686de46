"""Parts of a batch."""

from __future__ import annotations

import numpy as np

from unnoise.data.batch import Batch
from unnoise.networks.batch_part import BatchPart
from unnoise.runtime.world import World


def divided(total: int, passes: int, world: World) -> list[BatchPart]:
    """What this process computes of a batch of `total` rows: some rows in each pass.

    The batch is cut into passes, and each pass into rows for every process, so that the rows of a pass are the same
    for any number of processes.
    """
    parts = []
    for number in range(passes):
        first, last = _cut(0, total, passes, number)
        start, stop = _cut(first, last, world.size, world.rank)
        parts.append(BatchPart(start, stop, first, last, total, world.sum))
    return parts


def _cut(start: int, stop: int, pieces: int, number: int) -> tuple[int, int]:
    """Where piece `number` of `pieces` of nearly equal size begins and ends."""
    size = stop - start
    return start + size * number // pieces, start + size * (number + 1) // pieces


def rows_in(parts: list[BatchPart]) -> np.ndarray | slice:
    """The rows of the batch that the parts hold together."""
    if parts[0].whole:
        return slice(None)
    return np.concatenate([np.arange(part.start, part.stop) for part in parts])


def split_batch(batch: Batch, sizes: list[int]) -> list[Batch]:
    """The batch in consecutive parts of these sizes."""
    stops = np.cumsum(sizes)
    return [rows_of(batch, slice(stop - size, stop)) for size, stop in zip(sizes, stops, strict=True)]


def rows_of(batch: Batch, rows: slice) -> Batch:
    """Some rows of a batch, with their conditions and latents."""
    cond = {name: value[rows] for name, value in batch.cond.items()}
    made = (None if part is None else part[rows] for part in (batch.latents, batch.noise, batch.scale))
    return Batch(batch.image[rows], cond, *made)
