"""Writing files so that a reader sees the old one or the new one, never half of one, and nobody's file is lost.

What is written goes first to a name of its own beside its destination: drawn at random and created exclusively, so that
a link planted there is never followed and two processes never share it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from unnoise.aliases import Value
from unnoise.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

PARTIAL = ".partial"
FULL = (errno.ENOSPC, errno.EDQUOT) if hasattr(errno, "EDQUOT") else (errno.ENOSPC,)
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
READ_AND_WRITE = 0o666


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder beside `path`; when the block succeeds it is synced and renamed to `path`.

    When the block fails, or the process dies, `path` is as it was. An existing `path` is replaced: it is moved aside
    first and removed when the new one is there. Files get the mode that the umask allows, whoever wrote them.
    """
    temporary, aside = _beside(path), _beside(path)
    with naming(path):
        temporary.mkdir(parents=True)
        try:
            yield temporary
            mode = stat.S_IMODE(temporary.stat().st_mode) & READ_AND_WRITE  # a new folder's mode is 0o777 & ~umask
            for file in temporary.rglob("*"):
                if file.is_file():
                    file.chmod(mode)
                _sync(file)
            _sync(temporary)
            if path.exists():
                path.rename(aside)
            temporary.rename(path)
            _sync(path.parent)
        finally:
            for left in (temporary, aside):
                shutil.rmtree(left, ignore_errors=True)


def write_atomic(path: Path, data: bytes | str) -> None:
    """Writes a file through a synced temporary one. An OSError names `path`."""
    with new_file(path) as stream:
        stream.write(data.encode() if isinstance(data, str) else data)


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """Yields a temporary file beside `path`; when the block succeeds it is synced and renamed to `path`. An OSError
    names `path`."""
    temporary = _beside(path)
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with os.fdopen(os.open(temporary, NEW_FILE, READ_AND_WRITE), "wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def open_to_append(path: Path) -> IO[str]:
    """A text file that whole lines are added to; a link is not followed."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    return os.fdopen(os.open(path, flags, READ_AND_WRITE), "a", buffering=1)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Within, an OSError that does not say which file it is about, or that the disk is full, names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise OSError(error.errno, "the disk is full", str(path)) from error
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def claim(path: Path, *, overwrite: bool = False, inputs: Sequence[Path] = ()) -> Path:
    """The path of an output, when it may be written.

    Args:
        path: the file, or the folder, that is to be written.
        overwrite: whether an existing file may be replaced.
        inputs: what the output is made from, which is never replaced.

    Raises:
        UserError: where the path is one of the inputs, is a folder, or exists and `overwrite` is false. A folder that
            is empty may be written into.
    """
    if not os.path.lexists(path):
        return path
    if any(source.exists() and path.exists() and source.samefile(path) for source in inputs):
        raise UserError(f"{path} is what the result is made from; choose another name for it")
    if path.is_dir():
        if overwrite or not any(path.iterdir()):
            return path
        raise UserError(f"{path} is a folder that holds other files; choose another, or allow it with --overwrite")
    if not overwrite:
        raise UserError(f"{path} exists; choose another name, or allow it to be replaced with --overwrite")
    return path


def ends_in(path: Path, *suffixes: str) -> Path:
    """The path of a file to write; UserError where its name ends in none of the suffixes, and so would mislead."""
    if path.suffix.lower() not in suffixes:
        raise UserError(f"cannot write {path}: its name has to end in {' or '.join(suffixes)}")
    return path


def remove_partial(folder: Path) -> None:
    """Removes what processes that died while writing left in a folder that nobody else writes to now."""
    for left in folder.glob(f".*{PARTIAL}"):
        shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def digest(file: Path) -> str:
    """The BLAKE2b digest of a file, 32 hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def text_digest(text: str) -> str:
    """The same of a text."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Writes a cache file of tensors: a digest, and safetensors."""
    from safetensors.torch import save

    data = save(tensors)
    write_atomic(path, hashlib.sha256(data).digest() + data)


def read_tensors(path: Path) -> dict[str, Tensor] | None:
    """The tensors of `write_tensors`; None where the file is missing, or is not what was written."""
    from safetensors.torch import load

    if not path.is_file():
        return None
    stored = path.read_bytes()
    size = hashlib.sha256().digest_size
    return load(stored[size:]) if hashlib.sha256(stored[size:]).digest() == stored[:size] else None


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}{PARTIAL}")


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def finite(value: Value) -> Value:
    """A JSON value with None for every number that is infinite or not a number, which JSON cannot write."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_text(value: object, indent: int | None = None) -> str:
    """Valid JSON (RFC 8259), with null for numbers that are not finite."""
    return json.dumps(finite(value), indent=indent, allow_nan=False)
