"""Many files in order, of which references are made when they are asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import overload

from unnoise.io.tree import FileRef


class FileRefs(Sequence[FileRef], ABC):
    """Files in order: a million references would take more memory than what they are made of."""

    @abstractmethod
    def ref(self, row: int) -> FileRef:
        """The file of a row, 0 <= row < len(self)."""

    @overload
    def __getitem__(self, index: int) -> FileRef: ...
    @overload
    def __getitem__(self, index: slice) -> list[FileRef]: ...
    def __getitem__(self, index: int | slice) -> FileRef | list[FileRef]:
        rows = range(len(self))
        return [self.ref(row) for row in rows[index]] if isinstance(index, slice) else self.ref(rows[index])
