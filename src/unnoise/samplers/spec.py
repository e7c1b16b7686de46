"""Samplers as text, the same in every command and report: NAME[@STEPS][:key=value,...], as in `ddim@50:eta=0.5`."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from unnoise.aliases import Record
from unnoise.errors import UserError
from unnoise.process.variance import VARIANCES, Variance
from unnoise.registry import build, check_keys, describe, lookup, spec_of
from unnoise.samplers import GRIDS, SAMPLERS, Sampler
from unnoise.samplers.grids import AUTO

FORM = "NAME[@STEPS][:key=value,...], such as ddim@50:eta=0.5"


def parse_sampler(text: str, others: Collection[str] = ()) -> Record:
    """The spec that `text` writes: {'kind': 'ddim', 'steps': 50, 'eta': 0.5}, with the keys that it names alone.

    Args:
        text: NAME[@STEPS][:key=value,...]; the times of a grid are joined by slashes, grid=1000/544/195/39.
        others: names that the caller knows beside those of SAMPLERS; they take steps and no options.

    Raises:
        UserError: for an unknown name or key, naming the nearest, and for a value of another type or out of range.
    """
    head, _, rest = text.strip().partition(":")
    name, at, steps = (part.strip() for part in head.partition("@"))
    lookup({**SAMPLERS, **dict.fromkeys(others)}, name, "sampler")
    types = {option.name: option.type for option in describe(SAMPLERS[name])} if name in SAMPLERS else {"steps": int}
    pairs = ([("steps", steps)] if at else []) + [_pair(part, text) for part in rest.split(",") if part]
    spec: Record = {"kind": name}
    for key, value in pairs:
        check_keys([key], types, f"sampler {name!r}")
        if key in spec:
            raise UserError(f"{key} is given twice in {text!r}")
        spec[key] = _parsed(value, types[key], f"{key} of {name}")
    if spec.get("steps", 1) < 1:
        raise UserError(f"need at least 1 step, got {spec['steps']} in {text!r}")
    if isinstance(spec.get("grid"), str):
        lookup({**GRIDS, AUTO: None}, spec["grid"], "grid")
    if name in SAMPLERS:
        build(SAMPLERS, spec, "sampler")  # the constructors know the bounds
    return spec


def split_samplers(text: str) -> list[str]:
    """The samplers of a comma-separated list, whose options are separated by commas too: a part that is key=value
    belongs to the sampler before it."""
    found: list[str] = []
    for part in (part.strip() for part in text.split(",") if part.strip()):
        if found and "=" in part and ":" not in part:
            found[-1] += f",{part}"
        else:
            found.append(part)
    return found


def sampler_text(sampler: Sampler) -> str:
    """The text that `parse_sampler` reads as `sampler`: its name, its steps and the options that are not defaults."""
    spec = spec_of(SAMPLERS, sampler)
    defaults = {option.name: option.default for option in describe(type(sampler))}
    changed = [f"{key}={_text(spec[key])}" for key in defaults if key != "steps" and spec[key] != defaults[key]]
    return ":".join([f"{spec['kind']}@{spec['steps']}", *([",".join(changed)] if changed else [])])


def _pair(part: str, text: str) -> tuple[str, str]:
    key, equals, value = part.partition("=")
    if not (key.strip() and equals and value.strip()):
        raise UserError(f"cannot read {part!r} in the sampler {text!r}; write {FORM}")
    return key.strip(), value.strip()


class Kind(NamedTuple):
    """What an option's text is read with, and what it is called in errors."""

    read: Callable[[str], Any]
    name: str


def _number(text: str) -> float:
    number = float(text)
    if math.isnan(number):
        raise ValueError
    return number


def _grid(text: str) -> str | tuple[float, ...]:
    parts = text.split("/")
    return tuple(_number(part) for part in parts) if len(parts) > 1 or parts[0][:1].isdigit() else text


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(_number(part) for part in text.split("/"))


KINDS: Mapping[Any, Kind] = {
    int: Kind(int, "a whole number"),
    float: Kind(_number, "a number"),
    tuple[float, ...]: Kind(_numbers, "numbers joined by slashes"),
    str | tuple[float, ...]: Kind(_grid, "the name of a grid, or times joined by slashes"),
}
"""The types that constructors of samplers annotate their options with; any other is text."""


def _parsed(text: str, kind: Any, what: str) -> Any:
    read = KINDS.get(kind, Kind(str, "text"))
    try:
        return read.read(text)
    except ValueError:  # of int and float: there is no other way to ask whether a text is a number
        raise UserError(f"{what} is {read.name}, got {text!r}") from None


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return "/".join(_text(part) for part in value)
    if isinstance(value, Variance):
        return next(name for name, kind in VARIANCES.items() if type(value) is kind)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
