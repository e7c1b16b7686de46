"""A packed set of images: read-only uint8 arrays, usually memory-mapped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from unnoise.data.blocks import blocks
from unnoise.data.fields import Values, present, taken
from unnoise.data.streamed import Streamed
from unnoise.io.tree import Broken

if TYPE_CHECKING:
    import torch

    from unnoise.data.batch import Batch


@dataclass(frozen=True, eq=False)
class Images:
    """Images and what is known about them.

    Attributes:
        pixels: (N, C, H, W) uint8; or a `Streamed`, which gives batches and blocks of rows as an array does.
        fields: what the images carry, by the names of `fields.FIELDS`, a row or a text for each.
        classes: the names of the classes, () without labels.
        names: of the files they come from, relative to the source; () where they come from none.
        shards: the first image of each shard, where they are read from shards; () where any order is as good.
        latents: (N, c, h, w) float32, what a codec makes of them, kept so that they are not encoded again.
        noise: (N, c, h, w) float32, what the latents were drawn from by a model, where they were.
        scale: (N,) float32, of the guidance that each was drawn with, where it was not the same for all.
        fingerprint: hex hash of pixels, classes and the fields that are `Field.hashed`.
        source: what the user called it.
        broken: files that were left out.
        sizes: original (width, height) -> count.
        notes: what else the user should know about how the source was read.
    """

    pixels: np.ndarray
    fields: Mapping[str, Values] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    latents: np.ndarray | None = None
    noise: np.ndarray | None = None
    scale: np.ndarray | None = None
    fingerprint: str = ""
    source: str = "array"
    broken: tuple[Broken, ...] = ()
    sizes: dict[tuple[int, int], int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    shards: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        assert (self.pixels.ndim, self.pixels.dtype) == (4, np.uint8)
        parts = (*self.fields.values(), *([self.names] if self.names else []))
        assert all(len(part) == len(self) for part in parts)
        assert all(made is None or len(made) == len(self) for made in (self.latents, self.noise, self.scale))
        if not self.fingerprint:
            object.__setattr__(self, "fingerprint", _fingerprint(self))
        object.__setattr__(self, "pixels", _read_only(self.pixels))
        object.__setattr__(self, "fields", {name: _read_only(values) for name, values in self.fields.items()})

    @property
    def labels(self) -> np.ndarray | None:
        """(N,) int64, or None."""
        return self.fields.get("labels")  # type: ignore[return-value]

    @property
    def captions(self) -> list[str] | None:
        """A text per image, or None."""
        return self.fields.get("captions")  # type: ignore[return-value]

    @property
    def maps(self) -> np.ndarray | None:
        """(N, H, W) uint8 classes, or None."""
        return self.fields.get("maps")  # type: ignore[return-value]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.pixels.shape[1:]

    @property
    def buckets(self) -> tuple[Images, ...]:
        """The sets of one shape that it consists of: itself."""
        return (self,)

    @property
    def streams(self) -> bool:
        """Whether pictures are decoded when they are asked for."""
        return isinstance(self.pixels, Streamed)

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, indices: Sequence[int] | np.ndarray, device: str | torch.device = "cpu") -> Batch:
        """The images at `indices`, exactly as they are, with what is known about them."""
        from unnoise.data.batch import Gather

        return Gather(self, device).batch(np.asarray(indices, np.int64))

    def subset(self, indices: Sequence[int] | np.ndarray) -> Images:
        """The images at `indices`, in that order; a rising run of neighbours is a view, anything else a copy."""
        rows = np.asarray(indices, np.int64)
        run = slice(int(rows[0]), int(rows[0]) + len(rows)) if len(rows) else slice(0, 0)
        chosen = run if np.array_equal(rows, np.arange(len(self))[run]) else rows
        return replace(
            self,
            pixels=self.pixels.taken(rows) if isinstance(self.pixels, Streamed) else self.pixels[chosen],
            shards=(),
            fields={name: taken(values, chosen) for name, values in self.fields.items()},
            names=tuple(self.names[row] for row in rows) if self.names else (),
            latents=None if self.latents is None else self.latents[chosen],
            noise=None if self.noise is None else self.noise[chosen],
            scale=None if self.scale is None else self.scale[chosen],
            fingerprint=hashlib.sha256(bytes.fromhex(self.fingerprint) + rows.tobytes()).hexdigest(),
            broken=(),
            sizes={},
        )


def _read_only(values: Values) -> Values:
    if isinstance(values, np.ndarray):
        values = values.view()
        values.flags.writeable = False
    return values


def _fingerprint(images: Images) -> str:
    """Same pixels, fields and classes: same fingerprint, wherever and from whatever they were read.

    The order of what is hashed must not change: runs keep the fingerprint of their data.
    """
    digest = hashlib.sha256(json.dumps([images.shape, images.classes, images.captions]).encode())
    arrays = [values for _, values in present(images.fields) if isinstance(values, np.ndarray)]
    for part in (images.pixels, *arrays):
        for block in blocks(len(part), part[:1].nbytes):
            digest.update(np.ascontiguousarray(part[block]).data)
    texts = [(kind, values) for kind, values in present(images.fields) if isinstance(values, list)]
    for kind, values in texts:
        if kind.name != "captions" and kind.hashed:
            digest.update(json.dumps([kind.name, values]).encode())
    return digest.hexdigest()
