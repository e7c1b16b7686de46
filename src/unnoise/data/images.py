"""A packed set of images: read-only uint8 arrays, usually memory-mapped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from unnoise.data.tree import Broken

if TYPE_CHECKING:
    import torch

    from unnoise.data.batch import Batch

BLOCK = 1 << 24  # bytes hashed or copied at a time


@dataclass(frozen=True, eq=False)
class Images:
    """pixels (N, C, H, W) uint8; labels (N,) int64; maps (N, H, W) uint8 classes; captions, one text per image.

    codes (N, c, h, w) float32: what a codec made of them, kept so that they are not encoded again.
    classes: their names, () without labels. fingerprint: hex hash of all of that. sizes: original (width, height) ->
    count. broken: files that were left out; notes: what else the user should know about how the source was read.
    """

    pixels: np.ndarray
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    captions: list[str] | None = None
    maps: np.ndarray | None = None
    codes: np.ndarray | None = None
    fingerprint: str = ""
    source: str = "array"
    broken: tuple[Broken, ...] = ()
    sizes: dict[tuple[int, int], int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert (self.pixels.ndim, self.pixels.dtype) == (4, np.uint8)
        assert all(
            part is None or len(part) == len(self) for part in (self.labels, self.captions, self.maps, self.codes)
        )
        if not self.fingerprint:
            object.__setattr__(self, "fingerprint", _fingerprint(self))
        for name in ("pixels", "labels", "maps"):
            if (part := getattr(self, name)) is not None:
                view = part.view()
                view.flags.writeable = False
                object.__setattr__(self, name, view)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.pixels.shape[1:]

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
            pixels=self.pixels[chosen],
            labels=None if self.labels is None else self.labels[chosen],
            captions=None if self.captions is None else [self.captions[row] for row in rows],
            maps=None if self.maps is None else self.maps[chosen],
            codes=None if self.codes is None else self.codes[chosen],
            fingerprint=hashlib.sha256(bytes.fromhex(self.fingerprint) + rows.tobytes()).hexdigest(),
            broken=(),
            sizes={},
        )


def blocks(rows: int, row_bytes: int) -> list[slice]:
    """Slices of about BLOCK bytes that cover `rows` rows."""
    step = max(1, BLOCK // max(1, row_bytes))
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]


def _fingerprint(images: Images) -> str:
    """Same pixels, labels, captions and maps: same fingerprint, wherever and from whatever they were read."""
    digest = hashlib.sha256(json.dumps([images.shape, images.classes, images.captions]).encode())
    for part in (images.pixels, images.labels, images.maps):
        if part is not None and len(part):
            for block in blocks(len(part), part[0].nbytes):
                digest.update(np.ascontiguousarray(part[block]).data)
    return digest.hexdigest()
