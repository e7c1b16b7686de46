"""Reads a drawn character back: which one, in which two colours, and where.

Colours and shape are read from the pixels themselves: the paper is the median of the border, the ink the median of what
is furthest from it, each named by the nearest colour of the palette, and the map is where a pixel is nearer to the ink
than to the paper. The character is read by the classifier in whose features `unnoise evaluate` measures glyphs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from unnoise.data import Images
from unnoise.features import FeatureExtractor
from unnoise.features.cache import open_features
from unnoise.sources.glyphs import COLOURS

NAMES = list(COLOURS)
PALETTE = np.array(list(COLOURS.values()), float)
FURTHEST = 0.8
"""What is at least this share of the greatest distance from the paper is ink beyond doubt."""
FEW = 12
"""The greatest distance is that of the 12th pixel, so that single pixels do not decide."""


@dataclass(frozen=True)
class Reading:
    """character (N,), ink (N,), paper (N,): numbers of class and colours. maps (N, H, W): True on the character."""

    character: np.ndarray
    ink: np.ndarray
    paper: np.ndarray
    maps: np.ndarray


@dataclass(frozen=True)
class Judge:
    """characters: the classifier."""

    characters: FeatureExtractor

    @classmethod
    def trained(cls, train: Images, test: Images) -> Judge:
        return cls(open_features("classifier", train, test))

    def read(self, pixels: np.ndarray) -> Reading:
        """pixels: uint8 (N, 3, H, W)."""
        images = torch.from_numpy(pixels)
        features = torch.cat([self.characters.features(part) for part in images.split(256)])
        colours = [colours_and_map(image.transpose(1, 2, 0).astype(float)) for image in pixels]
        ink, paper, maps = (np.array(part) for part in zip(*colours, strict=True))
        return Reading(self.characters.probabilities(features).argmax(1).numpy(), ink, paper, maps)


def colours_and_map(image: np.ndarray) -> tuple[int, int, np.ndarray]:
    """The numbers of ink and paper in the palette, and the map (H, W), of an image (H, W, 3) in 0..255."""
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    paper = np.median(border, axis=0)
    distance = np.linalg.norm(image - paper, axis=-1)
    furthest = np.sort(distance, axis=None)[-FEW]
    ink = np.median(image[distance >= FURTHEST * furthest], axis=0)
    nearer = np.linalg.norm(image - ink, axis=-1) < distance
    return _nearest(ink), _nearest(paper), nearer


def asked(captions: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Ink and paper of captions such as 'a red digit 5 on a blue background', as numbers in the palette."""
    words = [caption.split() for caption in captions]
    return tuple(np.array([NAMES.index(word[place]) for word in words]) for place in (1, 6))  # type: ignore[return-value]


def overlap(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Intersection over union of maps (N, H, W), one number each."""
    both, either = (found & wanted).sum((1, 2)), (found | wanted).sum((1, 2))
    return both / np.maximum(either, 1)


def _nearest(colour: np.ndarray) -> int:
    return int(np.linalg.norm(PALETTE - colour, axis=1).argmin())
