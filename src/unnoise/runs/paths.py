"""A configuration for other eyes: without the paths of this machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from unnoise.aliases import Value
from unnoise.sources.open import BUILT_IN

PRIVATE = "images of their own"
"""What the data of a run is called where it is no public set."""
NAMING = ("source", "start", "run")
"""Keys of a configuration whose values are paths."""


def public_name(source: str) -> str:
    """The name of a built-in or public set; PRIVATE for anything else."""
    return source if source.removeprefix("builtin:").split(":")[0] in BUILT_IN else PRIVATE


def without_paths(value: Value, key: str = "") -> Value:
    """A JSON value in which files and folders are called by their last names, and data by what it is."""
    if isinstance(value, Mapping):
        return {name: without_paths(item, name) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_paths(item, key) for item in value]
    if not isinstance(value, str):
        return value
    if key == "source":
        return public_name(value)
    return Path(value).name if key in NAMING or value.startswith(("/", "~", ".")) else value
