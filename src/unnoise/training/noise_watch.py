"""Whether samples are still noise: in words, for who looks at the log and not at the grid."""

from __future__ import annotations

import torch
from torch import Tensor

NOISY = 0.5
"""How far from the images' roughness to that of white noise samples are called noise."""
ROUGH = 0.8
"""The roughness of images that are much like noise themselves: nothing is said of their samples."""


class NoiseWatch:
    """Compares the roughness of samples with that of the images.

    Args:
        images: (N, C, H, W) of the training.
    """

    def __init__(self, images: Tensor) -> None:
        self.usual = float(roughness(images).median())
        self.limit = self.usual + NOISY * (1 - self.usual)

    def warning(self, samples: Tensor, steps: int) -> str | None:
        """The line about samples (N, C, H, W) that are noise, after so many steps of training; else None."""
        found = float(roughness(samples).median())
        if self.usual > ROUGH or found <= self.limit:
            return None
        return (
            f"still noise: after {steps:,} steps neighbouring pixels of the samples differ by {found:.0%} of what "
            f"independent ones would, those of the images by {self.usual:.0%}; train for longer"
        )


def roughness(images: Tensor) -> Tensor:
    """E (x_i - x_j)^2 / (2 Var x) over neighbours i, j, per image (N,): 1 for white noise, near 0 for smooth images.

    images: (N, C, H, W). An image of one colour has 0.
    """
    images = images.float().cpu()
    across, down = images.diff(dim=3).square().flatten(1), images.diff(dim=2).square().flatten(1)
    steps = torch.cat([across, down], dim=1).mean(1)
    variance = images.flatten(2).var(2, correction=0).mean(1)
    return torch.where(variance > 0, steps / (2 * variance).clamp(min=1e-12), torch.zeros(()))
