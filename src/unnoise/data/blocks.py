"""Large arrays in pieces."""

from __future__ import annotations

BLOCK = 1 << 24  # bytes hashed or copied at a time


def blocks(rows: int, row_bytes: int) -> list[slice]:
    """Slices of about BLOCK bytes that cover `rows` rows."""
    step = max(1, BLOCK // max(1, row_bytes))
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]
