"""What a model is trained and measured on: images and what is known about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from unnoise.aliases import Record
from unnoise.data.blocks import blocks
from unnoise.data.fields import FIELDS, Values, present
from unnoise.data.streamed import Streamed
from unnoise.host import sent

Rows = dict[str, np.ndarray]
IMAGE = "image"
LATENTS = "latents"
NOISE = "noise"
SCALE = "scale"
TYPES: dict[type[np.generic], torch.dtype] = {np.int64: torch.int64, np.float32: torch.float32, np.uint8: torch.uint8}


@dataclass(frozen=True)
class Batch:
    """Images with their conditions.

    Attributes:
        image: (B, C, H, W) float32 in [-1, 1].
        cond: condition -> a value per row, only those that the source has: "label" (B,) int64; "caption", B texts;
            "map" (B, H, W) int64; "vector" (B, features) float32.
        latents: (B, c, h, w) float32, what a codec makes of the images, where that was computed beforehand.
        noise: (B, c, h, w) float32, the noise that the latents belong to, where they were drawn from one.
        scale: (B,) float32, of the guidance with which they were drawn, where it is not the same for all.
    """

    image: Tensor
    cond: Record
    latents: Tensor | None = None
    noise: Tensor | None = None
    scale: Tensor | None = None

    def __len__(self) -> int:
        return len(self.image)


def from_uint8(pixels: Tensor) -> Tensor:
    """0..255 to [-1, 1] as float32: x / 127.5 - 1, the same bits on every device."""
    return pixels.to(torch.float32).div_(127.5).sub_(1.0)


class ImageSet(Protocol):
    """What `Images` has."""

    @property
    def pixels(self) -> np.ndarray: ...

    @property
    def fields(self) -> Mapping[str, Values]: ...

    @property
    def latents(self) -> np.ndarray | None: ...

    @property
    def noise(self) -> np.ndarray | None: ...

    @property
    def scale(self) -> np.ndarray | None: ...


class Gather:
    """Batches of a set on a device.

    resident: the whole set lies on the device as uint8 and is indexed there; otherwise rows are gathered from the
    (memory-mapped) arrays and, for CUDA, sent through pinned memory.
    """

    def __init__(self, images: ImageSet, device: str | torch.device, resident: bool = False) -> None:
        self.device = torch.device(device)
        found = present(images.fields)
        arrays = {kind.name: values for kind, values in found if isinstance(values, np.ndarray)}
        made = {LATENTS: images.latents, NOISE: images.noise, SCALE: images.scale}
        made = {name: array for name, array in made.items() if array is not None}
        self._streamed = images.pixels if isinstance(images.pixels, Streamed) else None
        whole = {IMAGE: images.pixels} if self._streamed is None else {}
        self._arrays = {**whole, **arrays, **made}
        self._texts = {kind.condition: values for kind, values in found if isinstance(values, list)}
        self._mirrored = {IMAGE, *(kind.name for kind, _ in found if kind.spatial)}
        self._tensors = {name: _upload(array, self.device) for name, array in self._arrays.items()} if resident else {}

    def batch(self, indices: np.ndarray, flip: np.ndarray | None = None) -> Batch:
        """The images at `indices` (B,); those where `flip` (B,) is true are mirrored left to right, and with them what
        lies on their pixels. Latents and their noise are of the images as they are: a batch that flips brings none."""
        pixels: Rows = {}
        if (
            self._streamed is not None
        ):  # a picture that is damaged has another in its place, with all that belongs to it
            indices, pixels[IMAGE] = self._streamed.read(indices)
        parts = self._on_device(indices, flip) if self._tensors else self._from_arrays(pixels, indices, flip)
        image = from_uint8(parts.pop(IMAGE))
        made = [parts.pop(name, None) for name in (LATENTS, NOISE, SCALE)]
        cond: Record = {
            FIELDS[name].condition: part.to(TYPES[FIELDS[name].batch_dtype or np.int64]) for name, part in parts.items()
        }
        texts = {name: [values[index] for index in indices] for name, values in self._texts.items()}
        return Batch(image, {**cond, **texts}, *(made if flip is None else ()))

    def expect(self, batches: Sequence[np.ndarray]) -> None:
        """Begins to read what will be asked for, where pictures are decoded on the way."""
        if self._streamed is not None:
            self._streamed.expect(batches)

    def _from_arrays(self, pixels: Rows, indices: np.ndarray, flip: np.ndarray | None) -> dict[str, Tensor]:
        rows = {**pixels, **{name: array[indices] for name, array in self._arrays.items()}}
        if flip is not None:
            for name in rows.keys() & self._mirrored:
                rows[name][flip] = rows[name][flip][..., ::-1]
        return {name: self._send(part) for name, part in rows.items()}

    def _on_device(self, indices: np.ndarray, flip: np.ndarray | None) -> dict[str, Tensor]:
        chosen = self._send(indices)
        rows = {name: tensor.index_select(0, chosen) for name, tensor in self._tensors.items()}
        if flip is not None:
            which = self._send(flip)
            rows |= {name: _mirror(rows[name], which) for name in rows.keys() & self._mirrored}
        return rows

    def _send(self, array: np.ndarray) -> Tensor:
        return sent(torch.from_numpy(np.ascontiguousarray(array)), self.device)


def _mirror(part: Tensor, flip: Tensor) -> Tensor:
    return torch.where(flip.view(-1, *[1] * (part.ndim - 1)), part.flip(-1), part)


def _upload(array: np.ndarray, device: torch.device) -> Tensor:
    """In pieces, so that a memory-mapped set is never whole in the host's memory."""
    tensor = torch.empty(array.shape, dtype=TYPES[array.dtype.type], device=device)
    for block in blocks(len(array), array[:1].nbytes):
        tensor[block] = torch.from_numpy(array[block].copy())
    return tensor
