"""The diffusion model: a network, a schedule, a parametrization and a codec, read as a Denoiser."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from unnoise.aliases import Columns, Observe, Record, Spec
from unnoise.data.batch import Batch
from unnoise.errors import UserError
from unnoise.guidance.clipping import Clipped
from unnoise.host import sent
from unnoise.models.cached_conditioning import CachedConditioning
from unnoise.models.codec import Latents, Pixels
from unnoise.models.generative import GenerativeModel
from unnoise.models.image_model import CanDenoise, CanReconstruct, Conditions, Guidance
from unnoise.models.sample_arguments import SampleArguments
from unnoise.models.sentence import FOUND, LORA, OF_STUDENTS, OPTIONS, PARTS, parts_of
from unnoise.models.told import UNTOLD, Scalars, Told
from unnoise.networks.activations import ShowsActivations
from unnoise.networks.combined import conditioner_spec
from unnoise.networks.conditioner import Conditioner, Conditioning
from unnoise.networks.lora import add_lora
from unnoise.networks.sizes import AnySize
from unnoise.process.codec import Codec
from unnoise.process.denoiser import Denoised, Denoiser
from unnoise.process.gaussian import per_row
from unnoise.process.level import is_one_time
from unnoise.process.parametrization import Parametrization
from unnoise.process.schedule import Schedule
from unnoise.progress import late_bar
from unnoise.registry import check_keys, spec_of
from unnoise.runtime.cuda_graphs import captured
from unnoise.samplers import DDIM, Point, Sampler
from unnoise.samplers.grids import at_most_native
from unnoise.seeding import SeededNoise

CAPTURE_PAYS_FROM = 20
"""Network calls: recording a CUDA graph takes about as long as four."""


class Diffusion(GenerativeModel, CanDenoise):
    """A Denoiser made of a network (Ho et al. 2020 and its successors).

    shape: (C, H, W) of the images. conditioner: turns a batch's conditions into a `Conditioning`, or None.
    clip: whether sampling clamps the denoised image to [-1, 1], as suits pixels.
    learned_variance: the network answers twice the channels; the second half v in [0, 1] mixes log beta and
    log beta-tilde (Nichol & Dhariwal 2021, equation 15).
    jumps: its x_0 is where a path ends, in place of E[x_0 | x_t]: what students say of themselves, so that what needs
    the mean refuses them.
    flow_map: the network is told where a step ends, and answers with the x_0 and eps that lead there
    (`process.denoiser.TwoTimeDenoiser`); not told, it answers for the flow itself.
    guidance_range: the scales of classifier-free guidance that the network is told, in place of being asked twice (Meng
    et al. 2023, section 3.1).
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
        jumps: bool = False,
        flow_map: bool = False,
        guidance_range: tuple[float, float] | None = None,
        lora: Spec | None = None,
    ) -> None:
        super().__init__(shape)
        self.network = network
        self.schedule = schedule
        self.parametrization = parametrization
        self.codec: Codec = codec or Pixels(shape)
        self.conditioner = conditioner
        self.clip = clip
        self.learned_variance = learned_variance
        self.jumps = jumps
        self.flow_map = flow_map
        self.guidance_range = guidance_range
        self.scalars = Scalars(flow_map, guidance_range)
        self.lora = lora
        if lora is not None:
            self._adapt(lora)

    @classmethod
    def build(cls, spec: Spec, shape: tuple[int, int, int], classes: int) -> Diffusion:
        """The sentence that `spec` writes (`models.sentence`)."""
        return cls(**parts_of(spec, shape, classes))

    def spec(self) -> Record:
        parts: Record = {
            name: spec_of(table, getattr(self, name), without=FOUND.get(name, ())) for name, table in PARTS.items()
        }
        if self.conditioner is not None:
            parts["conditioner"] = conditioner_spec(self.conditioner)
        if self.lora is not None:
            parts["lora"] = dict(self.lora)
        told = {} if self.guidance_range is None else {"guidance_range": list(self.guidance_range)}
        chosen = {name: getattr(self, name) for name in OPTIONS if name not in OF_STUDENTS or getattr(self, name)}
        return {**chosen, **told, **parts}

    def _adapt(self, lora: Spec) -> None:
        check_keys(lora, LORA, "model.lora")
        self.requires_grad_(False)
        add_lora(self.network, **lora)

    def predict(
        self, x_t: Tensor, t: Tensor, cond: Conditions | None = None, told: Told = UNTOLD
    ) -> tuple[Tensor, Tensor | None]:
        """The network's answers: the target (B, C, H, W) and, where learned, v (B, C, H, W) in [0, 1].

        x_t (B, C, H, W); t () or (B,) float64 on the CPU; cond: a mapping such as {'label': (B,)}, or None.
        """
        return self._predict(x_t, t, self.conditioning(cond, x_t.shape[0]), told)

    def conditioning(self, cond: Conditions | None, count: int) -> Conditioning | None:
        """What the conditioner makes of the condition of so many images."""
        return None if self.conditioner is None else self.conditioner(cond, count)

    def _predict(
        self, x_t: Tensor, t: Tensor, conditioning: Conditioning | None, told: Told
    ) -> tuple[Tensor, Tensor | None]:
        scalars = self.scalars.of(told, self.schedule, t, x_t)
        if scalars is not None:
            conditioning = replace(conditioning or Conditioning(), scalars=scalars)
        given = self._network_input(x_t, t)  # a network of one's own need not take what the model does not have
        output = self.network(*given) if conditioning is None else self.network(*given, conditioning)
        if not self.learned_variance:
            return output, None
        target, v = output.chunk(2, dim=1)
        return target, (v + 1) / 2

    def _network_input(self, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """x_t as the network sees it, and its noise levels (B,)."""
        if is_one_time(t):
            c = self.parametrization.at(self.schedule, t)
            # Filled in on the device: a copy from the CPU would wait for it.
            level = torch.full((x_t.shape[0],), c.noise_level, dtype=x_t.dtype, device=x_t.device)
            return x_t if c.input_scale == 1 else c.input_scale * x_t, level
        level = sent(self.parametrization.noise_level(self.schedule, t), x_t.device, x_t.dtype)
        return per_row(self.parametrization.input_scale(self.schedule, t), x_t) * x_t, level.expand(x_t.shape[0])

    def forward(self, x_t: Tensor, t: Tensor, cond: Conditions | None = None, told: Told = UNTOLD) -> Denoised:
        """The Denoiser: what the network makes of x_t at time t."""
        return self.denoise(x_t, t, self.conditioning(cond, x_t.shape[0]), told)

    def denoise(self, x_t: Tensor, t: Tensor, conditioning: Conditioning | None, told: Told = UNTOLD) -> Denoised:
        """The same, from what the conditioner made of the condition."""
        output, var_mix = self._predict(x_t, t, conditioning, told)
        denoised = self.parametrization.invert(self.schedule, output, x_t, t)
        return denoised if var_mix is None else replace(denoised, var_mix=var_mix)

    def towards(self, s: Tensor) -> Denoiser:
        """The Denoiser, told that the step ends at time s; itself where it cannot be told."""
        return CachedConditioning(self, Told(towards=s)) if self.flow_map else self

    def activations(self, x_t: Tensor, t: Tensor, cond: Conditions | None = None) -> list[Tensor]:
        """What the network's layers make of x_t at time t, (B, c, h, w) each.

        Raises:
            UserError: for a network that does not show them.
        """
        if not isinstance(self.network, ShowsActivations):
            raise UserError(f"the network {type(self.network).__name__} does not show its layers; unet and dit do")
        return self.network.activations(*self._network_input(x_t, t), self.conditioning(cond, x_t.shape[0]))

    def encoded(self, batch: Batch) -> Tensor:
        """What is diffused of a batch: the latents it brings, or those that the codec makes of its images."""
        return self.codec.encode(batch.image) if batch.latents is None else batch.latents

    @property
    def condition_names(self) -> tuple[str, ...]:
        return () if self.conditioner is None else self.conditioner.names

    @property
    def needed_conditions(self) -> tuple[str, ...]:
        return () if self.conditioner is None else self.conditioner.needs

    @property
    def own_conditions(self) -> tuple[str, ...]:
        return () if self.conditioner is None else self.conditioner.draws

    @property
    def own_choices(self) -> Mapping[str, int]:
        found = {} if self.conditioner is None else self.conditioner.choices
        return {name: found[name] for name in self.own_conditions if name in found}

    def completed(self, cond: Conditions | None, seeds: Sequence[int]) -> Conditions | None:
        if self.conditioner is None or not self.conditioner.draws:
            return cond
        return {**self.conditioner.own(seeds), **(cond or {})}

    def explained(self, cond: Conditions | None, observe: Observe, seen: Tensor) -> Conditions | None:
        if self.conditioner is None or not self.conditioner.draws:
            return cond
        _, *size = self.shape
        return {**self.conditioner.explain(observe, seen, (size[0], size[1])), **(cond or {})}

    def fit_conditions(self, images: Callable[[], Iterable[Tensor]]) -> None:
        if self.conditioner is not None:
            self.conditioner.fit(images)

    def prepare_conditions(self, cond: Columns, folder: Path) -> None:
        if self.conditioner is not None:
            self.conditioner.prepare(cond, folder)

    def condition_notes(self, cond: Columns) -> tuple[str, ...]:
        return () if self.conditioner is None else self.conditioner.notes(cond)

    def conditions(self, batch: Batch) -> Conditions | None:
        """What a batch tells the network: its conditions, and what the conditioner makes of the images themselves."""
        if self.conditioner is None:
            return None
        derived = self.conditioner.derive(batch.image, batch.cond)
        return {name: derived[name] for name in (*self.condition_names, *self.conditioner.told) if name in derived}

    def resized(self, size: tuple[int, int]) -> Self:
        if not isinstance(self.codec, Pixels) or not isinstance(self.network, AnySize):
            return super().resized(size)
        other = copy.copy(self)  # shares its parts, and so the weights
        other.shape = (self.shape[0], *size)
        other.codec = Pixels(other.shape)
        return other

    @property
    def counted(self) -> nn.Module:
        return self.network

    @property
    def reconstructor(self) -> CanReconstruct | None:
        return self.codec if isinstance(self.codec, Latents) else None

    @property
    def works_in_latents(self) -> bool:
        return isinstance(self.codec, Latents)

    def _drawn(self, asked: SampleArguments) -> Tensor:
        sampler, x = asked.sampler or self.default_sampler(), self.prior(asked.seeds)
        with self.captured(sampler.steps), late_bar("sampling", sampler.steps) as advance:
            for point in sampler.stream(self.guided(asked.guidance), x, asked.seeds, asked.cond):
                x = point.x
                advance()
        return self.codec.decode(x)

    def stream(
        self,
        seeds: Sequence[int],
        cond: Conditions | None = None,
        sampler: Sampler | None = None,
        guidance: Guidance | None = None,
    ) -> Iterator[Point]:
        """The sampler's stream of Points for these seeds: what progress bars, strips and pages read."""
        self.check_conditions(cond, guidance)
        sampler, cond = sampler or self.default_sampler(), self.completed(cond, seeds)
        return sampler.stream(self.guided(guidance), self.prior(seeds), seeds, cond)

    @torch.no_grad()
    def decode_point(self, x: Tensor) -> Tensor:
        """What x of a Point looks like: images (N, C, H, W) in [-1, 1]."""
        return self.codec.decode(x)

    def guided(self, guidance: Guidance | None = None) -> Denoiser:
        """The denoiser that sampling uses: guided, then clipped where the model clips.

        Raises:
            UserError: for a guidance scale that a network which is told it has not learned.
        """
        told, guidance = self.scalars.heard(guidance)
        plain: Denoiser = self if self.conditioner is None else CachedConditioning(self, told)
        denoiser = plain if guidance is None else guidance(plain)
        return Clipped(denoiser) if self.clip else denoiser

    def in_range(self, x_0: Tensor) -> Tensor:
        """x_0 as sampling leaves it: clamped to [-1, 1] where the model clips."""
        return x_0.clamp(-1, 1) if self.clip else x_0

    def captured(self, calls: int = CAPTURE_PAYS_FROM, *, compile: bool = False) -> AbstractContextManager[None]:
        """While it lasts, sampling on a GPU replays CUDA graphs, where so many network calls are worth recording one.

        Around several calls of `sample` it keeps the graphs between them. compile: with torch.compile, on any device.
        """
        worth = compile or calls >= CAPTURE_PAYS_FROM
        return captured(self.network, self.device, compile=compile) if worth else nullcontext()

    def prior(self, seeds: Sequence[int]) -> Tensor:
        """x_T ~ p(x_T), one row per seed, on the model's device."""
        like = torch.empty(len(seeds), *self.codec.latent_shape, device=self.device)
        return self.schedule.prior_std * SeededNoise(seeds).normal(like)

    def default_sampler(self) -> Sampler:
        """DDIM in 50 steps, or in as many as the schedule has."""
        return DDIM(steps=at_most_native(self.schedule, 50))
