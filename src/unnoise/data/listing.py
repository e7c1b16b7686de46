"""The image files of one split, with what is known about them, before anything is decoded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from unnoise.data.decode import ImageFile
from unnoise.data.fields import Values, taken
from unnoise.io.file_refs import FileRefs
from unnoise.io.tree import Broken, FileRef


@dataclass(frozen=True)
class Picked(FileRefs):
    """The files at `rows` (N,) of others, looked up when they are asked for."""

    files: Sequence[FileRef]
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def ref(self, row: int) -> FileRef:
        return self.files[int(self.rows[row])]


@dataclass(frozen=True)
class Named(FileRefs):
    """Files of a tree by their names, in order, looked up when they are asked for."""

    files: Mapping[str, FileRef]
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.names)

    def ref(self, row: int) -> FileRef:
        return self.files[self.names[row]]


@dataclass(frozen=True)
class Listing:
    """Image files in order of name.

    Attributes:
        names: relative to the source.
        files: the pictures.
        fields: field -> one value per image, of the fields that are small.
        beside: field -> the file of each image, of the spatial fields that are there.
        shards: the first image of each part whose images lie one behind the other on the disk; () where each is a file
            of its own.
    """

    names: tuple[str, ...]
    files: Sequence[FileRef]
    fields: Mapping[str, Values] = field(default_factory=dict)
    beside: Mapping[str, Sequence[FileRef]] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    broken: tuple[Broken, ...] = ()
    notes: tuple[str, ...] = ()
    shards: tuple[int, ...] = ()

    def take(self, rows: Sequence[int] | np.ndarray) -> Listing:
        """The files at `rows`."""
        firsts = np.unique(np.searchsorted(rows, self.shards))
        return replace(
            self,
            shards=tuple(firsts[firsts < len(rows)].tolist()),
            names=tuple(self.names[row] for row in rows),
            files=Picked(self.files, np.asarray(rows, np.int64)),
            fields={name: taken(values, np.asarray(rows, np.int64)) for name, values in self.fields.items()},
            beside={name: Picked(files, np.asarray(rows, np.int64)) for name, files in self.beside.items()},
        )

    def without(self, reasons: Mapping[int, str]) -> Listing:
        """The files without those at the keys of `reasons`, which join `broken`."""
        lost = tuple(Broken(self.names[row], reason) for row, reason in sorted(reasons.items()))
        kept = self.take([row for row in range(len(self.names)) if row not in reasons])
        return replace(kept, broken=self.broken + lost)

    def files_at(self, rows: Iterable[int]) -> list[ImageFile]:
        """What is decoded for some rows."""
        return [ImageFile(self.files[row], {name: files[row] for name, files in self.beside.items()}) for row in rows]
