"""MNIST's IDX files (LeCun et al., 1998): a magic number with type and rank, the sizes, big-endian, then the bytes."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unnoise.data.settings import Settings
from unnoise.errors import NoSplit, UserError
from unnoise.io.budget import MAX_MEMBER, Budget
from unnoise.io.tree import DiskFile, Tree
from unnoise.sources.arrays import Arrays, standard
from unnoise.sources.labels import class_table

IMAGE_FILE = re.compile(r"images[^/]*ubyte(\.gz)?$", re.IGNORECASE)
TEST_FILE = re.compile(r"t10k|test", re.IGNORECASE)
MAGIC = (b"\x00\x00\x08\x03", b"\x00\x00\x08\x04")  # unsigned bytes, rank 3 (grey) or 4
GZIP = b"\x1f\x8b"


def is_idx_tree(tree: Tree) -> bool:
    """Whether IDX image files are among the files."""
    return any(IMAGE_FILE.search(name) for name in tree.files)


def is_idx_file(path: Path) -> bool:
    """Whether a file, gzipped or not, starts as IDX images do."""
    with path.open("rb") as file:
        head = file.read(4)
    if head.startswith(GZIP):
        try:
            with gzip.open(path) as file:
                head = file.read(4)
        except (OSError, EOFError, zlib.error):
            return False
    return head in MAGIC


def read_idx_file(path: Path, settings: Settings, work: Path | None) -> Arrays:
    """One IDX file of images, with the labels that lie beside it under the matching name."""
    label = path.with_name(label_name(path.name))
    names = [path.name, label.name] if label.is_file() and label != path else [path.name]
    tree = Tree(str(path), {name: DiskFile(str(path.with_name(name))) for name in names})
    if settings.split != "train":
        raise NoSplit(f"{path} has no split of its own, so no 'test'; give the folder that holds both splits")
    return _read(tree, path.name)


def read_idx_tree(tree: Tree, settings: Settings) -> Arrays:
    """The train or the test images (t10k or test in the name) of a folder, with their labels."""
    images = sorted(name for name in tree.files if IMAGE_FILE.search(name))
    found = [name for name in images if bool(TEST_FILE.search(name)) == (settings.split == "test")]
    if not found:
        raise NoSplit(f"{tree.root} has no {settings.split} images; it has {', '.join(images)}")
    others = [name for name in images if name not in found]
    return _read(tree, found[0], others)


def parse_idx(data: bytes, name: str) -> np.ndarray:
    """The array in the bytes of an IDX file, gzipped or not; raises UserError when it is not whole."""
    if data.startswith(GZIP):
        data = _unzip(data, name)
    if len(data) < 4 or data[:3] != MAGIC[0][:3]:
        raise UserError(f"{name} is not an IDX file of unsigned bytes")
    start = 4 + 4 * data[3]
    if len(data) < start:
        raise UserError(f"{name} ends inside its header")
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", data[3], 4))
    wanted = int(np.prod(shape, dtype=np.float64))
    if len(data) - start != wanted:
        raise UserError(f"{name} announces {'x'.join(map(str, shape))} = {wanted} bytes but holds {len(data) - start}")
    return np.frombuffer(data, np.uint8, wanted, start).reshape(shape)


def _read(tree: Tree, name: str, others: Sequence[str] = ()) -> Arrays:
    """others: the image files of the other split, whose labels are numbered together with these."""
    pixels = standard(parse_idx(tree.read(name), name), name)
    values = _label_values(tree, name)
    if values is None:
        return Arrays(pixels)
    if len(values) != len(pixels):
        raise UserError(f"{name} holds {len(pixels)} images, {label_name(name)} {len(values)} labels")
    numbers, classes = class_table([*values, *(v for other in others for v in _label_values(tree, other) or ())])
    return Arrays(pixels, {"labels": numbers[: len(values)]}, classes)


def _label_values(tree: Tree, name: str) -> list[int] | None:
    partner = label_name(name)
    if partner == name or partner not in tree.files:
        return None
    values = parse_idx(tree.read(partner), partner)
    if values.ndim != 1:
        raise UserError(f"{partner} has {values.ndim} dimensions; labels have one")
    return values.tolist()


def label_name(name: str) -> str:
    """The name of the label file that belongs to an image file."""
    return re.sub(r"idx\d", "idx1", name.replace("images", "labels"))


def _unzip(data: bytes, name: str) -> bytes:
    budget = Budget(name, len(data))
    limit = min(MAX_MEMBER, budget.limit)
    try:
        with gzip.open(io.BytesIO(data)) as file:
            plain = file.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{name} is damaged: {error}") from None
    budget.spend(len(plain))
    if len(plain) > limit:
        raise UserError(f"{name} unpacks to more than {limit} bytes")
    return plain
