"""Large .npy files that several processes fill: room is taken first, rows are written and never mapped, so that a full
disk is an error that names the file and not a killed process."""

from __future__ import annotations

import errno
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
            header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            offset = file.tell()
            size = offset + int(np.prod(shape, dtype=np.int64))
            file.truncate(size)
            file.flush()
            _take_room(file.fileno(), size)
        return cls(str(path), shape, offset)

    def write(self, first: int, rows: np.ndarray) -> None:
        """Writes rows (n, ...) from row `first` on."""
        if not len(rows):
            return
        with naming(Path(self.path)), open(self.path, "r+b") as file:
            file.seek(self.offset + first * rows[0].nbytes)
            file.write(np.ascontiguousarray(rows).tobytes())


def _take_room(descriptor: int, size: int) -> None:
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # a file system that cannot
            raise
