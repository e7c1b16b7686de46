"""Inception-v3 with the weights of 2015 that every quoted FID rests on, and their preprocessing."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from unnoise.errors import UserError
from unnoise.features.extractor import FeatureExtractor, colour
from unnoise.features.inception_v3 import InceptionV3
from unnoise.features.weights import Published, load_published

SIDE = 299
WEIGHTS = Published(
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
)


class Inception(FeatureExtractor):
    """The 2048 pooled numbers of the TensorFlow network, as torch-fidelity and pytorch-fid port it.

    Images are resized to 299x299 as TensorFlow 1 does (bilinear, no antialiasing, corners not centres), then
    (x - 128) / 128; grey is repeated. probabilities: softmax of the last layer without its bias (1008 classes).
    weights: the file of `WEIGHTS`, whose SHA-256 is checked; pytorch-fid's file is the same. folder: where it is
    looked for, and downloaded to, when no file is given.
    Raises UserError that says what to download when the file is not given, not to be had or another.
    """

    name: ClassVar[str] = "inception"
    dim = 2048
    classes = 1008
    version = f"Inception-v3 2015-12-05 {WEIGHTS.sha256[:8]}, 299x299 bilinear as TensorFlow 1, (x - 128) / 128"

    def __init__(self, weights: str | Path | None = None, folder: str | Path | None = None) -> None:
        self.weights, self.folder = weights, folder
        self.network = InceptionV3()
        load_published(self.network, _file(weights, folder), WEIGHTS.sha256)

    @torch.inference_mode()
    def features(self, pixels: Tensor) -> Tensor:
        x = colour(pixels, self.name).to(self.network.fc.weight.device).float()
        return self.network.features((tensorflow_resize(x, SIDE) - 128) / 128)

    @torch.inference_mode()
    def probabilities(self, features: Tensor) -> Tensor:
        weight = self.network.fc.weight
        return (features.to(weight.device) @ weight.T).softmax(1).cpu()

    def to(self, device: str | torch.device) -> Inception:
        self.network.to(device)
        return self


def _file(weights: str | Path | None, folder: str | Path | None) -> Path:
    if weights is not None:
        return Path(weights)
    if folder is None:
        raise UserError(f"features 'inception' need weights: download {WEIGHTS.url} and give the file as weights")
    return WEIGHTS.in_folder(folder)


def tensorflow_resize(x: Tensor, side: int) -> Tensor:
    """Bilinear resize of (B, C, H, W) to side x side as TensorFlow 1's resize_bilinear(align_corners=False).

    Output pixel i lies at i H / side of the input, between its floor and the next pixel (the last one repeats).
    """
    low, high, weight = _between(x.shape[3], side, x.device)
    rows = torch.lerp(x[..., low], x[..., high], weight)
    low, high, weight = _between(x.shape[2], side, x.device)
    return torch.lerp(rows[..., low, :], rows[..., high, :], weight[:, None])


def _between(old: int, new: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    position = torch.arange(new, dtype=torch.float32, device=device) * (old / new)
    low = position.long()
    return low, (low + 1).clamp(max=old - 1), position - low
