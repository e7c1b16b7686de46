"""A trained encoder begins a supervised classifier: what it saves in labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unnoise.data import Images
from unnoise.models import ImageModel
from unnoise.probing.encoder import ImageEncoder
from unnoise.seeding import fold, generator

BATCH = 64
LEARNING_RATE = 1e-3
ROWS = 256


class EncodedClassifier(nn.Module):
    """Images -> logits: an encoder, its features normalised, a linear layer; all of it learns."""

    def __init__(self, encoder: ImageEncoder, dim: int, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, classes))

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.encoder(image))


def fine_tuned_accuracy(
    model: ImageModel, train: Images, test: Images, classes: int, *, steps: int, seed: int = 0
) -> float:
    """Trains a classifier that begins with the encoder of `model`, and tests it. The model is changed by it.

    Args:
        model: an autoencoder, a VAE or a diffusion model with a U-Net, trained or not.
        train, test: labelled images.
        classes: how many there are.
        steps: of AdamW on batches of at most 64, drawn by (seed, step).
        seed: of the batches and of the linear layer.
    """
    encoder = ImageEncoder(model)
    image, label = _tensors(train, model)
    classifier = _classifier(encoder, encoder(image[:1]).shape[1], classes, seed).to(model.device)
    parameters = [*(p.requires_grad_() for p in encoder.learned), *classifier.head.parameters()]
    optimizer = torch.optim.AdamW(parameters, LEARNING_RATE)
    classifier.train()
    for step in range(steps):
        rows = torch.randperm(len(image), generator=generator(seed, step))[:BATCH].to(image.device)
        loss = F.cross_entropy(classifier(image[rows]), label[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return _accuracy(classifier.eval(), *_tensors(test, model))


def balanced(images: Images, count: int, seed: int = 0) -> Images:
    """`count` labelled images, each class as often as can be, drawn by the seed."""
    labels, order = np.asarray(images.labels), np.random.default_rng(seed).permutation(len(images))
    place = np.empty(len(images), dtype=int)  # how many of its class come before an image
    for label in np.unique(labels):
        rows = order[labels[order] == label]
        place[rows] = np.arange(len(rows))
    return images.subset(np.sort(order[np.argsort(place[order], kind="stable")][:count]))


def fitting(counts: Sequence[int], images: Images) -> list[int]:
    """Those of the numbers of labels that the images have."""
    return [count for count in counts if count <= len(images)]


def _classifier(encoder: ImageEncoder, dim: int, classes: int, seed: int) -> EncodedClassifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fold(seed))
        return EncodedClassifier(encoder, dim, classes)


def _tensors(images: Images, model: ImageModel) -> tuple[Tensor, Tensor]:
    label = torch.from_numpy(np.array(images.labels)).long()
    return images.batch(range(len(images)), model.device).image, label.to(model.device)


@torch.no_grad()
def _accuracy(classifier: nn.Module, image: Tensor, label: Tensor) -> float:
    found = torch.cat([classifier(part).argmax(1) for part in image.split(ROWS)])
    return float((found == label).cpu().double().mean())
