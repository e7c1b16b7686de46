"""Picture files in, strips of before and after out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from unnoise.data import image_grid, save_png, to_uint8
from unnoise.errors import UserError
from unnoise.io.geometry import FILTER, crop_box
from unnoise.io.masks import marked
from unnoise.io.picture_reader import read_picture
from unnoise.models import ImageModel
from unnoise.registry import lookup

Box = tuple[float, float, float, float]
"""(left, top, right, bottom) in pixels."""

PAD = "white"


def _crop(size: tuple[int, int], canvas: tuple[int, int]) -> tuple[Box, Box]:
    return crop_box(*size, *canvas), (0, 0, *canvas)


def _resize(size: tuple[int, int], canvas: tuple[int, int]) -> tuple[Box, Box]:
    return (0, 0, *size), (0, 0, *canvas)


def _pad(size: tuple[int, int], canvas: tuple[int, int]) -> tuple[Box, Box]:
    scale = min(canvas[0] / size[0], canvas[1] / size[1])
    width, height = (max(1, round(scale * side)) for side in size)
    left, top = (canvas[0] - width) // 2, (canvas[1] - height) // 2
    return (0, 0, *size), (left, top, left + width, top + height)


FITS: dict[str, Callable[[tuple[int, int], tuple[int, int]], tuple[Box, Box]]] = {
    "crop": _crop,
    "pad": _pad,
    "resize": _resize,
}
"""How a picture comes to a run's size: its largest centred part (as in training), all of it with white margins, or all
of it, its sides scaled apart. Each: ((width, height) of the picture, of the run) -> (part of the picture, where that
lies in the run's image)."""


@dataclass(frozen=True)
class FittedPicture:
    """A picture brought to a run's size, which can be given back at its own.

    Attributes:
        name: of its file.
        picture: upright, in the run's mode, at its own size.
        canvas: (width, height) of the run's images.
        part: which part of the picture is seen.
        at: where it lies on the canvas.
    """

    name: str
    picture: Image.Image
    canvas: tuple[int, int]
    part: Box
    at: Box

    @classmethod
    def read(cls, path: Path, model: ImageModel, fit: str = "crop", channels: int | None = None) -> FittedPicture:
        """The picture of a file.

        Args:
            path: of the file.
            model: whose images' size it gets.
            fit: one of `FITS`.
            channels: 1, 3 or 4; by default the model's.

        Raises:
            UserError: for a file that is no picture, and an unknown `fit`.
        """
        picture = read_picture(path, channels or model.shape[0], model.pictures)
        canvas = model.shape[2], model.shape[1]
        return cls(str(path), picture, canvas, *lookup(FITS, fit, "fit")(picture.size, canvas))

    def on_canvas(self) -> Image.Image:
        """The picture at the run's size."""
        return self._placed(self.picture, FILTER, PAD)

    def tensor(self, device: torch.device | str = "cpu") -> Tensor:
        """(1, C, H, W) in [-1, 1]."""
        return _tensor(self.on_canvas(), device)

    def known(self, path: Path, device: torch.device | str = "cpu") -> Tensor:
        """(H, W) bool: the pixels that a mask, drawn for the picture or for the run's size, does not mark.

        Raises UserError for a mask of another size, and for one that marks everything or nothing.
        """
        mask = read_picture(path, None)
        if mask.size != self.picture.size and mask.size != self.canvas:
            raise UserError(
                f"the mask {path} is {_by(mask.size)} pixels, the picture {self.name} {_by(self.picture.size)}"
            )
        where = Image.fromarray(marked(mask, str(path)).astype(np.uint8))
        if mask.size == self.picture.size:
            where = self._placed(where, Image.Resampling.NEAREST, 0)
        redrawn = np.array(where, bool)
        if not redrawn.any():
            raise UserError(f"the mask {path} marks nothing in the part of the picture that is seen; try --fit pad")
        return torch.from_numpy(~redrawn).to(device)

    def restored(self, image: Tensor) -> Image.Image:
        """The picture at its own size, with an edited image (C, H, W) in [-1, 1] where its part was seen."""
        left, top, right, bottom = (round(side) for side in self.part)
        edited = _picture(image).resize((right - left, bottom - top), FILTER, box=self.at)
        whole = self.picture.convert(edited.mode)
        whole.paste(edited, (left, top))
        return whole

    def _placed(self, picture: Image.Image, resample: Image.Resampling, margin: int | str) -> Image.Image:
        left, top, right, bottom = (round(side) for side in self.at)
        if picture.size == self.canvas and self.part == self.at:
            return picture
        gap = None if resample is Image.Resampling.NEAREST else 3.0
        part = picture.resize((right - left, bottom - top), resample, box=self.part, reducing_gap=gap)
        if part.size == self.canvas:
            return part
        canvas = Image.new(picture.mode, self.canvas, margin)
        canvas.paste(part, (left, top))
        return canvas


def read_image(
    path: Path, model: ImageModel, factor: int = 1, channels: int | None = None, fit: str = "crop"
) -> Tensor:
    """A picture of any size as the model's images are.

    Args:
        path: of the file.
        model: whose images' size it gets.
        factor: a picture at exactly a `factor`-th of that size has its pixels repeated, so that box means give it back.
        channels: 1, 3 or 4; by default the model's.
        fit: one of `FITS`.

    Returns:
        (1, C, H, W) in [-1, 1] on the model's device.
    """
    fitted = FittedPicture.read(path, model, fit, channels)
    width, height = fitted.picture.size
    if factor > 1 and (width * factor, height * factor) == fitted.canvas:
        return F.interpolate(_tensor(fitted.picture, model.device), scale_factor=factor)
    return fitted.tensor(model.device)


def read_at_own_size(path: Path, model: ImageModel) -> Tensor:
    """(1, C, h, w) in [-1, 1] on the model's device, of whatever size the picture has."""
    return _tensor(read_picture(path, model.shape[0], model.pictures), model.device)


def write_strip(
    before: Tensor, after: Tensor, seeds: Sequence[int], out: Path, fitted: FittedPicture | None = None
) -> list[str]:
    """One row, before | after ..., at `out`; each version beside it, whose files are returned.

    fitted: the versions are written at this picture's own size.
    """
    save_png(image_grid(torch.cat([before.to(after), after]), columns=len(after) + 1), out)
    files = [version_file(out, seed) for seed in seeds]
    for file, image in zip(files, after, strict=True):
        save_png(image if fitted is None else fitted.restored(image), file)
    return [str(file) for file in files]


def version_file(out: Path, seed: int) -> Path:
    """Where the version of a seed goes, beside the strip."""
    return out.with_name(f"{out.stem}-seed{seed}.png")


def _tensor(picture: Image.Image, device: torch.device | str) -> Tensor:
    pixels = np.array(picture)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    return torch.from_numpy(pixels).to(device).permute(2, 0, 1)[None].float() / 127.5 - 1


def _picture(image: Tensor) -> Image.Image:
    pixels = to_uint8(image)
    return Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
