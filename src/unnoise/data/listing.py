"""The image files of one split, with what is known about them, before anything is decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from unnoise.data.decode import ImageFile
from unnoise.data.fields import Values, taken
from unnoise.io.tree import Broken, FileRef


@dataclass(frozen=True)
class Listing:
    """Image files in order of name.

    Attributes:
        names: relative to the source.
        files: the pictures.
        fields: field -> one value per image, of the fields that are small.
        beside: field -> the file of each image, of the spatial fields that are there.
    """

    names: tuple[str, ...]
    files: tuple[FileRef, ...]
    fields: Mapping[str, Values] = field(default_factory=dict)
    beside: Mapping[str, tuple[FileRef, ...]] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    broken: tuple[Broken, ...] = ()
    notes: tuple[str, ...] = ()

    def take(self, rows: Sequence[int] | np.ndarray) -> Listing:
        """The files at `rows`."""
        return replace(
            self,
            names=tuple(self.names[row] for row in rows),
            files=tuple(self.files[row] for row in rows),
            fields={name: taken(values, np.asarray(rows, np.int64)) for name, values in self.fields.items()},
            beside={name: tuple(files[row] for row in rows) for name, files in self.beside.items()},
        )

    def without(self, reasons: Mapping[int, str]) -> Listing:
        """The files without those at the keys of `reasons`, which join `broken`."""
        lost = tuple(Broken(self.names[row], reason) for row, reason in sorted(reasons.items()))
        kept = self.take([row for row in range(len(self.names)) if row not in reasons])
        return replace(kept, broken=self.broken + lost)

    def image_files(self, rows: slice) -> list[ImageFile]:
        """What is decoded for some rows, in order."""
        beside = {name: files[rows] for name, files in self.beside.items()}
        return [
            ImageFile(file, {name: files[row] for name, files in beside.items()})
            for row, file in enumerate(self.files[rows])
        ]
