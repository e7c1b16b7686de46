"""Picture files in, strips of before and after out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from unnoise.data import image_grid, save_png
from unnoise.data.decode import MODES
from unnoise.errors import UserError
from unnoise.models import ImageModel


def read_image(path: Path, model: ImageModel, factor: int = 1, mode: str | None = None) -> Tensor:
    """(1, C, H, W) in [-1, 1] on the model's device, of the size of the model's images.

    A picture at a `factor`-th of that size has its pixels repeated, so that box means give it back. mode: Pillow's, by
    default that of the model's channels. Raises UserError for a picture of any other size.
    """
    given = read_picture(path, model, mode)
    height, width = model.shape[1:]
    if given.shape[-2:] == (height, width):
        return given
    if (given.shape[-2] * factor, given.shape[-1] * factor) == (height, width):
        return F.interpolate(given, scale_factor=factor)
    smaller = f", or {width // factor}x{height // factor} to be enlarged" if factor > 1 else ""
    raise UserError(
        f"{path} is {given.shape[-1]}x{given.shape[-2]} pixels, and the run makes {width}x{height}{smaller}; resize it"
    )


def read_picture(path: Path, model: ImageModel, mode: str | None = None) -> Tensor:
    """(1, C, h, w) in [-1, 1] on the model's device, of whatever size it has."""
    pixels = _pixels(path, mode or MODES[model.shape[0]])
    return torch.from_numpy(pixels).to(model.device).permute(2, 0, 1)[None].float() / 127.5 - 1


def read_mask(path: Path, model: ImageModel) -> Tensor:
    """known (H, W): True where the mask is darker than the middle. Raises UserError for another size."""
    mask = _pixels(path, "L")[..., 0]
    if mask.shape != tuple(model.shape[1:]):
        raise UserError(
            f"the mask {path} is {mask.shape[1]}x{mask.shape[0]} pixels, the image {model.shape[2]}x{model.shape[1]}"
        )
    return torch.from_numpy(mask < 128).to(model.device)


def write_strip(before: Tensor, after: Tensor, seeds: Sequence[int], out: Path) -> list[str]:
    """One row, before | after ..., at `out`; each version beside it, whose files are returned."""
    save_png(image_grid(torch.cat([before.to(after), after]), columns=len(after) + 1), out)
    files = [out.with_name(f"{out.stem}-seed{seed}.png") for seed in seeds]
    for file, image in zip(files, after, strict=True):
        save_png(image, file)
    return [str(file) for file in files]


def _pixels(path: Path, mode: str) -> np.ndarray:
    with Image.open(path) as picture:
        pixels = np.array(picture.convert(mode))
    return pixels.reshape(*pixels.shape[:2], -1)
