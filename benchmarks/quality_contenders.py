"""Trainings to compare by the pictures they give after so many minutes: ours, and two peers as shipped and as tuned.

A contender is built from images and a seed. `step(elapsed)` makes one training step, `elapsed` being the fraction of
the time that is spent; `draw(n, calls, seed)` gives uint8 images (n, C, H, W) from the averaged weights as they are.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from contenders import stand_in_for_torchvision

ROWS = 64
"""Images drawn at once."""


class Contender(Protocol):
    """A training that can be looked at while it goes on."""

    calls: int
    """Network calls of the sampler that the contender itself takes."""

    def step(self, elapsed: float) -> None: ...

    def draw(self, n: int, calls: int, seed: int) -> np.ndarray: ...


@dataclass(frozen=True)
class Tuning:
    """What is tuned of a peer: learning rate, decay of its average, what its network predicts, images a step."""

    learning_rate: float
    average: float
    prediction: str
    batch: int


class Diffusers:
    """The loop of diffusers' unconditional training example: DDPM scheduler, AdamW, clipping, EMA with warm-up."""

    calls = 1000

    def __init__(self, images: np.ndarray, seed: int, minutes: float, tuning: Tuning | None = None) -> None:
        stand_in_for_torchvision()
        from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel  # type: ignore[import-not-found]
        from diffusers.training_utils import EMAModel  # type: ignore[import-not-found]

        torch.manual_seed(seed)
        channels, height, width = images.shape[1:]
        self.side = -(-max(height, width) // 4) * 4
        self.shape = (channels, height, width)
        self.net = UNet2DModel(
            sample_size=self.side,
            in_channels=channels,
            out_channels=channels,
            layers_per_block=1,
            block_out_channels=(32, 64, 64),
            down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=64,
        )
        kind = "v_prediction" if tuning is not None and tuning.prediction == "v" else "epsilon"
        betas = "squaredcos_cap_v2" if kind == "v_prediction" else "linear"
        self.noises = DDPMScheduler(1000, beta_schedule=betas, prediction_type=kind)
        self.fast = DDIMScheduler.from_config(self.noises.config, clip_sample=True)
        rate, decay = (1e-4, 0.9999) if tuning is None else (tuning.learning_rate, tuning.average)
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=rate, betas=(0.95, 0.999), weight_decay=1e-6)
        self.average = EMAModel(self.net.parameters(), decay=decay, use_ema_warmup=tuning is None)
        self.batches = batches(images, tuning.batch if tuning else 16, seed, self.side)
        self.warmup, self.rate, self.done = 500 if tuning is None else 100, rate, 0

    def step(self, elapsed: float) -> None:
        image = next(self.batches)
        noise, t = torch.randn_like(image), torch.randint(0, 1000, (len(image),))
        target = noise if self.noises.config.prediction_type == "epsilon" else self.noises.get_velocity(image, noise, t)
        loss = F.mse_loss(self.net(self.noises.add_noise(image, noise, t), t).sample, target)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * min(1.0, (self.done + 1) / self.warmup)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.average.step(self.net.parameters())
        self.done += 1

    @torch.no_grad()
    def draw(self, n: int, calls: int, seed: int) -> np.ndarray:
        self.average.store(self.net.parameters())
        self.average.copy_to(self.net.parameters())
        scheduler = self.noises if calls == 1000 else self.fast
        scheduler.set_timesteps(calls)
        parts, generator = [], torch.Generator().manual_seed(seed)
        for rows in chunks(n):
            x = torch.randn(rows, self.shape[0], self.side, self.side, generator=generator)
            for t in scheduler.timesteps:
                x = scheduler.step(self.net(x, t).sample, t, x, generator=generator).prev_sample
            parts.append(levels(x, self.shape))
        self.average.restore(self.net.parameters())
        return np.concatenate(parts)


class LucidrainsDDPM:
    """denoising-diffusion-pytorch: its Unet, GaussianDiffusion and the steps of its Trainer."""

    calls = 1000

    def __init__(self, images: np.ndarray, seed: int, minutes: float, tuning: Tuning | None = None) -> None:
        stand_in_for_torchvision()
        from denoising_diffusion_pytorch import GaussianDiffusion, Unet  # type: ignore[import-not-found]
        from ema_pytorch import EMA  # type: ignore[import-not-found]

        torch.manual_seed(seed)
        channels, height, width = images.shape[1:]
        self.side, self.shape = -(-max(height, width) // 8) * 8, (channels, height, width)
        net = Unet(dim=24, channels=channels, dim_mults=(1, 2, 2))
        kinds = {"noise": "pred_noise", "v": "pred_v"}
        objective = {} if tuning is None else {"objective": kinds[tuning.prediction]}
        self.model = GaussianDiffusion(net, image_size=self.side, timesteps=1000, **objective)
        rate, decay = (1e-4, 0.995) if tuning is None else (tuning.learning_rate, tuning.average)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=rate, betas=(0.9, 0.99))
        self.average = EMA(self.model, beta=decay, update_every=10)
        self.batches = batches(images, tuning.batch if tuning else 16, seed, self.side)

    def step(self, elapsed: float) -> None:
        loss = self.model((next(self.batches) + 1) / 2)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.average.update()

    @torch.no_grad()
    def draw(self, n: int, calls: int, seed: int) -> np.ndarray:
        model = self.average.ema_model
        torch.manual_seed(seed)
        parts = []
        for rows in chunks(n):
            shape = (rows, self.shape[0], self.side, self.side)
            model.sampling_timesteps, model.is_ddim_sampling = calls, calls < 1000
            x = model.ddim_sample(shape) if calls < 1000 else model.p_sample_loop(shape)
            parts.append(levels(x * 2 - 1, self.shape))
        return np.concatenate(parts)


def batches(images: np.ndarray, size: int, seed: int, side: int) -> Iterator[Tensor]:
    """Random batches for ever, padded with the border's pixels to side x side, in [-1, 1]."""
    draws = np.random.default_rng(seed)
    height, width = images.shape[2:]
    while True:
        rows = torch.from_numpy(images[np.sort(draws.choice(len(images), size, replace=False))])
        yield F.pad(rows.float() / 127.5 - 1, (0, side - width, 0, side - height), mode="replicate")


def levels(x: Tensor, shape: tuple[int, int, int]) -> np.ndarray:
    """uint8 of images in [-1, 1], without the padding."""
    cropped = x[..., : shape[1], : shape[2]]
    return ((cropped.clamp(-1, 1) + 1) * 127.5).round().byte().numpy()


def chunks(n: int) -> Iterator[int]:
    """Rows of batches that make n."""
    for start in range(0, n, ROWS):
        yield min(ROWS, n - start)


def snapshot(contender: Contender) -> Contender:
    """A copy that goes on training by itself."""
    return copy.deepcopy(contender)


Build = Callable[[np.ndarray, int, float], Contender]
PEERS: Mapping[str, Callable[..., Any]] = {"diffusers": Diffusers, "denoising-diffusion-pytorch": LucidrainsDDPM}
