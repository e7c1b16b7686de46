"""What metrics have in common, made when the first of them asks: samples, reference images, features of both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from unnoise.data import Images, to_uint8
from unnoise.errors import UserError
from unnoise.evaluation.target import Drawn, Target
from unnoise.features import FeatureExtractor
from unnoise.features.cache import cached_features, default_features, features_of, open_features

REFERENCE_MOST = 50_000
"""Reference images at most, as the published FIDs on CIFAR-10 take."""
RECONSTRUCTED = 1000
"""Images at most that are encoded and decoded."""


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Args:
        n: samples, and images at most whose likelihood is measured.
        seed: of the first sample.
        reference: the split that samples are compared with, 'train' (as published FIDs are) or 'test'.
        features: a name in FEATURES, or None for the data's default.
        batch_size: images drawn at once.
        times: steps per image of a likelihood's sum; None for as many as a minute allows.
        device: of the features.
        precision: of sampling, 'auto' for bf16 where the hardware has it; likelihoods are always fp32.
    """

    n: int = 10_000
    seed: int = 0
    reference: str = "train"
    features: str | None = None
    batch_size: int = 256
    times: int | None = None
    device: str = "cpu"
    precision: str = "auto"


class Context:
    """A target, the data it is measured against and what metrics make of both.

    Args:
        target: what is measured.
        train: the training split of the data.
        test: the test split; None where there is none.
        settings: how to measure.
        likelihood_images: what bits per dimension are measured on.
    """

    def __init__(
        self, target: Target, train: Images | None, test: Images | None, settings: Settings, likelihood_images: Images
    ) -> None:
        self.target, self.settings, self.likelihood_images = target, settings, likelihood_images
        self._train, self.test = train, test

    @property
    def train(self) -> Images:
        if self._train is None:
            raise UserError("the data to measure against is missing: give --data")
        return self._train

    @property
    def reference_images(self) -> Images:
        if self.settings.reference == "train":
            return self.train
        if self.test is None:
            raise UserError(f"{self.train.source} has no test split to be the reference; use reference 'train'")
        return self.test

    @property
    def other_images(self) -> Images | None:
        """Real images that are not the reference: the measure of what perfect samples would get."""
        return self.test if self.settings.reference == "train" else self.train

    @cached_property
    def drawn(self) -> Drawn:
        settings = self.settings
        drawn = self.target.draw(settings.n, self._train, settings.seed, settings.batch_size, settings.precision)
        if drawn.pixels.shape[1:] != self.train.shape:
            channels, height, _ = self.train.shape
            raise UserError(
                f"the samples are {_size(drawn.pixels.shape[1:])}{self._mixed()} and the reference "
                f"{_size(self.train.shape)}: they must be of one shape; 'unnoise data SOURCE "
                f"--size {height} --channels {channels} --pack NEW.npz' makes them so"
            )
        if len(drawn.pixels) < 2:
            raise UserError(f"need at least 2 images to measure a distribution, got {len(drawn.pixels)}")
        return drawn

    @cached_property
    def reconstructed(self) -> tuple[np.ndarray, np.ndarray]:
        """Images that the model was not trained on, where there are some, and their reconstructions from latents; both
        uint8 (at most RECONSTRUCTED, C, H, W)."""
        model, autoencoder = self.target.model, self.target.reconstructor
        assert model is not None
        assert autoencoder is not None
        images = self.train if self.test is None else self.test
        originals = images.batch(range(min(self.settings.n, len(images), RECONSTRUCTED)), model.device).image
        with torch.no_grad():
            decoded = [
                autoencoder.decode(autoencoder.encode(part)) for part in originals.split(self.settings.batch_size)
            ]
        return to_uint8(originals), to_uint8(torch.cat(decoded))

    def _mixed(self) -> str:
        images = self.target.images
        return f", brought together from {len(images.sizes)} sizes," if images and len(images.sizes) > 1 else ""

    @cached_property
    def extractor(self) -> FeatureExtractor:
        name = self.settings.features or default_features(self.train)
        return open_features(name, self.train, self.test, self.settings.device)

    @cached_property
    def samples(self) -> Tensor:
        """Features of the samples, (n, D)."""
        return features_of(self.drawn.pixels, self.extractor, "samples")

    @cached_property
    def reference(self) -> Tensor:
        """Features of the reference, (at most REFERENCE_MOST, D)."""
        return self.features_at(self.reference_images, REFERENCE_MOST)

    @cached_property
    def training(self) -> Tensor:
        """Features of the training images."""
        return self.features_at(self.train, REFERENCE_MOST)

    @cached_property
    def held_out(self) -> Tensor | None:
        """Features of as many real images outside the reference as there are samples, or of all there are."""
        return None if self.other_images is None else self.features_at(self.other_images, len(self.drawn.pixels))

    def features_at(self, images: Images, most: int) -> Tensor:
        """Features of the images, or of `most` of them at random."""
        return cached_features(images, some_rows(images, most), self.extractor)

    def as_many(self, features: Tensor) -> Tensor:
        """As many rows of the features as there are samples, at random: nearest-neighbour radii need equal counts."""
        count = len(self.drawn.pixels)
        if len(features) <= count:
            return features
        chosen = np.random.default_rng(self.settings.seed).choice(len(features), count, replace=False)
        return features[torch.from_numpy(np.sort(chosen))]


def some_rows(images: Images, most: int) -> np.ndarray:
    """All rows, or `most` of them at random, always the same, rising."""
    if most >= len(images):
        return np.arange(len(images))
    return np.sort(np.random.default_rng(0).choice(len(images), most, replace=False))


def _size(shape: tuple[int, ...]) -> str:
    channels, height, width = shape
    return f"{width}x{height} with {channels} channel{'s' if channels > 1 else ''}"
