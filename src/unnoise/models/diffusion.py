"""The diffusion model: a network, a schedule, a parametrization and a codec, read as a Denoiser."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from unnoise.data.batch import Batch
from unnoise.guidance.clipping import Clipped
from unnoise.models.codec import CODECS, Codec, Pixels
from unnoise.models.image_model import ImageModel
from unnoise.networks import NETWORKS
from unnoise.networks.combined import build_conditioner, conditioner_spec
from unnoise.networks.conditioner import Conditioner
from unnoise.networks.lora import add_lora
from unnoise.process.denoiser import Denoised, Denoiser
from unnoise.process.gaussian import per_row
from unnoise.process.parametrization import PARAMETRIZATIONS, Parametrization
from unnoise.process.schedule import SCHEDULES, Schedule
from unnoise.registry import build, check_keys, spec_of
from unnoise.samplers import DDIM, Point, Sampler
from unnoise.seeding import SeededNoise

Guidance = Callable[[Denoiser], Denoiser]

PARTS: dict[str, dict[str, type]] = {
    "network": NETWORKS,
    "schedule": SCHEDULES,
    "parametrization": PARAMETRIZATIONS,
    "codec": CODECS,
}
"""The nouns that a diffusion model's sentence is made of, each with its table of names; a conditioner may join them."""

DEFAULTS = {"network": "unet", "schedule": "linear-betas", "parametrization": "eps", "codec": "pixels"}

FOUND = {
    "network": ("in_channels", "out_channels", "image_size", "vector_dim", "token_dim", "spatial_channels"),
    "codec": ("image_shape",),
}
"""Arguments that come from the data or from another part, and are not keys of a configuration."""

OPTIONS = ("clip", "learned_variance")
LORA = ("rank", "alpha", "where")


class Diffusion(ImageModel):
    """A Denoiser made of a network (Ho et al. 2020 and its successors).

    shape: (C, H, W) of the images. conditioner: turns a batch's conditions into a `Conditioning`, or None.
    clip: whether sampling clamps the denoised image to [-1, 1], as suits pixels.
    learned_variance: the network answers twice the channels; the second half v in [0, 1] mixes log beta and
    log beta-tilde (Nichol & Dhariwal 2021, equation 15).
    lora: {rank, alpha, where}: low-rank adapters on the network are all that learns (`networks.lora`).
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: Schedule,
        parametrization: Parametrization,
        *,
        shape: tuple[int, int, int],
        codec: Codec | None = None,
        conditioner: Conditioner | None = None,
        clip: bool = True,
        learned_variance: bool = False,
        lora: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(shape)
        self.network = network
        self.schedule = schedule
        self.parametrization = parametrization
        self.codec: Codec = codec or Pixels(shape)
        self.conditioner = conditioner
        self.clip = clip
        self.learned_variance = learned_variance
        self.lora = lora
        if lora is not None:
            self._adapt(lora)

    @classmethod
    def build(cls, spec: Mapping[str, Any], shape: tuple[int, int, int], classes: int) -> Diffusion:
        """The sentence that `spec` writes: a spec for each of PARTS, and OPTIONS."""
        check_keys(spec, (*PARTS, "conditioner", "lora", *OPTIONS), "model")
        parts = {**DEFAULTS, **spec}
        codec = build(CODECS, parts["codec"], "codec", image_shape=shape)
        conditioner = _conditioner(spec, shape, classes)
        learned_variance = bool(spec.get("learned_variance", False))
        channels, *size = codec.code_shape
        network = build(
            NETWORKS,
            parts["network"],
            "network",
            in_channels=channels,
            out_channels=channels * (2 if learned_variance else 1),
            image_size=tuple(size),
            vector_dim=0 if conditioner is None else conditioner.vector_dim,
            token_dim=0 if conditioner is None else conditioner.token_dim,
            spatial_channels=0 if conditioner is None else conditioner.spatial_channels,
        )
        return cls(
            network,
            build(SCHEDULES, parts["schedule"], "schedule"),
            build(PARAMETRIZATIONS, parts["parametrization"], "parametrization"),
            shape=shape,
            codec=codec,
            conditioner=conditioner,
            clip=bool(spec.get("clip", True)),
            learned_variance=learned_variance,
            lora=spec.get("lora"),
        )

    def spec(self) -> dict[str, Any]:
        parts = {
            name: spec_of(table, getattr(self, name), without=FOUND.get(name, ())) for name, table in PARTS.items()
        }
        if self.conditioner is not None:
            parts["conditioner"] = conditioner_spec(self.conditioner)
        if self.lora is not None:
            parts["lora"] = dict(self.lora)
        return {**{name: getattr(self, name) for name in OPTIONS}, **parts}

    def _adapt(self, lora: Mapping[str, Any]) -> None:
        check_keys(lora, LORA, "model.lora")
        self.requires_grad_(False)
        add_lora(self.network, **lora)

    def predict(self, x_t: Tensor, t: Tensor, cond: Any = None) -> tuple[Tensor, Tensor | None]:
        """The network's answers: the target (B, C, H, W) and, where learned, v (B, C, H, W) in [0, 1].

        x_t (B, C, H, W); t () or (B,) float64 on the CPU; cond: a mapping such as {'label': (B,)}, or None.
        """
        scale = self.parametrization.input_scale(self.schedule, t)
        level = self.parametrization.noise_level(self.schedule, t).to(x_t.device, x_t.dtype).expand(len(x_t))
        conditioning = None if self.conditioner is None else self.conditioner(cond, len(x_t))
        output = self.network(per_row(scale, x_t) * x_t, level, conditioning)
        if not self.learned_variance:
            return output, None
        target, v = output.chunk(2, dim=1)
        return target, (v + 1) / 2

    def forward(self, x_t: Tensor, t: Tensor, cond: Any = None) -> Denoised:
        """The Denoiser: what the network makes of x_t at time t."""
        output, var_mix = self.predict(x_t, t, cond)
        denoised = self.parametrization.invert(self.schedule, output, x_t, t)
        return replace(denoised, var_mix=var_mix)

    def encoded(self, batch: Batch) -> Tensor:
        """What is diffused of a batch: the codes it brings, or those that the codec makes of its images."""
        return self.codec.encode(batch.image) if batch.code is None else batch.code

    def conditions(self, batch: Batch) -> Any:
        """What a batch tells the network: its conditions, and what the conditioner makes of the images themselves."""
        return None if self.conditioner is None else self.conditioner.derive(batch.image, batch.cond)

    @torch.no_grad()
    def sample(
        self,
        seeds: Sequence[int] = range(16),
        cond: Any = None,
        sampler: Sampler | None = None,
        guidance: Guidance | None = None,
    ) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] on the CPU's or the model's device, image i from seed i alone.

        sampler: `default_sampler()` unless given. guidance: wraps the denoiser, for example a classifier-free guidance.
        """
        if len(seeds) == 0:
            return torch.empty(0, *self.shape, device=self.device)
        sampler = sampler or self.default_sampler()
        return self.codec.decode(sampler.run(self.guided(guidance), self.prior(seeds), seeds, cond))

    def stream(
        self,
        seeds: Sequence[int],
        cond: Any = None,
        sampler: Sampler | None = None,
        guidance: Guidance | None = None,
    ) -> Iterator[Point]:
        """The sampler's stream of Points for these seeds: what progress bars, strips and pages read."""
        sampler = sampler or self.default_sampler()
        return sampler.stream(self.guided(guidance), self.prior(seeds), seeds, cond)

    def guided(self, guidance: Guidance | None = None) -> Denoiser:
        """The denoiser that sampling uses: guided, then clipped where the model clips."""
        denoiser: Denoiser = self if guidance is None else guidance(self)
        return Clipped(denoiser) if self.clip else denoiser

    def prior(self, seeds: Sequence[int]) -> Tensor:
        """x_T ~ p(x_T), one row per seed, on the model's device."""
        like = torch.empty(len(seeds), *self.codec.code_shape, device=self.device)
        return self.schedule.prior_std * SeededNoise(seeds).normal(like)

    def default_sampler(self) -> Sampler:
        """DDIM in 50 steps, or in as many as the schedule has."""
        native = self.schedule.grid
        return DDIM(steps=50 if native is None else min(50, len(native)))


def _conditioner(spec: Mapping[str, Any], shape: tuple[int, int, int], classes: int) -> Conditioner | None:
    if spec.get("conditioner") is None:
        return None
    conditioner = build_conditioner(spec["conditioner"], classes=classes, channels=shape[0])
    if "label" in conditioner.needs and classes == 0:
        raise ValueError("model.conditioner needs labels, and the images have none: put each class in its own folder")
    return conditioner
