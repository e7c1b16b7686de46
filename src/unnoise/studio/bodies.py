"""Request bodies: JSON objects checked against dataclasses, which the OpenAPI document describes too."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from unnoise.aliases import Record
from unnoise.errors import UserError
from unnoise.io.json_file import parse_json
from unnoise.registry import check_keys

T = TypeVar("T")

NAMES = {int: "integer", float: "number", bool: "boolean", str: "string", dict: "object", list: "array"}
LONGEST = 10_000
"""Characters of a text."""
LARGEST = 2**53
"""Of a number: what JavaScript and JSON hold exactly."""


def parse(cls: type[T], raw: bytes) -> T:
    """The dataclass that a JSON object describes.

    Raises:
        UserError: for what is no JSON object, and for a key or a value that `cls` does not have.
    """
    data = parse_json(raw, "the body")
    if not isinstance(data, dict):
        raise UserError(f"the body has to be a JSON object, got {_kind(data)}")
    hints, known = get_type_hints(cls), {field.name: field for field in fields(cls)}  # type: ignore[arg-type]
    check_keys([key if key.isprintable() else "?" for key in data], known, "the body")
    missing = [name for name, field in known.items() if required(field) and name not in data]
    if missing:
        raise UserError(f"the body needs {', '.join(missing)}")
    return cls(**{name: _checked(value, hints[name], name) for name, value in data.items()})


def schema(cls: type) -> Record:
    """The same as JSON schema."""
    hints = get_type_hints(cls)
    properties = {field.name: _schema(hints[field.name], field) for field in fields(cls)}
    needed = [field.name for field in fields(cls) if required(field)]
    return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}


def required(field: Field[Any]) -> bool:
    """Whether a body has to have the key of a field."""
    return field.default is MISSING and field.default_factory is MISSING


def _checked(value: Any, hint: Any, name: str) -> Any:
    allowed = _alternatives(hint)
    if value is None and type(None) in allowed:
        return None
    for kind in allowed:
        if get_origin(kind) is list and isinstance(value, list) and len(value) <= LONGEST:
            return [_checked(item, get_args(kind)[0], f"an item of {name}") for item in value]
        if _fits(value, get_origin(kind) or kind):
            return float(value) if kind is float else value  # type: ignore[arg-type]
    wanted = " or ".join(NAMES.get(get_origin(kind) or kind, "null") for kind in allowed)
    raise UserError(f"{name} has to be {wanted}, got {_kind(value)}")


def _fits(value: Any, kind: Any) -> bool:
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    if isinstance(value, (int, float)):
        whole = isinstance(value, int)
        return abs(value) <= LARGEST and (whole if kind is int else kind is float and math.isfinite(value))
    if isinstance(value, str):
        return kind is str and len(value) <= LONGEST and value.replace("\n", " ").isprintable()
    return kind is dict and isinstance(value, dict) and _plain(value)


def _plain(value: Any, depth: int = 0) -> bool:
    """A table of names, texts and numbers, not deep."""
    if isinstance(value, dict):
        named = all(key.isprintable() and len(key) < 100 for key in value)
        return depth < 4 and named and all(_plain(item, depth + 1) for item in value.values())
    if isinstance(value, list):
        return depth < 4 and len(value) <= LONGEST and all(_plain(item, depth + 1) for item in value)
    return value is None or any(_fits(value, kind) for kind in (int, float, bool, str))


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _kind(value: Any) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return "a number beyond what is taken" if abs(value) > LARGEST or value != value else f"{value}"
    return {dict: "an object", list: "an array", str: "a text", bool: "true or false"}.get(type(value), "null")


def _schema(hint: Any, field: Field[Any]) -> Record:
    kinds = [_type(kind) for kind in _alternatives(hint)]
    found: Record = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    default = {} if field.default is MISSING or isinstance(field.default, Mapping) else {"default": field.default}
    return {**found, **default, **({"description": field.metadata["help"]} if "help" in field.metadata else {})}


def _type(kind: Any) -> Record:
    if get_origin(kind) is list:
        return {"type": "array", "items": _type(get_args(kind)[0])}
    return {"type": NAMES.get(get_origin(kind) or kind, "null")}
