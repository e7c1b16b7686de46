"""Training steps on a device: ours in each precision, layout and way of compiling, beside two peers as they are tuned.

A contender is a function that makes one step; what a user's loop does is in it: batch, noise, times, forward, backward,
clipping, optimizer, average.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from unnoise.data import Images, Loader
from unnoise.models.assembly import build_model
from unnoise.objectives import Denoising
from unnoise.runtime.precision import computing_in, products_in
from unnoise.training.engine import OFF, Engine
from unnoise.training.settings import TrainSettings
from unnoise.training.trainer import Trainer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from contenders import stand_in_for_torchvision

HEAD = 64
"""Channels of a head of attention: what fused kernels are made for."""


@dataclass(frozen=True)
class Size:
    """A U-Net for 32x32 with attention at 16x16, and the images of a step. peer_dim: the width at which
    denoising-diffusion-pytorch has about as many parameters."""

    channels: int
    batch: int
    peer_dim: int
    multipliers: tuple[int, ...] = (1, 2, 2)
    image_channels: int = 3
    pixels: int = 32

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(self.channels * multiplier for multiplier in self.multipliers)


SIZES = {"wide": Size(256, 128, 288), "medium": Size(64, 256, 72), "small": Size(32, 512, 32)}
SMALL_SIZES = {"tiny": Size(8, 4, 8)}


@dataclass(frozen=True)
class How:
    """precision: 'fp32', 'tf32', 'bf16'; compile: 'off', 'regions' (blocks), 'whole'."""

    library: str
    precision: str
    channels_last: bool = False
    compile: str = OFF

    def __str__(self) -> str:
        layout = ", channels last" if self.channels_last else ""
        compiled = {OFF: "", "regions": ", blocks compiled", "whole": ", compiled"}[self.compile]
        return f"{self.library}, {self.precision}{layout}{compiled}"


@dataclass
class Contender:
    """step: makes a training step; forward_flops: of one image's forward pass."""

    step: Callable[[], None]
    parameters: int
    forward_flops: int


def unnoise(size: Size, how: How, device: str) -> Contender:
    settings = TrainSettings(batch_size=size.batch, warmup=0, ema=0.9999, learning_rate=1e-4)
    engine = Engine(device, how.precision, how.channels_last, how.compile)
    heads = max(1, size.widths[1] // HEAD)
    network = {
        "kind": "unet", "channels": size.channels, "multipliers": size.multipliers, "blocks": 2, "attention": (16,),
        "heads": heads,
    }  # fmt: skip
    shape = (size.image_channels, size.pixels, size.pixels)
    model: Any = build_model({"network": network}, shape, 0)
    flops = forward_flops(lambda x: model.network(x, torch.zeros(len(x))), shape)
    engine.prepare(model)
    pixels = np.random.default_rng(0).integers(0, 256, (4 * size.batch, *shape), dtype=np.uint8)
    trainer = Trainer(Denoising(model), Loader(Images(pixels), size.batch, 0, device), settings, engine)
    return Contender(lambda: void(trainer.advance()), count(model), flops)


def diffusers(size: Size, how: How, device: str) -> Contender:
    """The loop of diffusers' unconditional training example without accelerate; data already on the device, a fused
    optimizer and an average by foreach, as a user who tunes it would have."""
    from diffusers import DDPMScheduler, UNet2DModel  # type: ignore[import-not-found]
    from diffusers.training_utils import EMAModel  # type: ignore[import-not-found]

    model: Any = UNet2DModel(
        sample_size=size.pixels,
        in_channels=size.image_channels,
        out_channels=size.image_channels,
        layers_per_block=2,
        block_out_channels=size.widths,
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=8 if size.channels % 32 else 32,
        attention_head_dim=min(HEAD, size.widths[1]),
    )
    shape = (size.image_channels, size.pixels, size.pixels)
    flops = forward_flops(lambda x: model(x, torch.zeros(len(x))), shape)
    model.to(device)
    network = laid_out(model, how)
    scheduler = DDPMScheduler(1000)
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.to(device)
    average = EMAModel(model.parameters(), decay=0.9999, use_ema_warmup=True, foreach=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6, fused=True)
    images = random_images(size, how, device)

    def step() -> None:
        noise, t = torch.randn_like(images), torch.randint(0, 1000, (size.batch,), device=device)
        with products_in(device, how.precision):
            with computing_in(device, how.precision):
                answer = network(scheduler.add_noise(images, noise, t), t).sample
                loss = F.mse_loss(answer.float(), noise)
            loss.backward()
        finish(model, optimizer)
        average.step(model.parameters())

    return Contender(step, count(model), flops)


def denoising_diffusion_pytorch(size: Size, how: How, device: str) -> Contender:
    """Its Unet and GaussianDiffusion; Adam, clipping and ema_pytorch as in its Trainer."""
    stand_in_for_torchvision()
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet  # type: ignore[import-not-found]
    from ema_pytorch import EMA  # type: ignore[import-not-found]

    model: Any = Unet(dim=size.peer_dim, channels=size.image_channels, dim_mults=size.multipliers)
    shape = (size.image_channels, size.pixels, size.pixels)
    flops = forward_flops(lambda x: model(x, torch.zeros(len(x))), shape)
    diffusion = GaussianDiffusion(model, image_size=size.pixels, timesteps=1000).to(device)
    average = EMA(diffusion, beta=0.995, update_every=10)
    diffusion.model = laid_out(diffusion.model, how)
    optimizer = torch.optim.Adam(diffusion.parameters(), lr=1e-4, fused=True)
    images = (random_images(size, how, device) + 1) / 2

    def step() -> None:
        with products_in(device, how.precision):
            with computing_in(device, how.precision):
                loss = diffusion(images)
            loss.backward()
        finish(diffusion, optimizer)
        average.update()

    return Contender(step, count(model), flops)


LIBRARIES = {"unnoise": unnoise, "diffusers": diffusers, "denoising-diffusion-pytorch": denoising_diffusion_pytorch}


def laid_out(model: nn.Module, how: How) -> nn.Module:
    """The model in the memory layout and compiled as `how` says."""
    if how.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if how.compile != OFF:
        model.compile(dynamic=False)
    return model


def finish(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """What follows a backward pass."""
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()


def random_images(size: Size, how: How, device: str) -> Tensor:
    images = torch.rand(size.batch, size.image_channels, size.pixels, size.pixels, device=device) * 2 - 1
    return images.to(memory_format=torch.channels_last) if how.channels_last else images


def forward_flops(forward: Callable[[Tensor], Any], shape: tuple[int, int, int]) -> int:
    """FLOPs of one image's forward pass (a multiply-add is two)."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        forward(torch.zeros(1, *shape))
    return counter.get_total_flops()


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def void(_: object) -> None:
    """A step's answer is left on the device."""
