"""Parts of a batch."""

from __future__ import annotations

from unnoise.data.batch import Batch


def split_batch(batch: Batch, parts: int) -> list[Batch]:
    """The batch in `parts` parts of equal size."""
    size = len(batch) // parts
    rows = [slice(start, start + size) for start in range(0, parts * size, size)]
    return [rows_of(batch, part) for part in rows]


def rows_of(batch: Batch, rows: slice) -> Batch:
    """Some rows of a batch, with their conditions and latents."""
    cond = {name: value[rows] for name, value in batch.cond.items()}
    return Batch(batch.image[rows], cond, None if batch.latents is None else batch.latents[rows])
