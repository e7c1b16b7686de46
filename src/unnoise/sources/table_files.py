"""Files of tables, as Hugging Face's datasets have them: parquet, and Arrow streams that `save_to_disk` writes.

pyarrow, the extra `parquet`, reads them: a parquet file one row group at a time, an Arrow file through a memory map.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from unnoise.aliases import Value
from unnoise.errors import DamagedSource, UserError
from unnoise.io.budget import MAX_MEMBER, Budget
from unnoise.io.file_refs import FileRefs
from unnoise.io.tree import FileRef

if TYPE_CHECKING:
    import pyarrow as pa  # pyright: ignore[reportMissingImports]

PARQUET, ARROW = ".parquet", ".arrow"
EXTRA = "parquet and arrow files need the extra: pip install 'unnoise[parquet]'"
BYTES = "bytes"
"""The part of a picture's value that holds its file, beside `path`."""


@dataclass(frozen=True)
class TableFile:
    """What a file of a table holds, as far as its head tells.

    Attributes:
        path: of the file.
        columns: name -> type, as Arrow writes it.
        groups: the rows of each part that is read at once.
        features: what Hugging Face's datasets say of the columns.
    """

    path: str
    columns: dict[str, str]
    groups: tuple[int, ...]
    features: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cell:
    """The picture in a row of a part of a table."""

    path: str
    column: str
    group: int
    row: int
    name: str

    def open(self) -> BinaryIO:
        data = _group(self.path, self.column, self.group)[self.row].as_py()
        if data is None:
            raise UserError("the table has a path in place of the picture")
        if len(data) > MAX_MEMBER:
            raise UserError(f"{len(data)} bytes, more than the limit of {MAX_MEMBER}")
        return io.BytesIO(data)


@dataclass(frozen=True)
class Cells(FileRefs):
    """The pictures of several tables, one behind the other.

    paths: of the tables; file, group, row: (N,) of each picture.
    """

    paths: tuple[str, ...]
    column: str
    names: Sequence[str]
    file: np.ndarray
    group: np.ndarray
    row: np.ndarray

    @classmethod
    def of(cls, files: Sequence[TableFile], column: str, names: Sequence[str]) -> Cells:
        """All rows of the files."""
        counts = [count for file in files for count in file.groups]
        numbers = [number for number, file in enumerate(files) for _ in file.groups]
        groups = [group for file in files for group in range(len(file.groups))]
        starts = np.repeat(np.cumsum([0, *counts[:-1]]), counts)
        rows = np.arange(sum(counts)) - starts
        paths = tuple(file.path for file in files)
        return cls(paths, column, names, np.repeat(numbers, counts), np.repeat(groups, counts), rows)

    def __len__(self) -> int:
        return len(self.names)

    def ref(self, row: int) -> FileRef:
        path, group = self.paths[int(self.file[row])], int(self.group[row])
        return Cell(path, self.column, group, int(self.row[row]), self.names[row])


def read_head(path: Path) -> TableFile:
    """The head of a file. Raises UserError for damage, and for parts that are too large to be read at once."""
    with told(path):
        if path.suffix.lower() == ARROW:
            table = _arrow(str(path))
            return _head(path, table.schema, (table.num_rows,))
        return _parquet_head(path)


def _parquet_head(path: Path) -> TableFile:
    file = _parquet(str(path))
    budget = Budget(str(path), path.stat().st_size)
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    for group in groups:
        budget.spend(group.total_byte_size, group.num_rows)
        if group.total_byte_size > MAX_MEMBER:
            raise UserError(
                f"{path} has a row group of {group.total_byte_size} bytes, more than the limit of {MAX_MEMBER}: write "
                "it with smaller ones, such as row_group_size=1000"
            )
    return _head(path, file.schema_arrow, tuple(group.num_rows for group in groups))


def _head(path: Path, schema: pa.Schema, groups: tuple[int, ...]) -> TableFile:
    columns = {name: str(schema.field(name).type) for name in schema.names}
    text = (schema.metadata or {}).get(b"huggingface", b"{}")
    try:
        features = json.loads(text)["info"]["features"]
    except (ValueError, KeyError, TypeError):
        features = {}
    return TableFile(str(path), columns, groups, features if isinstance(features, dict) else {})


def values(file: TableFile, column: str) -> list[Value]:
    """The values of a column that is small."""
    with told(Path(file.path)):
        if file.path.lower().endswith(ARROW):
            return _arrow(file.path)[column].to_pylist()
        parts = _parquet(file.path).iter_batches(columns=[column])
        return [value for part in parts for value in part.column(0).to_pylist()]


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Within, what pyarrow raises becomes an error that speaks of the file."""
    try:
        yield
    except ImportError as error:
        raise UserError(EXTRA) from error
    except UserError:
        raise
    except (OSError, ValueError) as error:  # pyarrow's errors are among them
        raise DamagedSource(f"{path} cannot be read as a table: {' '.join(str(error).split())[:200]}") from None


@lru_cache(maxsize=2)
def _group(path: str, column: str, group: int) -> pa.Array | pa.ChunkedArray:
    """The files of the pictures in a part, kept for the rows that come next."""
    with told(Path(path)):
        arrow = path.lower().endswith(ARROW)
        found = _arrow(path)[column] if arrow else _parquet(path).read_row_group(group, columns=[column])[column]
        return _bytes_of(found)


def _bytes_of(column: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    import pyarrow as pa  # pyright: ignore[reportMissingImports]
    from pyarrow import compute  # pyright: ignore[reportMissingImports]

    if not pa.types.is_struct(column.type):
        return column
    return compute.struct_field(column, BYTES)  # pyright: ignore[reportAttributeAccessIssue]


def _parquet(path: str) -> Any:
    from pyarrow import parquet  # pyright: ignore[reportMissingImports]

    return parquet.ParquetFile(path, memory_map=True)


@lru_cache(maxsize=8)
def _arrow(path: str) -> pa.Table:
    """An Arrow stream, mapped: its pages are read when they are looked at."""
    import pyarrow as pa  # pyright: ignore[reportMissingImports]

    return pa.ipc.open_stream(pa.memory_map(path)).read_all()
