"""From whatever the user names to a set of images: folders, archives, arrays, published and built-in sets.

Names are imported on first use, as in `unnoise.data`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Report": "unnoise.sources.inspect",
    "contact_sheet": "unnoise.sources.inspect",
    "open_source": "unnoise.sources.open",
    "resolved": "unnoise.sources.open",
    "stem": "unnoise.sources.open",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'unnoise.sources' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
