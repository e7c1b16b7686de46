"""Writing files so that a reader sees the old one or the new one, never half of one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
