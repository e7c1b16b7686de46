"""Values from outside against type annotations: one checker for specs, configurations and options."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sized
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from unnoise.aliases import Value
from unnoise.errors import UserError


@dataclass(frozen=True)
class Bounds:
    """The range of a number, written into its annotation: Annotated[int, Bounds(1)].

    Args:
        least, most: the ends; None where there is none.
        above, below: ends that do not belong to the range.
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def hold(self, value: float) -> bool:
        return not (
            (self.least is not None and value < self.least)
            or (self.most is not None and value > self.most)
            or (self.above is not None and value <= self.above)
            or (self.below is not None and value >= self.below)
        )

    def __str__(self) -> str:
        ends = {"at least": self.least, "above": self.above, "at most": self.most, "below": self.below}
        return " and ".join(f"{word} {end:.10g}" for word, end in ends.items() if end is not None)


@dataclass(frozen=True)
class Items:
    """The fewest items of a list, written into its annotation."""

    fewest: int

    def hold(self, value: Sized) -> bool:
        return len(value) >= self.fewest

    def __str__(self) -> str:
        return f"with at least {self.fewest}"


Positive = Annotated[int, Bounds(1)]
"""A whole number from 1 on."""
Many = Annotated[int, Bounds(1, 2**20)]
"""A whole number from 1 on of what is held in memory at once: steps of a sampler or a schedule, images of a batch."""
Count = Annotated[int, Bounds(0)]
"""A whole number from 0 on."""
Fraction = Annotated[float, Bounds(0, 1)]
"""A number from 0 to 1."""
Amount = Annotated[float, Bounds(0)]
"""A number that is not negative."""
Sizes = Annotated[tuple[Positive, ...], Items(1)]
"""Whole numbers from 1 on, at least one."""

MISFIT = object()
NUMBERS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", NoneType: "nothing"}


def fitted(value: Value, hint: Any, what: str) -> Value:
    """`value` as the annotation `hint` has it: a list as a tuple, a whole float as an integer, else as it is.

    Raises:
        UserError: where it does not fit: what was given, what is allowed, what is near.
    """
    found = _fitted(value, hint)
    if found is MISFIT:
        raise UserError(f"{what} must be {wanted(hint)}, got {value!r}{_hint(value, hint)}")
    return found


def wanted(hint: Any) -> str:
    """What an annotation allows, in words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        bounds = " and ".join(str(bound) for bound in arguments[1:] if isinstance(bound, (Bounds, Items)))
        return f"{wanted(arguments[0])} {bounds}".strip()
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin in (Union, UnionType):
        return " or ".join(wanted(argument) for argument in arguments if argument is not NoneType)
    if origin is tuple:
        many = len(arguments) == 2 and arguments[1] is Ellipsis
        return f"a list, each {wanted(arguments[0])}" if many else f"a list of {len(arguments)} items"
    if origin is not None and issubclass(origin, Mapping):
        return "a table of keys and values"
    return NUMBERS.get(hint, getattr(hint, "__name__", str(hint)))


def _hint(value: Value, hint: Any) -> str:
    """', did you mean X?' where a near value is allowed."""
    allowed = [
        str(choice) for part in (hint, *get_args(hint)) if get_origin(part) is Literal for choice in get_args(part)
    ]
    near = get_close_matches(str(value), allowed, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def _fitted(value: Value, hint: Any) -> Value:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in (Any, object) or isinstance(hint, TypeVar):
        return value
    if origin is Annotated:
        found = _fitted(value, arguments[0])
        bounds = [bound for bound in arguments[1:] if isinstance(bound, (Bounds, Items))]
        return found if found is not MISFIT and all(bound.hold(found) for bound in bounds) else MISFIT
    if origin is Literal:
        return next((choice for choice in arguments if choice == value and type(choice) is type(value)), MISFIT)
    if origin in (Union, UnionType):
        return next((found for part in arguments if (found := _fitted(value, part)) is not MISFIT), MISFIT)
    if origin is tuple:
        return _fitted_tuple(value, arguments)
    if origin is not None:
        return value if isinstance(value, origin) else MISFIT
    return _fitted_plain(value, hint)


def _fitted_tuple(value: Value, arguments: tuple[Any, ...]) -> Value:
    if not isinstance(value, (list, tuple)):
        return MISFIT
    many = len(arguments) == 2 and arguments[1] is Ellipsis
    hints = arguments[:1] * len(value) if many else arguments
    if len(hints) != len(value):
        return MISFIT
    items = tuple(_fitted(item, hint) for item, hint in zip(value, hints, strict=True))
    return MISFIT if MISFIT in items else items


def _fitted_plain(value: Value, hint: Any) -> Value:
    """Of a class: numbers by their values, everything else by what it is."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return int(value) if is_number and math.isfinite(value) and value == int(value) else MISFIT
    if hint is float:
        return value if is_number and not math.isnan(value) else MISFIT
    if hint is Path:
        return value if isinstance(value, (str, Path)) else MISFIT
    if getattr(hint, "_is_protocol", False):
        return value
    return value if isinstance(value, hint or NoneType) else MISFIT
