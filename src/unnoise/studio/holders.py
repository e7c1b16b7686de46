"""Which process trains in a run folder, without touching its lock: a probe that held it would refuse a training."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

LOCKS = Path("/proc/locks")
LOCK_FILE = ".lock"


def locked_files() -> dict[int, int]:
    """Inode -> process, of all locks the kernel tells about; nothing where it does not."""
    try:
        lines = LOCKS.read_text().splitlines()
    except OSError:
        return {}
    found = {}
    for fields in (line.split() for line in lines):
        if len(fields) >= 8 and fields[1] == "FLOCK" and fields[4].isdigit():
            found[int(fields[5].rpartition(":")[2])] = int(fields[4])
    return found


def holder(folder: Path, locked: Mapping[int, int]) -> int | None:
    """The process that holds the run's lock, as far as the system tells."""
    lock = folder / LOCK_FILE
    try:
        process = locked.get(lock.stat().st_ino)
    except OSError:
        return None
    return process if process is not None and _has_open(process, lock) else None


def _has_open(process: int, file: Path) -> bool:
    """Inodes of different disks may be equal: the process has to have this very file open."""
    try:
        descriptors = list(Path(f"/proc/{process}/fd").iterdir())
    except OSError:
        return False
    return any(_target(descriptor) == str(file.resolve()) for descriptor in descriptors)


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""
