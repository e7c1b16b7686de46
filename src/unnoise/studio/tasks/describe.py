"""The registries as forms: every sampler and schedule with its options, read from the constructors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from unnoise.aliases import Record
from unnoise.process.schedule import SCHEDULES
from unnoise.process.variance import VARIANCES
from unnoise.registry import REQUIRED, Option
from unnoise.registry import describe as options_of
from unnoise.samplers import GRIDS, SAMPLERS
from unnoise.studio.worker import Emit

CHOICES: dict[str, Mapping[str, Any]] = {"grid": GRIDS, "variance": VARIANCES}
"""Options whose value is a name in a table."""

TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


def describe(request: Record, emit: Emit) -> Record:
    """The tables of samplers and schedules."""
    return {"samplers": _table(SAMPLERS), "schedules": _table(SCHEDULES), "grids": list(GRIDS)}


def _table(table: Mapping[str, type]) -> list[Record]:
    """One entry per class: names of earlier versions are left out."""
    first = {cls: name for name, cls in reversed(list(table.items()))}
    return [_entry(name, cls) for name, cls in table.items() if first[cls] == name]


def _entry(name: str, cls: type) -> Record:
    options = [field for option in options_of(cls) if (field := _field(option)) is not None]
    return {"kind": name, "title": cls.__name__, "about": _first_sentence(cls), "options": options}


def _field(option: Option) -> Record | None:
    """As a form shows it; None for what a form cannot ask for."""
    if option.name in CHOICES:
        return {"name": option.name, "type": "choice", "choices": list(CHOICES[option.name]), "default": option.default}
    kinds = [kind for kind in (option.type, *get_args(option.type)) if kind in TYPES]
    if not kinds or option.default is REQUIRED:
        return None
    return {"name": option.name, "type": TYPES[kinds[0]], "default": option.default}


def _first_sentence(cls: type) -> str:
    paragraph = (cls.__doc__ or "").split("\n\n")[0]
    return " ".join(paragraph.split())
