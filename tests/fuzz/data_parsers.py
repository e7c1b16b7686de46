"""One function per parser of the data package: bytes in; nothing, or a UserError, out. Anything else is a bug.

`tests/fuzz/test_data_parsers.py` runs them briefly with hypothesis; a longer run takes them from PARSERS.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from unnoise.data.decode import ImageFile, Target, decode_chunk, probe_chunk
from unnoise.data.fields import FIELDS, read_array
from unnoise.errors import UserError
from unnoise.io.masks import marked
from unnoise.io.npy_file import NpyFile
from unnoise.io.picture_reader import read_picture
from unnoise.io.tree import Tree
from unnoise.sources.archive import tar_tree, zip_tree
from unnoise.sources.folder import list_images
from unnoise.sources.idx import parse_idx
from unnoise.sources.metadata import read_metadata
from unnoise.sources.open import open_source


class Memory:
    """A file in memory."""

    def __init__(self, data: bytes, name: str) -> None:
        self.data, self.name = data, name

    def open(self) -> io.BytesIO:
        return io.BytesIO(self.data)


def picture(data: bytes) -> None:
    """Any picture file, as training and as editing read it."""
    file = Memory(data, "picture.tga")
    probe_chunk([file])  # type: ignore[list-item]
    with tempfile.TemporaryDirectory() as folder:
        target = Target(NpyFile.create(Path(folder) / "pixels.npy", (1, 3, 8, 8)), {})
        decode_chunk(0, [ImageFile(file, {})], target)  # type: ignore[arg-type]
    read_picture(file, 3)  # type: ignore[arg-type]


def mask(data: bytes) -> None:
    """A mask for an edit."""
    marked(read_picture(Memory(data, "mask.png"), None), "mask.png")  # type: ignore[arg-type]


def metadata_jsonl(data: bytes) -> None:
    """metadata.jsonl beside one image."""
    read_metadata(Tree("tree", {"a.png": Memory(b"", "a.png"), "metadata.jsonl": Memory(data, "metadata.jsonl")}))  # type: ignore[dict-item]


def metadata_csv(data: bytes) -> None:
    """metadata.csv beside one image."""
    read_metadata(Tree("tree", {"a.png": Memory(b"", "a.png"), "metadata.csv": Memory(data, "metadata.csv")}))  # type: ignore[dict-item]


def beside(data: bytes) -> None:
    """Every kind of file beside one image."""
    names = [f"a{field.sidecar}" for field in FIELDS.values() if field.sidecar and not field.spatial]
    files = {name: Memory(data, name) for name in ("a.png", "vectors.npy", *names)}
    list_images(Tree("tree", files), "train")  # type: ignore[arg-type]


def idx(data: bytes) -> None:
    """An IDX file, gzipped or not."""
    parse_idx(data, "idx")


def npy(data: bytes) -> None:
    """The bytes of an .npy."""
    assert isinstance(read_array(data), np.ndarray)


def zip_file(data: bytes) -> None:
    """A zip, its members read."""
    _with_file(data, "set.zip", lambda path: [zip_tree(path).read(name) for name in zip_tree(path).files])


def tar_file(data: bytes) -> None:
    """A tar, compressed or not."""
    _with_file(data, "set.tar.gz", lambda path: tar_tree(path, path.parent))


def source(data: bytes) -> None:
    """A file of any kind, as `unnoise train FILE` opens it."""
    _with_file(data, "source", lambda path: open_source(path, cache=path.parent / "cache", progress=False))


def _with_file(data: bytes, name: str, use: Callable[[Path], object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        use(path)


PARSERS: dict[str, Callable[[bytes], None]] = {
    function.__name__: function
    for function in (picture, mask, metadata_jsonl, metadata_csv, beside, idx, npy, zip_file, tar_file, source)
}


def quiet(parser: Callable[[bytes], None], data: bytes) -> bool:
    """Runs a parser; whether it took the bytes. Anything but a UserError comes through."""
    try:
        parser(data)
    except UserError:
        return False
    return True
