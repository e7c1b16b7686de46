"""How many threads compute on a CPU. Nothing here imports torch on its own: the choice is made before it loads."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")
LOAD = Path("/proc/loadavg")
LOOKS, APART = 10, 0.01
"""How often, and how many seconds apart, it is asked what runs now."""
VARIABLE = "OMP_NUM_THREADS"
SPINNING, WAITING, SPINS = "GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "10000"
"""How long a thread that waits for others keeps its CPU before it sleeps, in turns of libgomp's loop: enough for the
gaps between the operations of a small network; by default 300,000, in which other work could be done (docs/lab.md)."""
NO_LIMIT = 2**20


def usable_cpus() -> int:
    """CPUs that this process may use: those it is bound to, within the container's quota."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(bound, _quota()))


def free_cpus() -> int:
    """Of these, those that other work leaves free now; at least 1."""
    return max(1, usable_cpus() - int(_running() + 0.5))


def _running() -> float:
    """Threads of others that run or wait for a CPU: now, where the system says it, else over the last minute.

    The average of a minute still counts the command that has just ended, and misses the one that has just begun.
    """
    if not LOAD.is_file():
        return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    found = 0
    for _ in range(LOOKS):
        found += int(LOAD.read_text().split()[3].split("/")[0]) - 1
        time.sleep(APART)
    return found / LOOKS


def choose_threads() -> str | None:
    """Has torch, which is yet to be imported, compute in as many threads as CPUs are free. A thread more than there is
    a CPU for makes all of them wait at every operation: one sampling call was ten times as slow.

    Returns:
        What to tell the user, where it is fewer than there are CPUs; None where there is nothing to tell, or where
        OMP_NUM_THREADS decides.
    """
    if "torch" in sys.modules:
        return None
    if WAITING not in os.environ:
        os.environ.setdefault(SPINNING, SPINS)
    if os.environ.get(VARIABLE):
        return None
    free, usable = free_cpus(), usable_cpus()
    os.environ[VARIABLE] = str(free)
    if free == usable:
        return None
    return f"computing in {free} of {usable} threads: the machine is busy with other work (set {VARIABLE} to choose)"


def same_threads(threads: object) -> None:
    """Computes in as many threads as the sessions of a run before, so that sums are added up in the same order, if
    there are as many CPUs."""
    import torch

    if isinstance(threads, int) and 1 <= threads <= usable_cpus():
        torch.set_num_threads(threads)


def _quota() -> int:
    """CPUs that the container may use, rounded; a large number where there is no limit."""
    text = QUOTA.read_text().split() if QUOTA.is_file() else []
    if len(text) != 2 or not text[0].isdecimal():
        return NO_LIMIT
    return round(int(text[0]) / int(text[1]))
