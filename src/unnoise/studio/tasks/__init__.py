"""What the worker processes do, by name. Every task takes a request and a function that emits events."""

from __future__ import annotations

from importlib import import_module
from typing import Any

HOMES = {
    "describe": "describe",
    "inspect": "sources",
    "plan": "sources",
    "sample": "sample",
    "nearest": "nearest",
    "edit": "edit",
    "interpolate": "latents",
    "arithmetic": "latents",
    "invert": "latents",
    "forward": "lectures",
    "flow": "lectures",
    "plane": "latents",
    "collapse": "collapse",
}
"""Task -> the module of this package that has a function of the task's name."""


def find(task: str) -> Any:
    """The function of a task in HOMES, imported when it is asked for."""
    return getattr(import_module(f"{__name__}.{HOMES[task]}"), task)
