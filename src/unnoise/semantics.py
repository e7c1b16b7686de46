"""Edits in the code space of a model: interpolation, arithmetic, traversal, and there and back.

The code space of an autoencoder or a VAE is that of its codes; of a diffusion model it is the noise that DDIM's
deterministic sampler turns into the image (Song et al. 2021, section 4.3).
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from unnoise.data import image_grid, save_png
from unnoise.drawing import cannot_sample, counted_calls
from unnoise.edits import read_image
from unnoise.models import CanReconstruct, Diffusion, ImageModel
from unnoise.runs import Run
from unnoise.samplers import DDIM, interpolate, invert, slerp


class CodeSpace(Protocol):
    """Images (B, C, H, W) to codes and back, and how codes are mixed."""

    def encode(self, image: Tensor) -> Tensor: ...

    def decode(self, z: Tensor) -> Tensor: ...

    def between(self, a: Tensor, b: Tensor, share: float) -> Tensor: ...

    def settled(self, z: Tensor, like: Tensor) -> Tensor:
        """A sum of codes, brought to where codes lie."""
        ...


@dataclass(frozen=True)
class Codes:
    """The codes of an autoencoder or a VAE, mixed along straight lines."""

    model: Any

    def encode(self, image: Tensor) -> Tensor:
        return self.model.encode(image)

    def decode(self, z: Tensor) -> Tensor:
        return self.model.decode(z)

    def between(self, a: Tensor, b: Tensor, share: float) -> Tensor:
        return torch.lerp(a, b, share)

    def settled(self, z: Tensor, like: Tensor) -> Tensor:
        return z


@dataclass(frozen=True)
class DDIMNoise:
    """The noise of a diffusion model's images, mixed along great circles: a sum is brought to the norm of noise."""

    model: Diffusion
    steps: int = 100

    def encode(self, image: Tensor) -> Tensor:
        return invert(self.model, self.model.codec.encode(image), self._sampler())

    def decode(self, z: Tensor) -> Tensor:
        return self.model.codec.decode(self._sampler().run(self.model, z))

    def between(self, a: Tensor, b: Tensor, share: float) -> Tensor:
        return slerp(a, b, share)

    def settled(self, z: Tensor, like: Tensor) -> Tensor:
        norms = [part.flatten(1).norm(dim=1).view(-1, *[1] * (part.ndim - 1)) for part in (z, like)]
        return z * (norms[1] / norms[0].clamp(min=1e-12))

    def _sampler(self) -> DDIM:
        return DDIM(steps=self.steps, grid="uniform")


def code_space(model: ImageModel, steps: int = 100) -> CodeSpace:
    """Where a model's images are mixed; ValueError for a model that cannot encode images."""
    if isinstance(model, Diffusion):
        return DDIMNoise(model, steps)
    if isinstance(model, CanReconstruct):
        return Codes(model)
    raise ValueError(f"a {type(model).__name__.lower()} has no encoder, so images of yours have no codes in it")


@torch.no_grad()
def interpolated(space: CodeSpace, a: Tensor, b: Tensor, count: int) -> Tensor:
    """(count, C, H, W) from a (1, C, H, W) to b, both ends as the model gives them back."""
    codes = interpolate(space.encode(a), space.encode(b), count, space.between)
    return space.decode(codes.flatten(0, 1))


@torch.no_grad()
def arithmetic(space: CodeSpace, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """a - b + c in the code space: what makes a out of b, done to c. All (1, C, H, W)."""
    codes = [space.encode(image) for image in (a, b, c)]
    return space.decode(space.settled(codes[0] - codes[1] + codes[2], codes[2]))


@torch.no_grad()
def there_and_back(space: CodeSpace, image: Tensor) -> tuple[Tensor, float]:
    """The image that its code gives, and its PSNR in dB for pixels in [-1, 1]."""
    back = space.decode(space.encode(image))
    return back, 10 * math.log10(4 / max(float((back - image).square().mean()), 1e-12))


@torch.no_grad()
def traversed(model: ImageModel, image: Tensor, count: int, reach: float = 3.0, dims: int = 10) -> Tensor:
    """(dims * count, C, H, W): a row for each of the first numbers of the code, moved from -reach to reach.

    Raises ValueError for a model without codes in which single numbers mean something.
    """
    if isinstance(model, Diffusion) or not isinstance(model, CanReconstruct):
        raise ValueError(f"traversals need codes of few numbers: an autoencoder or a vae, not {cannot_sample(model)}")
    code = model.encode(image)
    rows = []
    for dim in range(min(dims, code[0].numel())):
        moved = code.flatten(1).repeat(count, 1)
        moved[:, dim] = torch.linspace(-reach, reach, count)
        rows.append(model.decode(moved.view(count, *code.shape[1:])))
    return torch.cat(rows)


def edit_codes(
    folder: str | Path,
    task: str,
    images: Sequence[Path],
    *,
    count: int = 8,
    steps: int = 100,
    out: Path | None = None,
    device: str | None = None,
) -> dict[str, Any]:
    """interpolate A B, arithmetic A B C, invert A or traverse A on picture files; writes one grid.

    Returns {task, images, out, seconds, network_calls}, and psnr for invert.
    """
    if len(images) != NEEDED[task]:
        raise ValueError(f"unnoise edit {task} takes {NEEDED[task]} pictures, got {len(images)}")
    run = Run.open(folder)
    model = run.load(device)
    given = [_read(path, model) for path in images]
    begun = time.perf_counter()
    with counted_calls(model) as calls:
        picture, columns, more = _apply(task, model, given, count, steps)
    out = out or run.folder / "samples" / f"{task}-{'-'.join(path.stem for path in images)}.png"
    save_png(image_grid(picture, columns=columns), out)
    seconds = round(time.perf_counter() - begun, 3)
    return {
        "task": task,
        "images": len(picture),
        "out": str(out),
        "seconds": seconds,
        "network_calls": calls[0],
        **more,
    }


NEEDED = {"interpolate": 2, "arithmetic": 3, "invert": 1, "traverse": 1}
"""How many pictures each task takes."""


def _apply(
    task: str, model: ImageModel, given: Sequence[Tensor], count: int, steps: int
) -> tuple[Tensor, int, dict[str, Any]]:
    """The images of the grid, its columns, and what else there is to say."""
    if task == "traverse":
        return traversed(model, given[0], count), count, {}
    space = code_space(model, steps)
    if task == "interpolate":
        return interpolated(space, given[0], given[1], count), count, {}
    if task == "arithmetic":
        return torch.cat([*given, arithmetic(space, given[0], given[1], given[2])]), 4, {}
    back, psnr = there_and_back(space, given[0])
    return torch.cat([given[0], back]), 2, {"psnr": round(psnr, 2)}


def _read(path: Path, model: ImageModel) -> Tensor:
    return read_image(path, model)  # type: ignore[arg-type]
