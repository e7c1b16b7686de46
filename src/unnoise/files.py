"""Writing files so that a reader sees the old one or the new one, never half of one."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unnoise.errors import UserError


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder beside `path`; when the block succeeds it is synced and renamed to `path`.

    When the block fails, or the process dies, `path` is as it was. An existing `path` is replaced.
    """
    temporary = path.with_name(f".{path.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        for file in (*temporary.rglob("*"), temporary):
            _sync(file)
        shutil.rmtree(path, ignore_errors=True)
        temporary.rename(path)
        _sync(path.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def write_atomic(path: Path, data: bytes | str) -> None:
    """Writes a file through a synced temporary one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)
        _sync(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def ends_in(path: Path, *suffixes: str) -> Path:
    """The path of a file to write; UserError where its name ends in none of the suffixes, and so would mislead."""
    if path.suffix.lower() not in suffixes:
        raise UserError(f"cannot write {path}: its name has to end in {' or '.join(suffixes)}")
    return path


def finite(value: Any) -> Any:
    """A JSON value with None for every number that is infinite or not a number, which JSON cannot write."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_text(value: object, indent: int | None = None) -> str:
    """Valid JSON (RFC 8259), with null for numbers that are not finite."""
    return json.dumps(finite(value), indent=indent, allow_nan=False)
