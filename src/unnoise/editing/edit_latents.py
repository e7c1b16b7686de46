"""Edits of latents: interpolate, arithmetic, invert, traverse; picture files or seeds in, a grid out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unnoise.aliases import Record
from unnoise.data import image_grid, save_gif, save_png
from unnoise.editing.image_files import read_image
from unnoise.editing.latent_space import (
    ITERATIONS,
    LatentSpace,
    arithmetic,
    check_traversable,
    interpolated,
    latent_space,
    reconstruct,
    traversed,
)
from unnoise.editing.steps import native_steps
from unnoise.errors import UserError
from unnoise.files import claim, ends_in
from unnoise.models import CanDenoise, ImageModel
from unnoise.progress import progress_bar
from unnoise.runs.run import Run
from unnoise.sampling.batches import counted_calls
from unnoise.sampling.conditions import SampleConditions
from unnoise.sampling.outputs import default_out
from unnoise.sources import open_source

NEEDED = {"interpolate": 2, "arithmetic": 3, "invert": 1, "traverse": 1}
"""How many pictures each task takes."""


COUNT, STEPS = 8, 100
"""Images of an interpolation or of a row, and DDIM steps each way, where nothing else is asked for."""


@torch.no_grad()
def edit_latents(
    folder: str | Path,
    task: str,
    givens: Sequence[str | Path],
    *,
    count: int = COUNT,
    steps: int = STEPS,
    conditions: SampleConditions | None = None,
    out: Path | None = None,
    overwrite: bool = False,
    device: str | None = None,
) -> Record:
    """interpolate A B, arithmetic A B C, invert A or traverse A; writes one grid, or a GIF of its images in turn.

    Args:
        folder: of a run.
        task: a name in `NEEDED`.
        givens: picture files, folders of pictures, which stand for the mean of their latents, or numbers for the images
            that the run generates from these seeds.
        count: images of an interpolation, or of each row of a traversal.
        steps: DDIM steps each way, of a diffusion run.
        conditions: what a conditional run is given.
        out: a .png or a .gif; None: in the run's samples folder, named by what made it.
        overwrite: whether a file that is there already may be written over.
        device: where the model computes; None: the best there is.

    Returns:
        {task, images, out, seconds, network_calls}, and psnr for invert.

    Raises:
        UserError: for another number of pictures, for a run that cannot do it, and for a file that is there already.
    """
    if len(givens) != NEEDED[task]:
        raise UserError(f"unnoise edit {task} takes {NEEDED[task]} pictures or seeds, got {len(givens)}")
    run, conditions = Run.open(folder), conditions or SampleConditions()
    out = out or default_out(run, *_made_by(task, givens, count, steps, conditions))
    inputs = [Path(given) for given in givens if not _is_seed(given)]
    claim(ends_in(out, ".png", ".gif"), overwrite=overwrite, inputs=[*inputs, *conditions.files()])
    model = run.load(device)
    steps = native_steps(model.schedule, steps, task) if isinstance(model, CanDenoise) else steps
    cond = conditions.for_model(model, run.classes)
    read = [_read(given, model) for given in givens]
    begun = time.perf_counter()
    with counted_calls(model) as calls, progress_bar() as progress:
        bar = progress.add_task(task, total=steps * (ITERATIONS * len(inputs) + 1))
        space = latent_space(model, steps, cond, lambda _: progress.advance(bar))
        picture, columns, more = _apply(task, space, read, count)
    _write(picture, columns, out)
    seconds = round(time.perf_counter() - begun, 3)
    return {
        "task": task,
        "images": len(picture),
        "out": str(out),
        "seconds": seconds,
        "network_calls": calls[0],
        **more,
    }


def _made_by(
    task: str, givens: Sequence[str | Path], count: int, steps: int, conditions: SampleConditions
) -> list[str]:
    """What made the picture, as words for the name of its file."""
    of = [f"seed{given}" if _is_seed(given) else Path(given).stem for given in givens]
    options = [
        f"{name}-{value}" for name, value, usual in (("count", count, COUNT), ("steps", steps, STEPS)) if value != usual
    ]
    return [task, *of, *options, conditions.text()]


def _is_seed(given: str | Path) -> bool:
    """A number for which there is no file."""
    return str(given).isdecimal() and not Path(given).exists()


def _read(given: str | Path, model: ImageModel) -> Tensor | int:
    """A picture (1, C, H, W), all pictures of a folder (N, C, H, W), or a seed."""
    if _is_seed(given):
        return int(str(given))
    return _read_folder(given, model) if Path(given).is_dir() else read_image(Path(given), model)


def _read_folder(folder: str | Path, model: ImageModel) -> Tensor:
    channels, *size = model.shape
    images = open_source(folder, size=tuple(size), channels=channels, progress=False)
    return images.batch(range(len(images)), model.device).image


def _latent(space: LatentSpace, given: Tensor | int) -> Tensor:
    """(1, *): of several pictures the mean."""
    return space.from_seeds([given]) if isinstance(given, int) else space.encode(given).mean(0, keepdim=True)


def _shown(space: LatentSpace, given: Tensor | int, z: Tensor) -> Tensor:
    """A picture as it is; of a seed, or of several pictures, what their latent gives."""
    return space.decode(z) if isinstance(given, int) or len(given) > 1 else given


def _apply(
    task: str, space: LatentSpace, givens: Sequence[Tensor | int], count: int
) -> tuple[Tensor, int, dict[str, Any]]:
    """The images of the grid, its columns, and what else there is to say."""
    if task == "invert":
        image = givens[0]
        if isinstance(image, int):
            raise UserError("unnoise edit invert takes a picture: a seed stands for latents already")
        back, psnr = reconstruct(space, image)
        return torch.cat([image, back]), 2, {"psnr": round(psnr, 2)}
    if task == "traverse":
        check_traversable(space)  # before the network is called hundreds of times for a latent
        return traversed(space, _latent(space, givens[0]), count), count, {}
    latents = [_latent(space, given) for given in givens]
    if task == "interpolate":
        return interpolated(space, latents[0], latents[1], count), count, {}
    shown = [_shown(space, given, z) for z, given in zip(latents, givens, strict=True)]
    return torch.cat([*shown, arithmetic(space, latents[0], latents[1], latents[2])]), 4, {}


def _write(images: Tensor, columns: int, out: Path) -> None:
    if out.suffix.lower() == ".gif":
        save_gif([image_grid(image[None], padding=0) for image in images], out)
    else:
        save_png(image_grid(images, columns=columns), out)
