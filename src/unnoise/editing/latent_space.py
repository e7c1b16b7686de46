"""The latent spaces of models: where images are interpolated, added and taken apart.

The latents of an autoencoder, a VAE or a GAN are what its decoder reads; those of a diffusion model are the noise that
DDIM's deterministic sampler turns into the image (Song et al. 2021, section 4.3).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from unnoise.aliases import Conditions, Observe
from unnoise.errors import NotApplicable
from unnoise.models import CanDenoise, CanReconstruct, CanSample, ImageModel
from unnoise.models.image_model import require, require_mean
from unnoise.process.denoiser import CountingDenoiser, Denoiser
from unnoise.samplers import DDIM, interpolate, invert, slerp
from unnoise.samplers.grids import at_most_native
from unnoise.sampling.conditions import rows_of

TINY = 1e-12
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


class DrawsConditions(CanDenoise, Protocol):
    """A denoiser that may draw conditions of its own, as a cluster: the members of `ImageModel` for that."""

    @property
    def own_choices(self) -> Mapping[str, int]: ...

    def completed(self, cond: Conditions | None, seeds: Sequence[int]) -> Conditions | None: ...

    def explained(self, cond: Conditions | None, observe: Observe, seen: Tensor) -> Conditions | None: ...


@dataclass(frozen=True)
class DDIMNoise:
    """The noise of a diffusion model's images, mixed along great circles: a sum is brought to the norm of noise.

    Of a model that draws a cluster for each image, latents are rows of the noise and of how much an image is in each
    cluster; these are mixed along straight lines.

    Args:
        model: the diffusion model, of images.
        steps: of DDIM, each way.
        cond: what a conditional model is given, both ways.
        asked: called with the number of images of every network call.
    """

    model: DrawsConditions
    steps: int = 100
    cond: Conditions | None = None
    asked: Callable[[int], object] = lambda count: None

    def encode(self, image: Tensor) -> Tensor:
        own = self.model.explained(None, lambda clean: clean, image) or {}
        x_0 = self.model.codec.encode(image)
        noise = invert(self._denoiser(), x_0, self._sampler(), self._told(own, len(x_0)), ITERATIONS)
        return self._joined(noise, own)

    def decode(self, z: Tensor) -> Tensor:
        noise, own = self._parted(z)
        drawn = self._sampler().run(self._denoiser(), noise, cond=self._told(own, len(z)))
        return self.model.codec.decode(drawn)

    def from_seeds(self, seeds: Sequence[int]) -> Tensor:
        return self._joined(self.model.prior(seeds), self.model.completed(None, seeds) or {})

    def between(self, a: Tensor, b: Tensor, fraction: float) -> Tensor:
        (noise_a, of_a), (noise_b, of_b) = self._parted(a), self._parted(b)
        weights = {name: torch.lerp(of_a[name], of_b[name], fraction) for name in of_a}
        return self._joined(slerp(noise_a, noise_b, fraction), weights)

    def renormalise(self, z: Tensor, like: Tensor) -> Tensor:
        (noise, own), (noise_like, _) = self._parted(z), self._parted(like)
        norms = [part.flatten(1).norm(dim=1).view(-1, *[1] * (part.ndim - 1)) for part in (noise, noise_like)]
        shares = {name: _shares(weights) for name, weights in own.items()}
        return self._joined(noise * (norms[1] / norms[0].clamp(min=TINY)), shares)

    def _joined(self, noise: Tensor, own: Conditions) -> Tensor:
        """Noise (B, c, h, w) and the number (B,) or the weights (B, K) of each own condition, as a row each."""
        if not self.model.own_choices:
            return noise
        weights = [_weights(own[name], count).to(noise) for name, count in self.model.own_choices.items()]
        return torch.cat([noise.flatten(1), *weights], dim=1)

    def _parted(self, z: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The opposite of `_joined`: the noise, and weights."""
        counts = self.model.own_choices
        if not counts:
            return z, {}
        noise, *weights = z.split([z.shape[1] - sum(counts.values()), *counts.values()], dim=1)
        return noise.view(-1, *self.model.codec.latent_shape), dict(zip(counts, weights, strict=True))

    def _told(self, own: Conditions, count: int) -> Conditions | None:
        return {**own, **(rows_of(self.cond, 0, count) or {})} or None

    def _sampler(self) -> DDIM:
        return DDIM(steps=at_most_native(self.model.schedule, self.steps), grid="uniform")

    def _denoiser(self) -> Denoiser:
        return CountingDenoiser(self.model, self.asked)


def _weights(own: Tensor, count: int) -> Tensor:
    """(B, count): of a number (B,) all of the weight."""
    return own if own.is_floating_point() else F.one_hot(own, count)


def _shares(weights: Tensor) -> Tensor:
    """None below 0, and 1 in all."""
    kept = weights.clamp(min=0)
    return kept / kept.sum(1, keepdim=True).clamp(min=TINY)


def latent_space(
    model: ImageModel,
    steps: int = 100,
    cond: Conditions | None = None,
    asked: Callable[[int], object] = lambda count: None,
) -> LatentSpace:
    """Where a model's images are mixed. steps, cond, asked: of diffusion models, see `DDIMNoise`."""
    if not isinstance(model, CanDenoise):
        return AutoencoderLatents(model)
    require_mean(model, "the noise of a picture")
    return DDIMNoise(model, steps, cond, asked)


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
    return back, 10 * math.log10(4 / max(float((back - image).square().mean()), TINY))


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
