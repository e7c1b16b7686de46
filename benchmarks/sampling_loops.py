"""Sampling loops to compare, all around one network: one function per contender, (network, shape, steps) -> a loop.

A loop draws `len(seeds)` images from noise of its own and returns them. The peers' loops are those of their pipelines
without progress bars and picture files: diffusers' DDIMPipeline with three schedulers, and GaussianDiffusion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from unnoise.models import Diffusion
from unnoise.process.parametrization import Eps
from unnoise.process.schedule import LinearBetas
from unnoise.samplers import DDIM, Ancestral, DPMSolver, Sampler, SDEDPMSolver, UniPC

Shape = tuple[int, int, int]
Loop = Callable[[Sequence[int]], Tensor]


class Timed(nn.Module):
    """A network that adds up the seconds spent in it."""

    def __init__(self, network: nn.Module, clock: Callable[[], float]) -> None:
        super().__init__()
        self.network, self.clock, self.seconds = network, clock, 0.0

    def forward(self, x: Tensor, noise_level: Tensor, conditioning: Any = None) -> Tensor:
        begun = self.clock()
        output = self.network(x, noise_level, conditioning)
        self.seconds += self.clock() - begun
        return output


class Instant(nn.Module):
    """A network that answers at once, with fixed numbers."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.output = nn.Parameter(torch.randn(*shape), requires_grad=False)

    def forward(self, x: Tensor, noise_level: Tensor, conditioning: Any = None) -> Tensor:
        return self.output


def unnoise(sampler: type[Sampler], network: nn.Module, shape: Shape, steps: int) -> Loop:
    model = Diffusion(network, LinearBetas(), Eps(), shape=shape).eval()
    return lambda seeds: model.sample(seeds, sampler=sampler(steps=steps))


def diffusers(scheduler: str, network: nn.Module, shape: Shape, steps: int) -> Loop:
    made = getattr(import_module("diffusers"), scheduler)()
    device = next(network.parameters()).device

    @torch.no_grad()
    def loop(seeds: Sequence[int]) -> Tensor:
        made.set_timesteps(steps, device=device)
        draws = [torch.Generator().manual_seed(seed) for seed in seeds]
        x = torch.stack([torch.randn(shape, generator=draw) for draw in draws]).to(device)
        for t in made.timesteps:
            eps = network(x, t.expand(len(x)).float())
            x = made.step(eps, t, x).prev_sample
        return x

    return loop


def denoising_diffusion_pytorch(network: nn.Module, shape: Shape, steps: int) -> Loop:
    from contenders import stand_in_for_torchvision

    stand_in_for_torchvision()
    peer: Any = import_module("denoising_diffusion_pytorch.denoising_diffusion_pytorch")
    peer.tqdm = lambda items, **_: items
    wrapped = _AsUnet(network, shape[0])
    made = peer.GaussianDiffusion(
        wrapped, image_size=shape[1:], timesteps=1000, sampling_timesteps=steps, beta_schedule="linear"
    )
    return lambda seeds: made.sample(batch_size=len(seeds))


class _AsUnet(nn.Module):
    """The network with what GaussianDiffusion asks of its own Unet."""

    random_or_learned_sinusoidal_cond = self_condition = False

    def __init__(self, network: nn.Module, channels: int) -> None:
        super().__init__()
        self.network, self.channels, self.out_dim = network, channels, channels

    def forward(self, x: Tensor, t: Tensor, self_cond: Tensor | None = None) -> Tensor:
        return self.network(x, t.float())


def _ours(sampler: type[Sampler]) -> Callable[[nn.Module, Shape, int], Loop]:
    return lambda network, shape, steps: unnoise(sampler, network, shape, steps)


def _theirs(scheduler: str) -> Callable[[nn.Module, Shape, int], Loop]:
    return lambda network, shape, steps: diffusers(scheduler, network, shape, steps)


LOOPS: dict[str, Callable[[nn.Module, Shape, int], Loop]] = {
    "unnoise DDIM": _ours(DDIM),
    "unnoise DPM-Solver++ 2M": _ours(DPMSolver),
    "unnoise UniPC-2": _ours(UniPC),
    "diffusers DDIM": _theirs("DDIMScheduler"),
    "diffusers DPM-Solver++ 2M": _theirs("DPMSolverMultistepScheduler"),
    "diffusers UniPC-2": _theirs("UniPCMultistepScheduler"),
    "denoising-diffusion-pytorch DDIM": denoising_diffusion_pytorch,
}
MORE = {"unnoise DDPM": _ours(Ancestral), "unnoise SDE-DPM-Solver++ 2M": _ours(SDEDPMSolver)}
"""Samplers that draw noise, which only the overhead is measured of."""


def rival(name: str) -> str:
    """Our loop with the same method."""
    return f"unnoise {name.split(' ', 1)[1]}"
