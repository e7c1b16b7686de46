"""What a model is trained and measured on: images and what is known about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unnoise.data.images import Images, blocks

MIRRORED = {"image", "map"}  # what a flip turns round
LABELS = {"label", "map"}  # whole numbers that go into a batch's conditions
TYPES = {np.dtype(np.uint8): torch.uint8, np.dtype(np.float32): torch.float32}


@dataclass(frozen=True)
class Batch:
    """image: (B, C, H, W) float32 in [-1, 1].

    cond: "label" (B,) int64; "caption" list of B texts; "map" (B, H, W) int64; only the keys that the source has.
    code: (B, c, h, w) float32, what a codec makes of the images, where that was computed beforehand.
    """

    image: Tensor
    cond: dict[str, Any]
    code: Tensor | None = None

    def __len__(self) -> int:
        return len(self.image)


def from_uint8(pixels: Tensor) -> Tensor:
    """0..255 to [-1, 1] as float32: x / 127.5 - 1, the same bits on every device."""
    return pixels.to(torch.float32).div_(127.5).sub_(1.0)


class Gather:
    """Batches of a set on a device.

    resident: the whole set lies on the device as uint8 and is indexed there; otherwise rows are gathered from the
    (memory-mapped) arrays and, for CUDA, sent through pinned memory.
    """

    def __init__(self, images: Images, device: str | torch.device, resident: bool = False) -> None:
        self.images = images
        self.device = torch.device(device)
        arrays = {"image": images.pixels, "label": images.labels, "map": images.maps, "code": images.codes}
        self._arrays = {name: array for name, array in arrays.items() if array is not None}
        self._tensors = {name: _upload(array, self.device) for name, array in self._arrays.items()} if resident else {}

    def batch(self, indices: np.ndarray, flip: np.ndarray | None = None) -> Batch:
        """The images at `indices` (B,); those where `flip` (B,) is true are mirrored left to right, maps with them.
        Latents are of the images as they are, so a batch that flips brings none."""
        parts = self._on_device(indices, flip) if self._tensors else self._from_arrays(indices, flip)
        code = parts.pop("code", None) if flip is None else None
        cond: dict[str, Any] = {name: part.to(torch.int64) for name, part in parts.items() if name in LABELS}
        if self.images.captions is not None:
            cond["caption"] = [self.images.captions[index] for index in indices]
        return Batch(from_uint8(parts["image"]), cond, code)

    def _from_arrays(self, indices: np.ndarray, flip: np.ndarray | None) -> dict[str, Tensor]:
        rows = {name: array[indices] for name, array in self._arrays.items()}
        if flip is not None:
            for name in rows.keys() & MIRRORED:
                rows[name][flip] = rows[name][flip][..., ::-1]
        return {name: self._send(part) for name, part in rows.items()}

    def _on_device(self, indices: np.ndarray, flip: np.ndarray | None) -> dict[str, Tensor]:
        chosen = self._send(indices)
        rows = {name: tensor.index_select(0, chosen) for name, tensor in self._tensors.items()}
        if flip is not None:
            which = self._send(flip)
            rows |= {name: _mirror(rows[name], which) for name in rows.keys() & MIRRORED}
        return rows

    def _send(self, array: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        if self.device.type != "cuda":
            return tensor.to(self.device)
        return tensor.pin_memory().to(self.device, non_blocking=True)


def _mirror(part: Tensor, flip: Tensor) -> Tensor:
    return torch.where(flip.view(-1, *[1] * (part.ndim - 1)), part.flip(-1), part)


def _upload(array: np.ndarray, device: torch.device) -> Tensor:
    """In pieces, so that a memory-mapped set is never whole in the host's memory."""
    tensor = torch.empty(array.shape, dtype=TYPES.get(array.dtype, torch.int64), device=device)
    for block in blocks(len(array), array[:1].nbytes):
        tensor[block] = torch.from_numpy(array[block].copy())
    return tensor
