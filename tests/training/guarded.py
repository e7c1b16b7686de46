"""What one of several processes does in `test_guard.py`: a training whose model draws training images.

`python guarded.py OUT` under the variables that torchrun sets.
"""

from __future__ import annotations

import sys

import numpy as np
import torch

from unnoise.training import guard
from unnoise.training.guard import Drawing
from unnoise.training.train import train

PIXELS = np.random.default_rng(0).integers(0, 256, (100, 1, 8, 8), dtype=np.uint8)
SMALL = {
    "model.network.channels": 8,
    "model.network.multipliers": [1],
    "model.network.attention": [],
    "model.schedule.T": 10,
    "sampler.steps": 2,
    "train.batch_size": 8,
    "train.samples": 4,
    "train.keep": 1,
    "train.precision": "fp32",
}


def known(self: Drawing, look: int) -> torch.Tensor:
    """From the third look on training images, noise before."""
    rows = np.random.default_rng(1).permutation(100)[:40]
    copies = torch.from_numpy(PIXELS[rows]).float() / 127.5 - 1
    return copies if look >= 2 else torch.randn(40, 1, 8, 8, generator=torch.Generator().manual_seed(look))


if __name__ == "__main__":
    guard.EVERY, guard.FRACTION, Drawing.draw = 0.0, 1e9, known
    train(PIXELS, "ddpm-digits", sys.argv[1], steps=50, overrides=SMALL, device="cpu")
