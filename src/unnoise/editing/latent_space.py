"""Edits in the code space of a model: interpolation, arithmetic, traversal, and there and back.

The code space of an autoencoder, a VAE or a GAN is that of its codes; of a diffusion model it is the noise that DDIM's
deterministic sampler turns into the image (Song et al. 2021, section 4.3).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from unnoise.data import image_grid, save_gif, save_png
from unnoise.editing import read_image
from unnoise.errors import UserError
from unnoise.files import ends_in
from unnoise.models import CanReconstruct, CanSample, Diffusion, ImageModel
from unnoise.process.denoiser import CountingDenoiser, Denoiser
from unnoise.progress import progress_bar
from unnoise.runs.run import Run
from unnoise.samplers import DDIM, interpolate, invert, slerp
from unnoise.sampling.conditions import SampleConditions, rows_of
from unnoise.sampling.generate import cannot_sample, counted_calls

ITERATIONS = 4
"""Network calls of a DDIM step upwards."""


class LatentSpace(Protocol):
    """Images (B, C, H, W) to codes and back, and how codes are mixed."""

    def encode(self, image: Tensor) -> Tensor: ...

    def decode(self, z: Tensor) -> Tensor: ...

    def drawn(self, seeds: Sequence[int]) -> Tensor:
        """Latents of p(z), one per seed: those of the images that `unnoise sample` draws from these seeds."""
        ...

    def between(self, a: Tensor, b: Tensor, share: float) -> Tensor: ...

    def renormalise(self, z: Tensor, like: Tensor) -> Tensor:
        """A sum of codes, brought to where codes lie."""
        ...


@dataclass(frozen=True)
class AutoencoderLatents:
    """The codes of an autoencoder or a VAE, mixed along straight lines, or of a GAN, along great circles."""

    model: Any

    def encode(self, image: Tensor) -> Tensor:
        if not isinstance(self.model, CanReconstruct):
            raise UserError(
                f"{self.model.kind} has no encoder, so pictures of yours have no codes in it; give "
                "seeds, such as 3 8, for the images that it draws from them"
            )
        return self.model.encode(image)

    def decode(self, z: Tensor) -> Tensor:
        return self.model.decode(z)

    def drawn(self, seeds: Sequence[int]) -> Tensor:
        has_prior = isinstance(self.model, CanSample)
        if not has_prior:
            raise UserError(cannot_sample(self.model))
        return self.model.prior(seeds)

    def between(self, a: Tensor, b: Tensor, share: float) -> Tensor:
        return torch.lerp(a, b, share) if isinstance(self.model, CanReconstruct) else slerp(a, b, share)

    def renormalise(self, z: Tensor, like: Tensor) -> Tensor:
        return z


@dataclass(frozen=True)
class DDIMNoise:
    """The noise of a diffusion model's images, mixed along great circles: a sum is brought to the norm of noise.

    cond: what a conditional model is told, both ways. asked: called with the number of images of every network call.
    """

    model: Diffusion
    steps: int = 100
    cond: Any = None
    asked: Callable[[int], object] = lambda count: None

    def encode(self, image: Tensor) -> Tensor:
        code = self.model.codec.encode(image)
        return invert(self._denoiser(), code, self._sampler(), self._told(code), ITERATIONS)

    def decode(self, z: Tensor) -> Tensor:
        return self.model.codec.decode(self._sampler().run(self._denoiser(), z, cond=self._told(z)))

    def drawn(self, seeds: Sequence[int]) -> Tensor:
        return self.model.prior(seeds)

    def between(self, a: Tensor, b: Tensor, share: float) -> Tensor:
        return slerp(a, b, share)

    def renormalise(self, z: Tensor, like: Tensor) -> Tensor:
        norms = [part.flatten(1).norm(dim=1).view(-1, *[1] * (part.ndim - 1)) for part in (z, like)]
        return z * (norms[1] / norms[0].clamp(min=1e-12))

    def _sampler(self) -> DDIM:
        return DDIM(steps=self.steps, grid="uniform")

    def _denoiser(self) -> Denoiser:
        return CountingDenoiser(self.model, self.asked)

    def _told(self, like: Tensor) -> Any:
        return rows_of(self.cond, 0, len(like))


def latent_space(
    model: ImageModel, steps: int = 100, cond: Any = None, asked: Callable[[int], object] = lambda count: None
) -> LatentSpace:
    """Where a model's images are mixed. steps, cond, asked: of diffusion models, see `DDIMNoise`."""
    return DDIMNoise(model, steps, cond, asked) if isinstance(model, Diffusion) else AutoencoderLatents(model)


@torch.no_grad()
def interpolated(space: LatentSpace, a: Tensor, b: Tensor, count: int) -> Tensor:
    """(count, C, H, W) between the codes a and b (1, *), both ends included."""
    return space.decode(interpolate(a, b, count, space.between).flatten(0, 1))


@torch.no_grad()
def arithmetic(space: LatentSpace, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """The image of a - b + c, codes (1, *): what makes a out of b, done to c."""
    return space.decode(space.renormalise(a - b + c, c))


@torch.no_grad()
def reconstruct(space: LatentSpace, image: Tensor) -> tuple[Tensor, float]:
    """The image that its code gives, and its PSNR in dB for pixels in [-1, 1]."""
    back = space.decode(space.encode(image))
    return back, 10 * math.log10(4 / max(float((back - image).square().mean()), 1e-12))


@torch.no_grad()
def traversed(space: LatentSpace, code: Tensor, count: int, reach: float = 3.0, dims: int = 10) -> Tensor:
    """(dims * count, C, H, W): a row for each of the first numbers of the code, moved from -reach to reach.

    Raises UserError for a space in which single numbers mean nothing.
    """
    _check_few_numbers(space)
    rows = []
    for dim in range(min(dims, code[0].numel())):
        moved = code.flatten(1).repeat(count, 1)
        moved[:, dim] = torch.linspace(-reach, reach, count)
        rows.append(space.decode(moved.view(count, *code.shape[1:])))
    return torch.cat(rows)


def _check_few_numbers(space: LatentSpace) -> None:
    if isinstance(space, DDIMNoise):
        raise UserError("traversals need codes of few numbers: those of an autoencoder, a vae or a gan, not noise")


@torch.no_grad()
def edit_latents(
    folder: str | Path,
    task: str,
    givens: Sequence[str | Path],
    *,
    count: int = 8,
    steps: int = 100,
    conditions: SampleConditions | None = None,
    out: Path | None = None,
    device: str | None = None,
) -> dict[str, Any]:
    """interpolate A B, arithmetic A B C, invert A or traverse A; writes one grid, or a GIF of its images in turn.

    givens: picture files, or numbers for the images that the run draws from these seeds.
    conditions: what a conditional run is told. out: a .png or a .gif.
    Returns {task, images, out, seconds, network_calls}, and psnr for invert.
    """
    if len(givens) != NEEDED[task]:
        raise UserError(f"unnoise edit {task} takes {NEEDED[task]} pictures or seeds, got {len(givens)}")
    run = Run.open(folder)
    out = out or run.folder / "samples" / f"{task}-{'-'.join(Path(given).stem for given in givens)}.png"
    ends_in(out, ".png", ".gif")
    model = run.load(device)
    cond = (conditions or SampleConditions()).for_model(model, run.classes)
    read = [_read(given, model) for given in givens]
    upwards = sum(not isinstance(given, int) for given in read)
    begun = time.perf_counter()
    with counted_calls(model) as calls, progress_bar() as progress:
        bar = progress.add_task(task, total=steps * (ITERATIONS * upwards + 1))
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


NEEDED = {"interpolate": 2, "arithmetic": 3, "invert": 1, "traverse": 1}
"""How many pictures each task takes."""


def _read(given: str | Path, model: ImageModel) -> Tensor | int:
    """A picture (1, C, H, W), or a seed where no file is called so."""
    return int(str(given)) if str(given).isdecimal() and not Path(given).exists() else read_image(Path(given), model)


def _code(space: LatentSpace, given: Tensor | int) -> Tensor:
    return space.drawn([given]) if isinstance(given, int) else space.encode(given)


def _apply(
    task: str, space: LatentSpace, givens: Sequence[Tensor | int], count: int
) -> tuple[Tensor, int, dict[str, Any]]:
    """The images of the grid, its columns, and what else there is to say."""
    if task == "invert":
        image = givens[0]
        if isinstance(image, int):
            raise UserError("unnoise edit invert takes a picture: a seed is a code already")
        back, psnr = reconstruct(space, image)
        return torch.cat([image, back]), 2, {"psnr": round(psnr, 2)}
    if task == "traverse":
        _check_few_numbers(space)  # before the network is called hundreds of times for a code
        return traversed(space, _code(space, givens[0]), count), count, {}
    codes = [_code(space, given) for given in givens]
    if task == "interpolate":
        return interpolated(space, codes[0], codes[1], count), count, {}
    shown = [space.decode(code) if isinstance(given, int) else given for code, given in zip(codes, givens, strict=True)]
    return torch.cat([*shown, arithmetic(space, codes[0], codes[1], codes[2])]), 4, {}


def _write(images: Tensor, columns: int, out: Path) -> None:
    if out.suffix.lower() == ".gif":
        save_gif([image_grid(image[None], padding=0) for image in images], out)
    else:
        save_png(image_grid(images, columns=columns), out)
