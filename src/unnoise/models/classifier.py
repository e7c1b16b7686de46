"""A classifier of noisy images, for guidance."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unnoise.errors import UserError
from unnoise.host import sent
from unnoise.models.image_model import ImageModel
from unnoise.networks.embedding import SinusoidalEmbedding
from unnoise.networks.layers import Downsample, ResidualBlock, group_norm
from unnoise.process.gaussian import per_row
from unnoise.process.schedule import Schedule
from unnoise.registry import Count, Fraction, Positive, Sizes

FULL_TURN = 1000.0
"""What the embedding sees at pure noise; 0 at none."""


class Classifier(ImageModel):
    """p(label | x_t) at every noise level (Dhariwal & Nichol 2021, section 4).

    It sees cos(a) x_0 + sin(a) eps and the angle a: x_t over sqrt(alpha_t^2 + sigma_t^2), tan(a) = sigma_t / alpha_t.
    So it knows no schedule, and guides samplers on any of them. channels, multipliers, blocks: of its levels, each half
    the resolution of the one before. classes: found from the data.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        *,
        channels: Positive = 32,
        multipliers: Sizes = (1, 2, 2),
        blocks: Count = 1,
        dropout: Fraction = 0.1,
    ) -> None:
        super().__init__(shape)
        if classes < 2:
            raise UserError("a classifier needs labels of at least 2 classes: put each class in its own folder")
        self.classes, self.channels, self.multipliers = classes, channels, multipliers
        self.blocks, self.dropout = blocks, dropout
        width = 4 * channels
        self.embed = nn.Sequential(SinusoidalEmbedding(channels), nn.Linear(channels, width), nn.SiLU())
        self.first = nn.Conv2d(shape[0], channels * multipliers[0], 3, padding=1)
        self.levels = nn.ModuleList()
        now = channels * multipliers[0]
        for level, multiplier in enumerate(multipliers):
            if level > 0:
                self.levels.append(Downsample(now))
            for _ in range(blocks):
                self.levels.append(ResidualBlock(now, channels * multiplier, width, "adagn", dropout))
                now = channels * multiplier
        self.norm = group_norm(now)
        self.head = nn.Linear(now, classes)

    def forward(self, x: Tensor, angle: Tensor) -> Tensor:
        """Logits (B, classes) of cos(a) x_0 + sin(a) eps (B, C, H, W), angle (B,) in [0, pi / 2]."""
        embedding = self.embed(sent(angle * (FULL_TURN / (math.pi / 2)), x.device, x.dtype))
        h = self.first(x)
        for part in self.levels:
            h = part(h, embedding) if isinstance(part, ResidualBlock) else part(h)
        return self.head(F.silu(self.norm(h)).mean((2, 3))).float()

    def log_prob(self, schedule: Schedule) -> Callable[[Tensor, Tensor, Any], Tensor]:
        """(x_t, t, label (B,)) -> log p(label | x_t) (B,) for x_t on this schedule: what `ClassifierGuidance` takes."""

        def call(x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
            alpha, sigma = schedule.alpha(t), schedule.sigma(t)
            x = x_t / per_row((alpha**2 + sigma**2).sqrt(), x_t)
            logits = self(x, torch.atan2(sigma, alpha).expand(len(x_t)))
            return logits.log_softmax(1).gather(1, label.expand(len(x_t))[:, None]).squeeze(1)

        return call
