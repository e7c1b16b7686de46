"""The conditioners: class, cluster, text, segmentation map, low-resolution image, any vector, what augmentation did,
and several together."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unnoise.aliases import Columns, Conditions, Spec
from unnoise.errors import UserError
from unnoise.networks.batch_part import normal_rows, uniform_rows
from unnoise.networks.clusters import ClusterConditioner
from unnoise.networks.conditioner import (
    Conditioner,
    Conditioning,
    SingleConditioner,
    TableConditioner,
    all_dropped,
    rows,
)
from unnoise.networks.embedding import SinusoidalEmbedding
from unnoise.networks.text import build_encoder
from unnoise.registry import Fraction, Positive

MAP_CLASSES = 256
"""Segmentation maps are 8-bit: every value has an embedding, used or not."""


class ClassConditioner(TableConditioner):
    """A learned vector per class, and one more for 'no class'. classes comes from the data.

    Reads cond['label'] (B,) int64; fills `vector`.
    """

    key = "label"
    needs = ("label",)

    def __init__(self, classes: int, dim: Positive = 128, dropout: Fraction = 0.1) -> None:
        super().__init__(classes, dim, dropout)
        self.classes = classes


class TextConditioner(SingleConditioner):
    """A text, as tokens for cross-attention and as their mean in the vector. No text is the empty text.

    Reads cond['caption'], B texts. encoder: 'words' or 'characters', small and trained with the model;
    'transformers:NAME' or 'sentence-transformers:NAME', frozen (extra `text`). dim: width of vector and tokens.
    length: how many tokens at most, the start token among them; longer texts are cut.
    """

    key = "caption"
    needs = ("caption",)

    def __init__(
        self, encoder: str = "words", dim: Positive = 128, length: Positive = 32, dropout: Fraction = 0.1
    ) -> None:
        super().__init__(dropout)
        self.encoder, self.dim, self.length = encoder, dim, length
        self.vector_dim = self.token_dim = dim
        self.text = build_encoder(encoder, dim, length)
        self.pool = nn.Linear(dim, dim)

    def absent(self, count: int) -> Conditioning:
        return self.embed([""] * count, all_dropped(count, self.device), {})

    def embed(self, value: Sequence[str], dropped: Tensor, cond: Conditions) -> Conditioning:
        (features, mask), (blank, blank_mask) = (
            self.text.read(texts, self.device) for texts in (composed(value), [""])
        )
        features = torch.where(rows(dropped, features), blank, features)
        mask = torch.where(rows(dropped, mask), blank_mask, mask)
        tokens = self.text(features, mask)
        weight = mask[..., None].to(tokens.dtype)
        mean = (weight * tokens).sum(1) / weight.sum(1)
        return Conditioning(vector=self.pool(mean), tokens=tokens, token_mask=mask)

    def prepare(self, cond: Columns, folder: Path) -> None:
        """Embeds the captions of a set with a frozen encoder, once per set, encoder and `folder`."""
        self.text.prepare(composed(cond.get(self.key, ())), folder)

    def notes(self, cond: Columns) -> tuple[str, ...]:
        cut = self.text.too_long(composed(cond.get(self.key, ())))
        if not cut:
            return ()
        return (f"{cut} captions have more than the {self.length} tokens of model.conditioner.length, and are cut",)


class MapConditioner(SingleConditioner):
    """A segmentation map, as `dim` learned channels per class at every pixel; zeros are 'no map'.

    Reads cond['map'] (B, H, W) int64 in 0..255; fills `spatial`.
    """

    key = "map"
    needs = ("map",)

    def __init__(self, dim: Positive = 8, dropout: Fraction = 0.1) -> None:
        super().__init__(dropout)
        self.dim = self.spatial_channels = dim
        self.table = nn.Embedding(MAP_CLASSES, dim)

    def absent(self, count: int) -> Conditioning:
        return Conditioning()

    def embed(self, value: Tensor, dropped: Tensor, cond: Conditions) -> Conditioning:
        spatial = self.table(value).permute(0, 3, 1, 2)
        return Conditioning(spatial=spatial.masked_fill(rows(dropped, spatial), 0))


class ImageConditioner(SingleConditioner):
    """A low-resolution image, laid under the network's input, and how much noise was added to it (SR3: Saharia et al.
    2021; noise conditioning augmentation: Ho et al. 2021, section 4).

    In training z becomes sqrt(1 - s^2) z + s eps with s uniform on [0, noise], so that the model forgives the errors of
    the model before it in a cascade; elsewhere nothing is added. Reads cond['image'] (B, channels, h, w) in [-1, 1] and
    cond['image_noise'] (B,), the s it was given already (0 where missing). Fills `spatial` and `vector`.
    channels comes from the data. factor: without a cond['image'], training images are averaged over squares of so many
    pixels.
    """

    key = "image"
    details = ("image_noise",)

    def __init__(
        self, channels: Positive, factor: Positive = 4, noise: float = 0.3, dim: Positive = 128, dropout: Fraction = 0.1
    ) -> None:
        super().__init__(dropout)
        if factor < 1 or not 0 <= noise < 1:
            raise UserError(f"need a factor of at least 1 and noise in [0, 1); got {factor} and {noise}")
        self.channels, self.factor, self.noise, self.dim = channels, factor, noise, dim
        self.vector_dim, self.spatial_channels = dim, channels
        self.level = nn.Sequential(SinusoidalEmbedding(dim), nn.Linear(dim, dim))
        self.nothing = nn.Parameter(torch.zeros(dim))

    def absent(self, count: int) -> Conditioning:
        return Conditioning(vector=self.nothing.expand(count, -1))

    def embed(self, value: Tensor, dropped: Tensor, cond: Conditions) -> Conditioning:
        given = cond.get("image_noise")
        s = torch.zeros(len(value), device=value.device) if given is None else given
        if self.training and self.noise > 0:
            s = self.noise * uniform_rows(len(value), value.device)
            value = augmented(value, s, normal_rows(value))
        vector = torch.where(dropped[:, None], self.nothing, self.level(1000 * s))
        return Conditioning(vector=vector, spatial=value.masked_fill(rows(dropped, value), 0))

    def derive(self, image: Tensor, cond: Conditions) -> Spec:
        return cond if self.key in cond else {**cond, self.key: reduced(image, self.factor)}


class VectorConditioner(SingleConditioner):
    """Any vector per image, such as an embedding of a sound or a row of measurements. Reads cond['vector']
    (B, features); fills `vector`.

    features: how many numbers; found from the data where it is not given.
    """

    key = "vector"
    needs = ("vector",)
    widths: ClassVar[Mapping[str, str]] = {"features": "vector"}

    def __init__(self, features: Positive, dim: Positive = 128, dropout: Fraction = 0.1) -> None:
        super().__init__(dropout)
        self.features, self.dim = features, dim
        self.vector_dim = dim
        self.project = nn.Linear(features, dim)
        self.nothing = nn.Parameter(torch.zeros(dim))

    def absent(self, count: int) -> Conditioning:
        return Conditioning(vector=self.nothing.expand(count, -1))

    def embed(self, value: Tensor, dropped: Tensor, cond: Conditions) -> Conditioning:
        if value.shape[1:] != (self.features,):
            raise UserError(f"a vector of this model has {self.features} numbers; got {tuple(value.shape[1:])}")
        return Conditioning(vector=torch.where(dropped[:, None], self.nothing, self.project(value)))


class AugmentConditioner(SingleConditioner):
    """What was done to a training image, by a linear map without a constant: nothing is the zero vector (Karras et al.
    2022, appendix F.2). It is never dropped: of an image that was changed the network is told.

    Reads cond['augment'] (B, features), of training batches alone; fills `vector`. features comes from the data.
    """

    key = "augment"
    told = ("augment",)
    widths: ClassVar[Mapping[str, str]] = {"features": "augment"}

    def __init__(self, features: Positive, dim: Positive = 64) -> None:
        super().__init__(dropout=0.0)
        self.features, self.dim = features, dim
        self.vector_dim = dim
        self.project = nn.Linear(features, dim, bias=False)

    @property
    def names(self) -> tuple[str, ...]:
        return ()

    def absent(self, count: int) -> Conditioning:
        return Conditioning(vector=torch.zeros(count, self.dim, device=self.device))

    def embed(self, value: Tensor, dropped: Tensor, cond: Conditions) -> Conditioning:
        return Conditioning(vector=self.project(value))


CONDITIONERS: dict[str, type[Conditioner]] = {
    "class": ClassConditioner,
    "cluster": ClusterConditioner,
    "text": TextConditioner,
    "map": MapConditioner,
    "image": ImageConditioner,
    "vector": VectorConditioner,
    "augment": AugmentConditioner,
}


def composed(texts: Iterable[str]) -> list[str]:
    """Texts in Unicode's composed form (NFC), so that one text has one meaning however its accents are written."""
    return [unicodedata.normalize("NFC", text) for text in texts]


def augmented(image: Tensor, s: Tensor, eps: Tensor) -> Tensor:
    """sqrt(1 - s^2) image + s eps, for images (B, C, H, W), s (B,) in [0, 1] and standard normal eps."""
    level = s.view(-1, 1, 1, 1)
    return (1 - level.square()).sqrt() * image + level * eps


def reduced(image: Tensor, factor: int) -> Tensor:
    """Images (B, C, H, W) averaged over squares of factor x factor pixels, sides rounded up."""
    height, width = (-(-side // factor) for side in image.shape[-2:])
    return F.adaptive_avg_pool2d(image, (height, width))


__all__ = ["CONDITIONERS", "Conditioner", "Conditioning"]
