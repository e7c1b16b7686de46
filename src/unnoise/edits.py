"""Editing picture files with a run: files in, before and after strips out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from unnoise.data import image_grid, save_png
from unnoise.data.decode import MODES
from unnoise.drawing import counted_calls
from unnoise.editing import Downsampling, deblur, inpaint, repaint, upscale, vary
from unnoise.models import Diffusion
from unnoise.models.codec import Pixels
from unnoise.runs import Run
from unnoise.samplers import DDIM

Edit = Callable[[Diffusion, Sequence[int]], tuple[Tensor, Tensor]]
"""(model, seeds) -> what was given, (1, C, H, W), and what became of it, one image per seed."""


def edit(
    folder: str | Path,
    task: str,
    work: Edit,
    seeds: Sequence[int],
    *,
    out: Path | None = None,
    device: str | None = None,
) -> dict[str, Any]:
    """Runs an edit, writes a strip of the image before and its versions after, and each version beside it.

    out: the strip's .png, by default samples/TASK-SEED.png of the run. Raises ValueError for runs that are no diffusion
    models of pixels and for a request of no image.
    """
    if not seeds:
        raise ValueError("need at least 1 image, got 0")
    run = Run.open(folder)
    model = run.diffusion(f"unnoise edit {task}", device)
    if not isinstance(model.codec, Pixels):
        raise ValueError(f"unnoise edit works on pixels; {folder} diffuses latents")
    begun = time.perf_counter()
    with counted_calls(model) as calls:
        before, after = work(model, seeds)
    seconds = round(time.perf_counter() - begun, 3)
    out = out or run.folder / "samples" / f"{task}-{seeds[0]}.png"
    files = _write(before, after, seeds, out)
    return {"task": task, "images": len(after), "out": str(out), "files": files, "seconds": seconds} | {
        "network_calls": calls[0]
    }


def inpaint_file(image: Path, mask: Path, *, method: str = "pigdm", steps: int = 100) -> Edit:
    """White pixels of the mask are drawn anew, black ones are kept; method: of `restore`, or repaint."""

    def work(model: Diffusion, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        given, known = read_image(image, model), read_mask(mask, model)
        if method == "repaint":
            after = repaint(model, given, known, steps=steps, seeds=seeds)
        else:
            after = inpaint(model, given, known, method=method, sampler=DDIM(steps=steps, eta=1.0), seeds=seeds)
        return torch.where(known.to(given.device), given, 1.0), after

    return work


def upscale_file(image: Path, factor: int, *, method: str = "pigdm", steps: int = 100) -> Edit:
    """The picture at a `factor`-th of the model's size, or one of the model's size that is shrunk first."""

    def work(model: Diffusion, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        small = Downsampling(factor).forward(read_image(image, model, factor))
        sampler = DDIM(steps=steps, eta=1.0)
        after = upscale(model, small, factor, method=method, noise=ROUNDING, sampler=sampler, seeds=seeds)
        return F.interpolate(small, scale_factor=factor), after

    return work


def deblur_file(image: Path, std: float, *, noise: float, method: str = "pigdm", steps: int = 100) -> Edit:
    """A picture that a Gaussian of `std` pixels has blurred; noise: its deviation on the scale [-1, 1]."""

    def work(model: Diffusion, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        blurred, sampler = read_image(image, model), DDIM(steps=steps, eta=1.0)
        return blurred, deblur(model, blurred, std, noise=noise, method=method, sampler=sampler, seeds=seeds)

    return work


def vary_file(image: Path, strength: float, *, steps: int = 100) -> Edit:
    """Versions of a picture, further from it the greater the strength in [0, 1]."""

    def work(model: Diffusion, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        given = read_image(image, model)
        return given, vary(model.guided(), given, strength, sampler=DDIM(steps=steps), seeds=seeds)

    return work


ROUNDING = 1 / 127.5 / 12**0.5
"""The deviation that rounding to 256 levels gives pixels in [-1, 1]."""


def read_image(path: Path, model: Diffusion, factor: int = 1) -> Tensor:
    """(1, C, H, W) in [-1, 1] on the model's device, of the model's shape.

    A picture at a `factor`-th of that size has its pixels repeated, so that box means give it back.
    Raises ValueError for a picture of any other size.
    """
    channels, height, width = model.shape
    pixels = _pixels(path, MODES[channels])
    given = torch.from_numpy(pixels).to(model.device).permute(2, 0, 1)[None].float() / 127.5 - 1
    if given.shape[-2:] == (height, width):
        return given
    if (given.shape[-2] * factor, given.shape[-1] * factor) == (height, width):
        return F.interpolate(given, scale_factor=factor)
    smaller = f", or {width // factor}x{height // factor} to be enlarged" if factor > 1 else ""
    raise ValueError(
        f"{path} is {given.shape[-1]}x{given.shape[-2]} pixels, and the run makes {width}x{height}{smaller}; resize it"
    )


def read_mask(path: Path, model: Diffusion) -> Tensor:
    """known (H, W): True where the mask is darker than the middle. Raises ValueError for another size."""
    mask = _pixels(path, "L")[..., 0]
    if mask.shape != tuple(model.shape[1:]):
        raise ValueError(
            f"the mask {path} is {mask.shape[1]}x{mask.shape[0]} pixels, the image {model.shape[2]}x{model.shape[1]}"
        )
    return torch.from_numpy(mask < 128)


def _pixels(path: Path, mode: str) -> np.ndarray:
    with Image.open(path) as picture:
        pixels = np.array(picture.convert(mode))
    return pixels.reshape(*pixels.shape[:2], -1)


def _write(before: Tensor, after: Tensor, seeds: Sequence[int], out: Path) -> list[str]:
    save_png(image_grid(torch.cat([before.to(after), after]), columns=len(after) + 1), out)
    files = [out.with_name(f"{out.stem}-seed{seed}.png") for seed in seeds]
    for file, image in zip(files, after, strict=True):
        save_png(image, file)
    return [str(file) for file in files]
