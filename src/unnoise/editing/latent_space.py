"""The latent spaces of models: where images are interpolated, added and taken apart.

The latents of an autoencoder, a VAE or a GAN are what its decoder reads; those of a diffusion model are the noise that
DDIM's deterministic sampler turns into the image (Song et al. 2021, section 4.3).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from unnoise.aliases import Conditions
from unnoise.errors import NotApplicable
from unnoise.models import CanDenoise, CanReconstruct, CanSample, ImageModel
from unnoise.models.image_model import require, require_mean
from unnoise.process.denoiser import CountingDenoiser, Denoiser
from unnoise.samplers import DDIM, interpolate, invert, slerp
from unnoise.samplers.grids import at_most_native
from unnoise.sampling.conditions import rows_of

ITERATIONS = 4
"""Network calls of a DDIM step upwards."""


class LatentSpace(Protocol):
    """Images (B, C, H, W) to latents and back, and how latents are mixed."""

    def encode(self, image: Tensor) -> Tensor: ...

    def decode(self, z: Tensor) -> Tensor: ...

    def from_seeds(self, seeds: Sequence[int]) -> Tensor:
        """Latents of p(z), one per seed: those of the images that `unnoise sample` generates from these seeds."""
        ...

    def between(self, a: Tensor, b: Tensor, fraction: float) -> Tensor: ...

    def renormalise(self, z: Tensor, like: Tensor) -> Tensor:
        """A sum of latents, brought to the norm that latents have."""
        ...


@dataclass(frozen=True)
class AutoencoderLatents:
    """The latents of an autoencoder or a VAE, mixed along straight lines, or of a GAN, along great circles."""

    model: Any

    def encode(self, image: Tensor) -> Tensor:
        if not isinstance(self.model, CanReconstruct):
            raise NotApplicable(
                f"{self.model.kind} has no encoder, so pictures have no latents in it; give "
                "seeds, such as 3 8, for the images that it generates from them"
            )
        return self.model.encode(image)

    def decode(self, z: Tensor) -> Tensor:
        return self.model.decode(z)

    def from_seeds(self, seeds: Sequence[int]) -> Tensor:
        return require(self.model, CanSample, "an image of a seed").prior(seeds)

    def between(self, a: Tensor, b: Tensor, fraction: float) -> Tensor:
        return torch.lerp(a, b, fraction) if isinstance(self.model, CanReconstruct) else slerp(a, b, fraction)

    def renormalise(self, z: Tensor, like: Tensor) -> Tensor:
        return z


@dataclass(frozen=True)
class DDIMNoise:
    """The noise of a diffusion model's images, mixed along great circles: a sum is brought to the norm of noise.

    Args:
        model: the diffusion model.
        steps: of DDIM, each way.
        cond: what a conditional model is given, both ways.
        asked: called with the number of images of every network call.
    """

    model: CanDenoise
    steps: int = 100
    cond: Conditions | None = None
    asked: Callable[[int], object] = lambda count: None

    def encode(self, image: Tensor) -> Tensor:
        z = self.model.codec.encode(image)
        return invert(self._denoiser(), z, self._sampler(), rows_of(self.cond, 0, len(z)), ITERATIONS)

    def decode(self, z: Tensor) -> Tensor:
        drawn = self._sampler().run(self._denoiser(), z, cond=rows_of(self.cond, 0, len(z)))
        return self.model.codec.decode(drawn)

    def from_seeds(self, seeds: Sequence[int]) -> Tensor:
        return self.model.prior(seeds)

    def between(self, a: Tensor, b: Tensor, fraction: float) -> Tensor:
        return slerp(a, b, fraction)

    def renormalise(self, z: Tensor, like: Tensor) -> Tensor:
        norms = [part.flatten(1).norm(dim=1).view(-1, *[1] * (part.ndim - 1)) for part in (z, like)]
        return z * (norms[1] / norms[0].clamp(min=1e-12))

    def _sampler(self) -> DDIM:
        return DDIM(steps=at_most_native(self.model.schedule, self.steps), grid="uniform")

    def _denoiser(self) -> Denoiser:
        return CountingDenoiser(self.model, self.asked)


def latent_space(
    model: ImageModel,
    steps: int = 100,
    cond: Conditions | None = None,
    asked: Callable[[int], object] = lambda count: None,
    only: Tensor | None = None,
) -> LatentSpace:
    """Where a model's images are mixed. steps, cond, asked: of diffusion models, see `DDIMNoise`. only: the picture
    (1, C, H, W) that is all of the space, which is then told the cluster that a model draws by itself."""
    if not isinstance(model, CanDenoise):
        return AutoencoderLatents(model)
    if only is not None:
        cond = model.explained(cond, lambda image: image, only)
    return DDIMNoise(require_mean(model, "the noise of a picture"), steps, cond, asked)


@torch.no_grad()
def interpolated(space: LatentSpace, a: Tensor, b: Tensor, count: int) -> Tensor:
    """(count, C, H, W) between the latents a and b (1, *), both ends included."""
    return space.decode(interpolate(a, b, count, space.between).flatten(0, 1))


@torch.no_grad()
def arithmetic(space: LatentSpace, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """The image of a - b + c, latents (1, *): the change that makes a out of b, applied to c."""
    return space.decode(space.renormalise(a - b + c, c))


@torch.no_grad()
def reconstruct(space: LatentSpace, image: Tensor) -> tuple[Tensor, float]:
    """The image that its latents give, and its PSNR in dB for pixels in [-1, 1]."""
    back = space.decode(space.encode(image))
    return back, 10 * math.log10(4 / max(float((back - image).square().mean()), 1e-12))


@torch.no_grad()
def traversed(space: LatentSpace, z: Tensor, count: int, reach: float = 3.0, dims: int = 10) -> Tensor:
    """(dims * count, C, H, W): a row for each of the first dimensions of a latent, varied from -reach to reach.

    Raises:
        NotApplicable: for a space in which single dimensions mean nothing.
    """
    check_traversable(space)
    rows = []
    for dim in range(min(dims, z[0].numel())):
        moved = z.flatten(1).repeat(count, 1)
        moved[:, dim] = torch.linspace(-reach, reach, count)
        rows.append(space.decode(moved.view(count, *z.shape[1:])))
    return torch.cat(rows)


def check_traversable(space: LatentSpace) -> None:
    """Raises NotApplicable for a space in which single dimensions mean nothing."""
    if isinstance(space, DDIMNoise):
        raise NotApplicable("a traversal needs latents of few dimensions: of an autoencoder, a vae or a gan, not noise")
