"""What a run's configuration may hold: types and bounds, checked before anything is built from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from unnoise.aliases import Spec
from unnoise.errors import UserError
from unnoise.sources.buckets import BUCKETS

LARGEST = {"images": 2**40, "channels": 4096, "height": 2**16, "width": 2**16}
"""Of the keys of [found]."""
MOST_CLASSES = 2**20
LARGEST_SIZE = 2**20
"""Of any whole number in [model] and [objective]: widths, depths, steps of a schedule."""
MOST_ITEMS = 4096
"""Of any list in them, such as the resolutions of a U-Net."""


def check_run(config: Spec, where: str) -> None:
    """Raises UserError for a configuration of a run, read from `where`, with a value that no training wrote."""
    for name in ("found", "model", "objective", "train", "data"):
        if not isinstance(config.get(name), Mapping):
            raise UserError(f"{where} is no run's configuration: it has no [{name}]")
    found = config["found"]
    for key, most in LARGEST.items():
        if not _is_whole(found.get(key), 1, most):
            raise UserError(f"found.{key} in {where} must be a whole number from 1 to {most}, got {found.get(key)!r}")
    classes = found.get("classes")
    if not isinstance(classes, list) or len(classes) > MOST_CLASSES or not all(isinstance(c, str) for c in classes):
        raise UserError(f"found.classes in {where} must be a list of names")
    if not isinstance(config.get("seed"), int) or not isinstance(config.get("source"), str):
        raise UserError(f"{where} must have a seed that is a whole number and a source that is a name")
    for section in ("model", "objective"):
        check_sizes(config[section], section, where)
    if config["data"].get("fit") == BUCKETS:
        _check_buckets(config, where)


def _check_buckets(config: Spec, where: str) -> None:
    for key in ("size", "multiple"):
        if not _is_whole(config["data"].get(key), 1, LARGEST["height"]):
            raise UserError(f"data.{key} in {where} must be a whole number: the run has buckets")
    shapes = config["found"].get("buckets")
    if not isinstance(shapes, list) or not shapes or not all(_is_size(shape) for shape in shapes):
        raise UserError(f"found.buckets in {where} must be a list of [height, width]")


def check_sizes(section: Spec, name: str, where: str) -> None:
    """Raises UserError for a whole number, or a list, in a section that is larger than any model needs."""
    for key, value in _leaves(section, name):
        if isinstance(value, int) and abs(value) > LARGEST_SIZE:
            raise UserError(f"{key} = {value} in {where} is larger than {LARGEST_SIZE}, the most that is taken")
        if isinstance(value, list) and len(value) > MOST_ITEMS:
            raise UserError(f"{key} in {where} has {len(value)} items, more than {MOST_ITEMS}")


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}")
        return
    yield path, value
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _leaves(item, path)


def _is_size(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(_is_whole(side, 1, LARGEST["height"]) for side in value)


def _is_whole(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most
