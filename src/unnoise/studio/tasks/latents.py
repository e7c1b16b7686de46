"""Edits in the latent space of a run: interpolation, arithmetic, inversion, and a plane of latents to move in."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from unnoise.aliases import Record
from unnoise.editing import read_image
from unnoise.editing.latent_space import LatentSpace, latent_space, reconstruct
from unnoise.editing.latent_space import arithmetic as sum_of
from unnoise.errors import UserError
from unnoise.models import ImageModel
from unnoise.studio.tasks.models import open_run
from unnoise.studio.tasks.pictures import tiles
from unnoise.studio.worker import Emit

PLANE = 9
"""Images along each side of the plane."""


@torch.no_grad()
def interpolate(request: Record, emit: Emit) -> Record:
    """Emits the images between two, one after the other; gives their number."""
    model, space = _space(request)
    a, b = (_latents(space, model, given) for given in request["givens"])
    count = request["count"]
    for index in range(count):
        image = space.decode(space.between(a, b, index / max(1, count - 1)))
        emit({"event": "image", "index": index, "of": count, "image": tiles(image)})
    return {"count": count}


@torch.no_grad()
def arithmetic(request: Record, emit: Emit) -> Record:
    """The image of A - B + C, beside the three."""
    model, space = _space(request)
    given = [_latents(space, model, item) for item in request["givens"]]
    shown = [tiles(_shown(space, model, item, z)) for item, z in zip(request["givens"], given, strict=True)]
    return {"given": shown, "image": tiles(sum_of(space, *given))}


@torch.no_grad()
def invert(request: Record, emit: Emit) -> Record:
    """A picture, and what its latents give back, with the PSNR in dB."""
    model, space = _space(request)
    image = _image(request["givens"][0], model)
    back, psnr = reconstruct(space, image)
    return {"given": [tiles(image)], "image": tiles(back), "psnr": psnr}


@torch.no_grad()
def plane(request: Record, emit: Emit) -> Record:
    """What two of a model's latent numbers do: a grid of images, the others being those of a seed."""
    _, model = open_run(request["run"])
    if not hasattr(model, "latent_shape"):
        raise UserError("a plane of latents needs a vae or a gan: a diffusion model's noise has no few numbers")
    space = latent_space(model)
    z = space.from_seeds([request["seed"]]).flatten(1).repeat(PLANE * PLANE, 1)
    steps = torch.linspace(-request["reach"], request["reach"], PLANE)
    z[:, request["dims"][0]] = steps.repeat(PLANE)
    z[:, request["dims"][1]] = steps.flip(0).repeat_interleave(PLANE)
    images = space.decode(z.view(len(z), *space.from_seeds([0]).shape[1:]))
    return {"tiles": tiles(images, PLANE), "side": PLANE, "dims": z.shape[1]}


def _space(request: Record) -> tuple[ImageModel, LatentSpace]:
    _, model = open_run(request["run"])
    return model, latent_space(model, request["steps"])


def _latents(space: LatentSpace, model: ImageModel, given: Record) -> Tensor:
    return space.encode(_image(given, model)) if given["picture"] else space.from_seeds([given["seed"]])


def _shown(space: LatentSpace, model: ImageModel, given: Record, z: Tensor) -> Tensor:
    return _image(given, model) if given["picture"] else space.decode(z)


def _image(given: Record, model: ImageModel) -> Tensor:
    if not given["picture"]:
        raise UserError("inversion needs a picture: a seed is noise already")
    return read_image(Path(given["picture"]), model)
