"""How much memory there is, asked before it is taken."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from unnoise.errors import UserError

CGROUP = Path("/sys/fs/cgroup")
MEMINFO = Path("/proc/meminfo")
UNKNOWN = 2**62


def free_bytes(device: str | torch.device) -> int:
    """What the device can still give: of a CPU, what the system says is available within the container's limit."""
    where = torch.device(device)
    if where.type == "cuda":
        return torch.cuda.mem_get_info(where)[0]
    if where.type == "mps":
        return max(0, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    available = _meminfo("MemAvailable")
    limit, used = _number(CGROUP / "memory.max"), _number(CGROUP / "memory.current")
    return min(available, UNKNOWN if limit is None or used is None else max(0, limit - used))


def total_bytes() -> int:
    """The memory of this machine, or of the container."""
    limit = _number(CGROUP / "memory.max")
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else UNKNOWN
    return min(pages, UNKNOWN if limit is None else limit)


@contextmanager
def within_memory(what: str) -> Iterator[None]:
    """Within, modules that are built may have as many parameters as this machine's memory holds.

    Raises:
        UserError: at the first parameter beyond, before any of its numbers is drawn. what: what is built.
    """
    most, taken = total_bytes(), 0
    too_large = f"{what} has more parameters than this machine's {most / 2**30:.1f} GiB of memory hold"

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal taken
        taken += 0 if parameter is None else parameter.numel() * parameter.element_size()
        if taken > most:
            raise UserError(too_large)

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    except RuntimeError as error:
        if "allocate" not in str(error) and "overflow" not in str(error):
            raise
        raise UserError(too_large) from error
    finally:
        hook.remove()


def _meminfo(name: str) -> int:
    if not MEMINFO.is_file():
        return UNKNOWN
    for line in MEMINFO.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return UNKNOWN


def _number(file: Path) -> int | None:
    """The number in a file of the kernel's; None where there is none, as in 'max'."""
    text = file.read_text().strip() if file.is_file() else ""
    return int(text) if text.isdecimal() else None
