"""Sets of images, packed once as uint8 and memory-mapped, their fields, and batches of them.

Names are imported on first use: the processes that decode images load this package and must not load torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Batch": "unnoise.data.batch",
    "Images": "unnoise.data.images",
    "Loader": "unnoise.data.loader",
    "image_grid": "unnoise.data.pictures",
    "save_gif": "unnoise.data.pictures",
    "save_png": "unnoise.data.pictures",
    "to_uint8": "unnoise.data.pictures",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'unnoise.data' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
