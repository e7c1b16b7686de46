"""Request bodies against dataclasses."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from unnoise.errors import UserError
from unnoise.studio.bodies import parse, schema


@dataclass(frozen=True)
class Body:
    name: str
    count: int = 1
    scale: float | None = None
    on: bool = False
    words: list[str] = field(default_factory=list)
    table: dict = field(default_factory=dict)


def test_what_fits_is_taken() -> None:
    raw = {"name": "a\nb", "count": 2, "scale": 3, "on": True, "words": ["x"], "table": {"a": [1, {"b": None}]}}
    assert parse(Body, json.dumps(raw).encode()) == Body("a\nb", 2, 3.0, True, ["x"], {"a": [1, {"b": None}]})
    assert isinstance(parse(Body, b'{"name": "x", "scale": 1}').scale, float)


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"\xff\xfe", b"[]", b"3", b"null", b"[" * 100_000, b"9" * 5000,
        b"{}", b'{"name": 3}', b'{"name": null}', b'{"name": "x", "cout": 2}', b'{"name": "x", "count": true}',
        b'{"name": "x", "count": 1.5}', b'{"name": "x", "count": 1e400}', b'{"name": "x", "scale": NaN}',
        b'{"name": "x", "scale": 1e300}', b'{"name": "x", "on": 1}', b'{"name": "x", "words": [1]}',
        b'{"name": "x", "words": "y"}', b'{"name": "\\ud800"}', b'{"name": "\\u0000"}', b'{"name": "x", "table": []}',
        b'{"name": "x", "table": {"a": {"a": {"a": {"a": {"a": {}}}}}}}', b'{"name": "' + b"x" * 20_000 + b'"}',
        b'{"\\ud800": 1, "name": "x"}',
    ],
)  # fmt: skip
def test_what_does_not_fit_is_an_error_for_the_user(raw: bytes) -> None:
    with pytest.raises(UserError):
        parse(Body, raw)


def test_the_nearest_key_is_named() -> None:
    with pytest.raises(UserError, match="'count'"):
        parse(Body, b'{"name": "x", "cout": 2}')


def test_the_schema_says_the_same() -> None:
    assert schema(Body) == {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "count": {"type": "integer", "default": 1},
            "scale": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None},
            "on": {"type": "boolean", "default": False},
            "words": {"type": "array", "items": {"type": "string"}},
            "table": {"type": "object"},
        },
        "required": ["name"],
        "additionalProperties": False,
    }
