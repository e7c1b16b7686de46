"""Training steps to compare: one function per contender, (size) -> (step, parameters, forward FLOPs per image).

A step is what a user's loop does: draw noise and times, forward, backward, clip to norm 1, optimizer, EMA.
"""

from __future__ import annotations

import copy
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Size:
    """A topology: image channels, base channels and multipliers of a U-Net at 32x32 with attention at 16x16."""

    image_channels: int
    channels: int
    multipliers: tuple[int, ...]
    batch: int = 64
    pixels: int = 32


SIZES = {"small": Size(1, 24, (1, 2, 2)), "large": Size(3, 64, (1, 2, 2))}

DDP_DIMS = {24: 24, 64: 72}
AZULA_WIDTHS = {24: (28, 48, 48), 64: (80, 128, 128)}
"""Widths at which the peers have about as many parameters as the topology of base width 24 or 64."""

Contender = tuple[Callable[[], None], nn.Module, Callable[[Tensor], Any]]
"""The step, the network (for its parameters) and one forward pass of it on an image batch (for its FLOPs)."""


def unnoise(size: Size, precision: str = "auto", keep: bool = True) -> Contender:
    import numpy as np

    from unnoise.data import Images, Loader
    from unnoise.models import Diffusion
    from unnoise.models.assembly import build_model
    from unnoise.objectives import Denoising
    from unnoise.training import engine as engines
    from unnoise.training.settings import TrainSettings
    from unnoise.training.trainer import Trainer

    if not keep:
        engines.keep_pages = lambda: False
    settings = TrainSettings(batch_size=size.batch, precision=precision, warmup=0, ema=0.9999, learning_rate=1e-4)
    engine = engines.choose_engine(settings, "cpu")
    network = {
        "kind": "unet", "channels": size.channels, "multipliers": size.multipliers, "blocks": 2, "attention": (16,),
    }  # fmt: skip
    shape = (size.image_channels, size.pixels, size.pixels)
    model = build_model({"network": network}, shape, 0)
    engine.prepare(model)
    pixels = np.random.default_rng(0).integers(0, 256, (512, *shape), dtype=np.uint8)
    assert isinstance(model, Diffusion)
    trainer = Trainer(Denoising(model), Loader(Images(pixels), size.batch, 0), settings, engine)

    def step() -> None:
        float(trainer.advance()["model"].grad_norm)

    return step, model, lambda x: model.network(x, torch.zeros(len(x)))


def diffusers(size: Size, bf16: bool = False, keep: bool = False) -> Contender:
    """The loop of diffusers' unconditional training example, without accelerate."""
    stand_in_for_torchvision()
    from diffusers import DDPMScheduler, UNet2DModel  # type: ignore[import-not-found]
    from diffusers.training_utils import EMAModel  # type: ignore[import-not-found]

    _keep(keep)
    widths = tuple(size.channels * multiplier for multiplier in size.multipliers)
    model = UNet2DModel(
        sample_size=size.pixels,
        in_channels=size.image_channels,
        out_channels=size.image_channels,
        layers_per_block=2,
        block_out_channels=widths,
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=8 if size.channels % 32 else 32,
        attention_head_dim=widths[1],
    )
    scheduler, average = DDPMScheduler(1000), EMAModel(model.parameters(), decay=0.9999, use_ema_warmup=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6)
    images = _images(size)

    def step() -> None:
        noise, t = torch.randn_like(images), torch.randint(0, 1000, (size.batch,))
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = F.mse_loss(model(scheduler.add_noise(images, noise, t), t).sample.float(), noise)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.step(model.parameters())
        loss.item()

    return step, model, lambda x: model(x, torch.zeros(len(x)))


def denoising_diffusion_pytorch(size: Size) -> Contender:
    """Its Unet and GaussianDiffusion, with Adam, clipping and ema_pytorch as in its Trainer; dim is chosen so that the
    parameters match."""
    stand_in_for_torchvision()
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet  # type: ignore[import-not-found]
    from ema_pytorch import EMA  # type: ignore[import-not-found]

    dim = DDP_DIMS[size.channels]
    model = Unet(dim=dim, channels=size.image_channels, dim_mults=size.multipliers)
    diffusion = GaussianDiffusion(model, image_size=size.pixels, timesteps=1000)
    average, optimizer = EMA(diffusion, beta=0.995, update_every=10), torch.optim.Adam(diffusion.parameters(), lr=1e-4)
    images = (_images(size) + 1) / 2

    def step() -> None:
        loss = diffusion(images)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(diffusion.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.update()
        loss.item()

    return step, model, lambda x: model(x, torch.zeros(len(x)))


def azula(size: Size) -> Contender:
    """azula's U-Net in a plain loop: AdamW, clipping, a deep-copied average. Widths are chosen to match parameters."""
    from azula.nn.unet import UNet  # type: ignore[import-not-found]

    widths = AZULA_WIDTHS[size.channels]
    model = UNet(size.image_channels, size.image_channels, hid_channels=widths, mod_features=2 * widths[0])
    average = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    images, embed = _images(size), nn.Linear(1, 2 * widths[0])

    def step() -> None:
        noise, t = torch.randn_like(images), torch.rand(size.batch, 1, 1, 1)
        x_t = torch.cos(t * torch.pi / 2) * images + torch.sin(t * torch.pi / 2) * noise
        loss = F.mse_loss(model(x_t, embed(t.flatten(1)).detach()), noise)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            for a, b in zip(average.parameters(), model.parameters(), strict=True):
                a.lerp_(b, 1e-4)
        loss.item()

    return step, model, lambda x: model(x, embed(torch.zeros(len(x), 1)))


CONTENDERS: dict[str, Callable[[Size], Contender]] = {
    "unnoise": unnoise,
    "unnoise fp32": lambda size: unnoise(size, "fp32"),
    "unnoise fp32, plain allocator": lambda size: unnoise(size, "fp32", keep=False),
    "diffusers": diffusers,
    "diffusers + kept pages": lambda size: diffusers(size, keep=True),
    "diffusers + bf16": lambda size: diffusers(size, bf16=True),
    "diffusers + bf16 + kept pages": lambda size: diffusers(size, bf16=True, keep=True),
    "denoising-diffusion-pytorch": denoising_diffusion_pytorch,
    "azula": azula,
}


def forward_flops(forward: Callable[[Tensor], Any], size: Size) -> int:
    """FLOPs of one image's forward pass (a multiply-add is two)."""
    x = torch.zeros(1, size.image_channels, size.pixels, size.pixels)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        forward(x)
    return counter.get_total_flops()


def _images(size: Size) -> Tensor:
    return torch.rand(size.batch, size.image_channels, size.pixels, size.pixels) * 2 - 1


def _keep(keep: bool) -> None:
    if keep:
        from unnoise.runtime.cpu import keep_pages

        keep_pages()


def stand_in_for_torchvision() -> None:
    """The peer imports torchvision for its data loader, which the benchmark does not use."""
    if "torchvision" not in sys.modules:
        try:
            import torchvision  # type: ignore[import-not-found]  # noqa: F401
        except Exception:
            parts = {name: types.ModuleType(name) for name in ("torchvision", "torchvision.transforms")}
            for name, part in parts.items():
                part.__spec__ = ModuleSpec(name, None)  # libraries ask for it to see whether the package is there
            transforms = parts["torchvision.transforms"]
            parts["torchvision"].transforms = transforms  # type: ignore[attr-defined]
            parts["torchvision"].utils = types.SimpleNamespace()  # type: ignore[attr-defined]
            sys.modules.update(parts)
