"""Large .npy files that several processes fill: room is taken first, rows are written and never mapped, so that a full
disk is an error that names the file and not a killed process."""

from __future__ import annotations

import errno
import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unnoise.files import naming


@dataclass(frozen=True)
class NpyFile:
    """An .npy of uint8 in the making. offset: of its first row."""

    path: str
    shape: tuple[int, ...]
    offset: int = 0

    @classmethod
    def create(cls, path: Path, shape: tuple[int, ...]) -> NpyFile:
        """A file of zeros with its room on the disk taken. Raises OSError, with the path, where there is not enough."""
        with naming(path), path.open("wb") as file:
            header, offset = _header(shape)
            file.write(header)
            size = offset + int(np.prod(shape, dtype=np.int64))
            file.truncate(size)
            file.flush()
            _take_room(file.fileno(), size)
        return cls(str(path), shape, offset)

    @classmethod
    def found(cls, path: Path, shape: tuple[int, ...]) -> NpyFile | None:
        """A file that `create` made for an array of this shape, whatever its rows are; None where there is none."""
        if not path.is_file():
            return None
        with path.open("rb") as file:
            head = file.read(_header(shape)[1])
        header, offset = _header(shape)
        whole = path.stat().st_size == offset + int(np.prod(shape, dtype=np.int64))
        return cls(str(path), shape, offset) if head == header and whole else None

    @property
    def row_bytes(self) -> int:
        """Of one row."""
        return int(np.prod(self.shape[1:], dtype=np.int64))

    def read(self, first: int, last: int) -> np.ndarray:
        """Rows `first` to before `last`, read and not mapped, so that they do not count as memory afterwards."""
        with open(self.path, "rb") as file:
            file.seek(self.offset + first * self.row_bytes)
            data = file.read((last - first) * self.row_bytes)
        return np.frombuffer(data, np.uint8).reshape(last - first, *self.shape[1:])

    def write(self, first: int, rows: np.ndarray) -> None:
        """Writes rows (n, ...) from row `first` on."""
        if not len(rows):
            return
        with naming(Path(self.path)), open(self.path, "r+b") as file:
            file.seek(self.offset + first * rows[0].nbytes)
            file.write(np.ascontiguousarray(rows).tobytes())


def _header(shape: tuple[int, ...]) -> tuple[bytes, int]:
    """What an .npy of this shape begins with, and its length."""
    stream = io.BytesIO()
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue(), stream.tell()


def _take_room(descriptor: int, size: int) -> None:
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # a file system that cannot
            raise
