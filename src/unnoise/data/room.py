"""Room on the disk of the cache: taken knowingly, and never all of it."""

from __future__ import annotations

import shutil
from pathlib import Path

from unnoise.errors import UserError
from unnoise.progress import notice

SHARE = 0.8
"""Of the free space of the disk: what one set may take."""
WORTH_A_LINE = 1 << 30
"""Bytes from which on a set that is packed is worth a line,"""
LARGE_SHARE = 0.1
"""or from this share of the free space on."""


def check_room(folder: Path, size: int, source: str, shown: bool = False) -> None:
    """Refuses what would fill the disk, and says what takes much of it.

    Args:
        folder: where it goes, which exists.
        size: in bytes.
        source: what is packed.
        shown: whether a line tells of what is large.

    Raises:
        UserError: where `size` is more than SHARE of what is free.
    """
    free = free_bytes(folder)
    if size > SHARE * free:
        raise UserError(
            f"packing {source} takes {gigabytes(size)}, and a set may take {SHARE:.0%} of the {gigabytes(free)} that "
            f"are free at {folder}: free some with `unnoise data --clear-cache 30`, set UNNOISE_CACHE to a folder of "
            "another disk, take less with data.size or data.limit, or do without packing with data.stream=true"
        )
    if shown and (size >= WORTH_A_LINE or size > LARGE_SHARE * free):
        notice(
            f"{source}: packing takes {gigabytes(size)} of {gigabytes(free)} free; `unnoise data --cache` shows what "
            "the cache holds"
        )


def fits(folder: Path, size: int) -> bool:
    """Whether something of `size` bytes may be packed into a folder, which need not exist."""
    there = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    return size <= SHARE * free_bytes(there)


def free_bytes(folder: Path) -> int:
    """What a disk has left for this user."""
    return shutil.disk_usage(folder).free


def gigabytes(size: float) -> str:
    """A size in bytes for people: '1.5 GiB', '20 MiB', '3 KiB'."""
    for unit, power in (("GiB", 30), ("MiB", 20)):
        if size >= 1 << power:
            return f"{size / (1 << power):.1f} {unit}"
    return f"{size / 1024:.1f} KiB"
