"""Objects from specs and specs from objects: the constructor is the schema.

A spec is a table such as `{kind = "ddim", steps = 50}`. `kind` is a name in a table that stands beside the classes;
every other key is a keyword of the class's constructor. Constructors store their arguments unchanged, so `spec_of`
reads a spec back from an object.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, is_dataclass
from difflib import get_close_matches
from typing import Any, TypeVar, get_type_hints

from unnoise.aliases import Record, Spec, Value
from unnoise.errors import UserError
from unnoise.registry.annotations import fitted

T = TypeVar("T")

REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Option:
    """One keyword of a constructor: its name, annotation and default (`REQUIRED` when it has none)."""

    name: str
    type: Any
    default: Any


def suggest(name: str, allowed: Iterable[str]) -> str:
    """The end of an error message: ', did you mean X?' where a near name exists, and what is allowed."""
    allowed = sorted(allowed)
    near = get_close_matches(name, allowed, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}allowed: {', '.join(allowed)}"


def lookup(table: Mapping[str, T], name: str, what: str) -> T:
    """The entry of `table` called `name`; UserError names the nearest when there is none."""
    if not isinstance(name, str) or name not in table:
        raise UserError(f"unknown {what} {name!r}; {suggest(str(name), table)}")
    return table[name]


def describe(cls: type, bounds: bool = False) -> list[Option]:
    """The keywords that the constructor of `cls` takes, in order: the help, the tables and the forms read this.

    bounds: whether types are given with the `Bounds` that they are annotated with.
    """
    # the fields of a dataclass are annotated in the modules of its bases, which its own __init__ knows nothing of
    hints = get_type_hints(cls if is_dataclass(cls) else cls.__init__, include_extras=bounds)
    parameters = list(inspect.signature(cls).parameters.values())
    return [Option(p.name, hints.get(p.name, Any), p.default) for p in parameters]


def check_keys(given: Iterable[str], allowed: Iterable[str], where: str) -> None:
    """Raises UserError naming the first key of `given` that is not allowed in `where`, and the nearest that is."""
    allowed = list(allowed)
    for key in given:
        if key not in allowed:
            raise UserError(f"unknown key {key!r} in {where}; {suggest(key, allowed)}")


def build(table: Mapping[str, type[T]], spec: str | Spec, what: str, **given: Any) -> T:
    """Builds the object a spec describes.

    table: name -> class. spec: a name, or a mapping with `kind` and keywords. what: the noun, for messages.
    given: what the caller knows and a spec cannot (shapes found from the data); a spec may not set these.
    Raises UserError for an unknown kind, an unknown key or a missing one.
    """
    spec = {"kind": spec} if isinstance(spec, str) else spec
    if not isinstance(spec, Mapping):
        raise UserError(f"{what} must be a name or a table with a kind, got {spec!r}")
    spec = dict(spec)
    if not isinstance(spec.get("kind"), str):
        raise UserError(f"{what} needs a kind; allowed: {', '.join(sorted(table))}")
    kind = spec.pop("kind")
    cls = lookup(table, kind, what)
    where = f"{what} {kind!r}"
    options = [option.name for option in describe(cls)]
    arguments = arguments_of(cls, spec, where, [name for name in options if name in given])
    return cls(**arguments, **{name: value for name, value in given.items() if name in options})


def arguments_of(cls: type, given: Spec, where: str, elsewhere: Collection[str] = ()) -> Record:
    """The keyword arguments of a constructor, read from a configuration.

    Args:
        cls: whose constructor it is: its names, annotations and bounds are what is allowed.
        given: keyword -> value, as TOML or JSON give them.
        where: what is configured, for messages: "sampler 'ddim'", '[train]'.
        elsewhere: keywords that the caller fills in, which a configuration may not set.

    Returns:
        The values given, lists as tuples and whole floats as integers where the annotations say so.

    Raises:
        UserError: for an unknown keyword, a missing one, and a value of another type or out of bounds.
    """
    options = {option.name: option for option in describe(cls, bounds=True) if option.name not in elsewhere}
    check_keys(given, options, where)
    missing = [name for name, option in options.items() if option.default is REQUIRED and name not in given]
    if missing:
        raise UserError(f"{where} needs {', '.join(missing)}")
    return {name: _frozen(fitted(value, options[name].type, f"{name} of {where}")) for name, value in given.items()}


def spec_of(table: Mapping[str, type], obj: Any, without: Iterable[str] = ()) -> Record:
    """The spec that builds `obj`: its kind and every constructor argument, defaults included, except `without`."""
    kinds = [name for name, cls in table.items() if type(obj) is cls]
    assert kinds, f"{type(obj).__name__} is in no table"
    skipped = set(without)
    arguments = {o.name: _stored(obj, o.name) for o in describe(type(obj)) if o.name not in skipped}
    return {"kind": kinds[0], **arguments}


def _stored(obj: Any, name: str) -> Any:
    if not hasattr(obj, name):
        kind = type(obj).__name__
        raise UserError(f"{kind} must keep its argument {name} as self.{name}, so that a run can build it again")
    return getattr(obj, name)


def _frozen(value: Value) -> Value:
    return tuple(value) if isinstance(value, list) else value
