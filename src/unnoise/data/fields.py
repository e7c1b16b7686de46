"""The one table of what an image may carry beside its pixels, and of every way in which a source brings it.

A new kind of condition is a class here and a row in FIELDS; archives, arrays, folders, caches, batches and reports read
this table. Imports no torch: worker processes load it.
"""

from __future__ import annotations

import io
from abc import ABC
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from unnoise.aliases import Spec, Value
from unnoise.errors import UserError
from unnoise.io.geometry import fit
from unnoise.io.picture_reader import load
from unnoise.io.tree import FileRef

Values = np.ndarray | list[str]
"""One row, or one text, per image."""


class Field(ABC):
    """One thing that an image may carry.

    Attributes:
        name: what all images' values are called together: 'maps'.
        condition: the key of a batch's conditions: 'map'.
        title: for reports.
        array_keys: what it is called in an .npz.
        metadata_keys: what it is called in metadata.jsonl and metadata.csv.
        sidecar: how the file beside an image ends that holds it: '.mask.png' for photo.mask.png beside photo.jpg.
        folder_array: the .npy in a folder that has a row for each image below it, in order of name.
        dtype: as it is stored; None for texts.
        batch_dtype: as a batch has it.
        spatial: whether it lies on the image's pixels, and so is cropped, resized and mirrored with them.
        missing: what an image has where others have a value; None where such an image is left out.
        hashed: whether the fingerprint of a set depends on it.
    """

    name: ClassVar[str]
    condition: ClassVar[str]
    title: ClassVar[str]
    array_keys: ClassVar[tuple[str, ...]]
    metadata_keys: ClassVar[tuple[str, ...]] = ()
    sidecar: ClassVar[str] = ""
    folder_array: ClassVar[str] = ""
    dtype: ClassVar[type[np.generic] | None] = None
    batch_dtype: ClassVar[type[np.generic] | None] = None
    spatial: ClassVar[bool] = False
    missing: ClassVar[Any] = None
    hashed: ClassVar[bool] = True

    def from_array(self, raw: np.ndarray, where: str, size: tuple[int, int]) -> Value:
        """The values in an array that has a row per image; `size` (H, W) of the images. Raises UserError."""
        return raw

    def from_metadata(self, value: Value) -> Value:
        """One image's value in a line of metadata; raises UserError."""
        return value

    def from_sidecar(self, file: FileRef) -> Value:
        """One image's value in the file beside it; raises UserError. For fields that are not spatial."""
        raise NotImplementedError

    def decode(self, file: FileRef, size: tuple[int, int], height: int, width: int) -> np.ndarray:
        """(height, width): a spatial field's file beside an image of `size` (width, height). Raises UserError."""
        raise NotImplementedError

    def stacked(self, values: Sequence[Value]) -> Values:
        """The images' values as they are stored. Raises UserError where they do not go together."""
        return [str(value) for value in values] if self.dtype is None else np.array(values, self.dtype)


class Labels(Field):
    """The class. Its values are whatever the source calls them, until `labels.class_table` numbers them."""

    name = "labels"
    condition = "label"
    title = "labels"
    array_keys = ("labels", "label", "y", "targets", "arr_1")
    metadata_keys = ("label",)
    dtype = batch_dtype = np.int64

    def from_array(self, raw: np.ndarray, where: str, size: tuple[int, int]) -> list[Value]:
        if raw.size != len(raw):
            raise UserError(f"{where} has shape {raw.shape}; labels are one value per image")
        if raw.dtype.kind == "f" and not np.isfinite(raw).all():
            raise UserError(f"{where} has labels that are not finite")
        return raw.reshape(-1).tolist()

    def from_metadata(self, value: Value) -> str | int:
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            raise UserError("its label is neither text nor a whole number")
        return value


class Captions(Field):
    """A text; an image without one has the empty text, which stands for 'no text'."""

    name = "captions"
    condition = "caption"
    title = "captions"
    array_keys = ("captions", "texts")
    metadata_keys = ("text", "caption")
    sidecar = ".txt"
    missing = ""

    def from_array(self, raw: np.ndarray, where: str, size: tuple[int, int]) -> list[str]:
        if raw.ndim != 1 or raw.dtype.kind not in "US":
            raise UserError(f"{where} has shape {raw.shape} of {raw.dtype}; captions are one text per image")
        return [text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text) for text in raw]

    def from_metadata(self, value: Value) -> str:
        if not isinstance(value, str):
            raise UserError("its caption is no text")
        return value

    def from_sidecar(self, file: FileRef) -> str:
        with file.open() as stream:
            return " ".join(stream.read().decode("utf-8-sig", "replace").split())


class Maps(Field):
    """A segmentation map: a class 0..255 at every pixel."""

    name = "maps"
    condition = "map"
    title = "segmentation maps"
    array_keys = ("maps", "masks")
    sidecar = ".mask.png"
    dtype = np.uint8
    batch_dtype = np.int64
    spatial = True

    def from_array(self, raw: np.ndarray, where: str, size: tuple[int, int]) -> np.ndarray:
        if raw.shape[1:] != size or raw.dtype.kind not in "iub" or (raw.size and not 0 <= raw.min() <= raw.max() < 256):
            raise UserError(f"{where}: maps must be (N, H, W) integers in 0..255, as large as the images")
        return raw.astype(np.uint8)

    def decode(self, file: FileRef, size: tuple[int, int], height: int, width: int) -> np.ndarray:
        mask = load(file)
        if mask.size != size:
            raise UserError(f"its mask is {mask.width}x{mask.height}, the image {size[0]}x{size[1]}")
        return self.from_picture(mask, height, width)

    def from_picture(self, mask: Image.Image, height: int, width: int) -> np.ndarray:
        """(height, width) uint8 of a grey or palette picture of any size; a palette's indices are the classes."""
        if mask.mode not in ("1", "L", "P"):
            raise UserError(f"its mask has mode {mask.mode}, not grey or palette")
        classes = Image.fromarray(np.asarray(mask).astype(np.uint8))
        return np.asarray(fit(classes, height, width, Image.Resampling.NEAREST))


class Vectors(Field):
    """Any numbers: an embedding of a sound, a row of measurements. All images have as many."""

    name = "vectors"
    condition = "vector"
    title = "vectors"
    array_keys = ("vectors", "vector")
    metadata_keys = ("vector",)
    sidecar = ".npy"
    folder_array = "vectors.npy"
    dtype = batch_dtype = np.float32

    def from_array(self, raw: np.ndarray, where: str, size: tuple[int, int]) -> np.ndarray:
        if raw.ndim != 2 or not raw.shape[1] or raw.dtype.kind not in "fiub":
            raise UserError(f"{where} has shape {raw.shape} of {raw.dtype}; vectors are a row of numbers per image")
        with np.errstate(over="ignore"):
            rows = raw.astype(np.float32)
        if not np.isfinite(rows).all():
            raise UserError(f"{where} has numbers that are not finite")
        return rows

    def from_metadata(self, value: Value) -> np.ndarray:
        numbers = isinstance(value, list) and all(type(item) in (int, float) for item in value)
        return self._row(value if numbers else ())

    def from_sidecar(self, file: FileRef) -> np.ndarray:
        with file.open() as stream:
            return self._row(read_array(stream.read()))

    def _row(self, values: Any) -> np.ndarray:
        try:
            row = np.squeeze(np.atleast_1d(np.asarray(values, np.float64)).astype(np.float32))
        except (ValueError, OverflowError, TypeError):
            raise UserError("its vector is no list of numbers") from None
        row = np.atleast_1d(row)
        if row.ndim != 1 or not row.size or not np.isfinite(row).all():
            raise UserError("its vector is no list of finite numbers")
        return row

    def stacked(self, values: Sequence[Value]) -> np.ndarray:
        widths = sorted({len(value) for value in values})
        if len(widths) > 1:
            raise UserError(f"vectors must have one length; these have {', '.join(map(str, widths[:5]))}")
        return np.stack(values) if len(values) else np.empty((0, 1), np.float32)


class Groups(Field):
    """What an image belongs to, such as a patient or a film: no group is split between training and held-out images.
    An image without one stands alone."""

    name = "groups"
    condition = "group"
    title = "groups"
    array_keys = ("groups",)
    metadata_keys = ("group",)
    missing = ""
    hashed = False  # what is learned does not depend on it, and runs of before know no groups

    def from_array(self, raw: np.ndarray, where: str, size: tuple[int, int]) -> list[str]:
        if raw.ndim != 1 or raw.dtype.kind not in "USiu":
            raise UserError(f"{where} has shape {raw.shape} of {raw.dtype}; groups are one text or number per image")
        return [str(value) for value in raw.tolist()]

    def from_metadata(self, value: Value) -> str:
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            raise UserError("its group is neither text nor a whole number")
        return str(value)


FIELDS: dict[str, Field] = {field.name: field for field in (Labels(), Captions(), Maps(), Vectors(), Groups())}
"""By name, in the order in which fingerprints and reports read them."""


def taken(values: Values, rows: Sequence[int] | np.ndarray | slice) -> Values:
    """The values at `rows`."""
    if isinstance(values, np.ndarray):
        return values[rows]
    return values[rows] if isinstance(rows, slice) else [values[row] for row in rows]


def present(fields: Spec) -> Iterable[tuple[Field, Value]]:
    """(field, values) of those that are there, in the table's order."""
    return [(field, fields[name]) for name, field in FIELDS.items() if fields.get(name) is not None]


def read_array(data: bytes) -> np.ndarray:
    """The array in the bytes of an .npy file; raises UserError for damage and for objects."""
    stream = io.BytesIO(data)
    try:
        check_header(stream, len(data))
        stream.seek(0)
        return np.lib.format.read_array(stream, allow_pickle=False)
    except UserError:
        raise
    except Exception as error:  # numpy's parser of headers raises anything on damage
        raise UserError(f"not an .npy file: {' '.join(str(error).split())[:100]}") from None


def check_header(stream: Any, size: int) -> None:
    """Refuses, before anything is allocated, an .npy whose header announces more than the file's `size` in bytes."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    announced = dtype.itemsize
    for side in shape:
        announced *= side
    if dtype.hasobject or min(shape, default=0) < 0 or announced > size:
        raise UserError(f"it announces {'x'.join(map(str, shape)) or 1} values of {dtype} in {size} bytes")
