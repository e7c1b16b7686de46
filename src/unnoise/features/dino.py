"""DINOv2 through timm (extra `dino`): features learned without labels (Oquab et al. 2024, Stein et al. 2023)."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from unnoise.errors import UserError
from unnoise.features.extractor import FeatureExtractor, colour

SIDE = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Dino(FeatureExtractor):
    """The class token after DINOv2's last norm.

    Images are resized to 224x224 (bicubic, antialiased, clipped), scaled to [0, 1], and standardised with ImageNet's
    mean and standard deviation; grey is repeated. model: timm's name; the quoted FD-DINOv2 is the large one's, smaller
    ones ('vit_small_patch14_dinov2.lvd142m') are other feature spaces. weights: a local file instead of a download.
    Raises UserError when timm cannot be imported, knows no such model, or cannot get its weights.
    """

    name: ClassVar[str] = "dino"

    def __init__(self, model: str = "vit_large_patch14_dinov2.lvd142m", weights: str | Path | None = None) -> None:
        self.model, self.weights = model, weights
        self.network = _create(_timm(), model, weights).eval().requires_grad_(False)
        self.dim = self.network.num_features
        self.version = f"{model}, 224x224 bicubic antialiased, ImageNet mean and deviation"

    @torch.inference_mode()
    def features(self, pixels: Tensor) -> Tensor:
        x = colour(pixels, self.name).to(next(self.network.parameters()).device).float()
        x = F.interpolate(x, (SIDE, SIDE), mode="bicubic", antialias=True, align_corners=False).clamp(0, 255) / 255
        mean, std = (torch.tensor(values, device=x.device)[:, None, None] for values in (MEAN, STD))
        return self.network((x - mean) / std)

    def to(self, device: str | torch.device) -> Dino:
        self.network.to(device)
        return self


def _timm() -> Any:
    try:
        return import_module("timm")
    except (ImportError, RuntimeError) as error:  # torchvision beside another torch fails with a RuntimeError
        raise UserError(f"features 'dino' need timm and torchvision, which do not import here ({error})") from None


def _create(timm: Any, model: str, weights: str | Path | None) -> Any:
    own = {} if weights is None else {"pretrained_cfg_overlay": {"file": str(weights)}}
    try:
        return timm.create_model(model, pretrained=True, num_classes=0, img_size=SIDE, **own)
    except Exception as error:  # timm passes on whatever its hub client raises
        reason = str(error).strip().split("\n")[0]
        raise UserError(
            f"timm cannot give {model!r} ({reason}); download its weights elsewhere and give the file as weights"
        ) from error
