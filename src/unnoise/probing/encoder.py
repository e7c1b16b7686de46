"""What a trained model makes of images on its way: features for a classifier."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from unnoise.errors import NotApplicable
from unnoise.models import CanDenoise, CanReconstruct, ImageModel
from unnoise.process.gaussian import perturb
from unnoise.seeding import StepNoise

LOG_SNR = 2.0
"""How noisy a diffusion model sees the images: it learns most about their content from a little noise."""


class ImageEncoder(nn.Module):
    """Images (B, C, H, W) in [-1, 1] -> features (B, D), with gradients.

    Of an autoencoder or a VAE its latents; of a diffusion model the activations in the middle of its U-Net at log-SNR
    2, averaged over positions.

    Raises:
        NotApplicable: for a model that encodes nothing.
    """

    def __init__(self, model: ImageModel) -> None:
        super().__init__()
        self.model = model
        self._middle: nn.Module | None = None
        if isinstance(model, CanReconstruct):
            return
        if not isinstance(model, CanDenoise):
            raise NotApplicable(f"{model.kind} has no encoder; autoencoders, VAEs and diffusion models have")
        middle = model.counted._modules.get("middle")
        if not isinstance(middle, nn.ModuleList):
            raise NotApplicable("features of a diffusion model are taken from the middle of a U-Net; this one has none")
        self._middle = middle[-1]

    @property
    def where(self) -> str:
        """What the features are."""
        return "latents" if self._middle is None else "middle of the U-Net"

    @property
    def learned(self) -> list[nn.Parameter]:
        """What a classifier that begins here goes on training: not the autoencoder that a latent model works behind."""
        return list((self.model if self._middle is None else self.model.counted).parameters())

    def forward(self, image: Tensor) -> Tensor:
        if self._middle is None:
            assert isinstance(self.model, CanReconstruct)
            return self.model.encode(image).flatten(1).float()
        return self._of_middle(self._middle, image)

    def _of_middle(self, middle: nn.Module, image: Tensor) -> Tensor:
        model = self.model
        assert isinstance(model, CanDenoise)
        kept: list[Tensor] = []

        def keep(module: nn.Module, given: Any, output: Tensor) -> None:
            kept.append(output)

        handle = middle.register_forward_hook(keep)
        try:
            t = model.schedule.t(torch.tensor(LOG_SNR, dtype=torch.float64))
            t = t.round().clamp(min=1) if model.schedule.grid is not None else t
            x_0 = model.codec.encode(image)
            model(perturb(model.schedule, x_0, StepNoise(0).normal(x_0), t), t)
        finally:
            handle.remove()
        return kept[0].mean((2, 3)).float()
