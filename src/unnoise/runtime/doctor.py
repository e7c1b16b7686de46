"""What this machine offers and what is missing."""

from __future__ import annotations

import platform
import re
import shutil
import sys
from importlib.metadata import PackageNotFoundError, requires, version

import torch

import unnoise
from unnoise.aliases import Record
from unnoise.runtime.cpu import cpu_has_native_bf16
from unnoise.runtime.device import best_device
from unnoise.runtime.threads import free_cpus, usable_cpus

MISSING = "missing"
DEV = "dev"
"""The extra of those who work on unnoise itself."""
NAME, EXTRA = re.compile(r"[\w.-]+"), re.compile(r"""extra == ['"]([\w-]+)['"]""")
"""Of a requirement as the metadata of a package has it: timm>=1.0; extra == 'dino'."""


def examine() -> Record:
    """Versions, devices, precision, compiler, extras (whether all packages of each are there) and free disk, as plain
    values."""
    wanted = required()
    extras = {extra: all(_version(name) != MISSING for name in names) for extra, names in wanted.items() if extra}
    return {
        "unnoise": unnoise.__version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        **{name: _version(name) for name in wanted.get("", [])},
        "device": best_device(),
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "cpu_threads": torch.get_num_threads(),
        "usable_cpus": usable_cpus(),
        "free_cpus": free_cpus(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cpu_native_bf16": cpu_has_native_bf16(),
        "compiler": shutil.which("c++") or shutil.which("g++") or "none: torch.compile cannot be used on the CPU",
        "free_disk_gib": round(shutil.disk_usage(".").free / 2**30, 1),
        "extras": extras,
    }


def required() -> dict[str, list[str]]:
    """Extra -> the packages that it needs, '' for unnoise alone, as its own metadata has them."""
    found: dict[str, list[str]] = {}
    for requirement in requires("unnoise") or []:
        name, extra = NAME.match(requirement), EXTRA.search(requirement)
        assert name is not None
        found.setdefault("" if extra is None else extra[1], []).append(name[0])
    return {extra: names for extra, names in found.items() if extra != DEV}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return MISSING
