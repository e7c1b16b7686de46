"""Tables that other packages add to by entry points: found by name at once, imported when they are asked for.

A package that declares, in its pyproject.toml,

    [project.entry-points."unnoise.samplers"]
    leapfrog = "my_package.samplers:Leapfrog"

adds a row to the table of samplers. A name that the table has already stays what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar, overload

from unnoise.aliases import Value
from unnoise.errors import UserError

T = TypeVar("T")


@cache
def declared(group: str) -> Mapping[str, EntryPoint]:
    """Name -> the entry point of an installed package in this group; nothing is imported."""
    return {point.name: point for point in entry_points(group=group)}


def loaded(point: EntryPoint) -> Value:
    """What an entry point names.

    Raises:
        UserError: where its package cannot be imported, or lacks it.
    """
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        owner = "" if point.dist is None else f" of {point.dist.name}"
        raise UserError(f"the plug-in {point.name!r} ({point.value}){owner} cannot be loaded: {error}") from error


class Table(MutableMapping[str, T], Generic[T]):
    """Name -> row: those given, and those that entry points of `group` declare.

    adapt: what makes a row of what an entry point names, given its name too.
    """

    def __init__(self, group: str, rows: Mapping[str, T], adapt: Callable[[str, Any], T] | None = None) -> None:
        self.group, self._rows, self._adapt = group, dict(rows), adapt

    def __getitem__(self, name: str) -> T:
        if name in self._rows:
            return self._rows[name]
        found = loaded(declared(self.group)[name])
        self._rows[name] = found if self._adapt is None else self._adapt(name, found)
        return self._rows[name]

    def __setitem__(self, name: str, row: T) -> None:
        self._rows[name] = row

    def __delitem__(self, name: str) -> None:
        del self._rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._rows, *declared(self.group))))

    def __len__(self) -> int:
        return len(set(self))

    def __contains__(self, name: object) -> bool:
        return name in self._rows or name in declared(self.group)


class Rows(Sequence[T], Generic[T]):
    """Objects in order: those given, then those that entry points of `group` name, made of their classes."""

    def __init__(self, group: str, rows: Sequence[T]) -> None:
        self.group, self._given = group, tuple(rows)

    @property
    def _all(self) -> tuple[T, ...]:
        return (*self._given, *_made(self.group))

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self._all[index]

    def __len__(self) -> int:
        return len(self._given) + len(declared(self.group))


@cache
def _made(group: str) -> tuple[Any, ...]:
    return tuple(loaded(point)() for point in declared(group).values())
