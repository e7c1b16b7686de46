"""Features of a small classifier that was trained on the labelled data at hand."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from torch.nn import functional as F

from unnoise.errors import DamagedSource, UserError
from unnoise.features.extractor import FeatureExtractor, signed
from unnoise.files import new_folder
from unnoise.metrics.statistics import Array
from unnoise.networks.conv import ConvClassifier
from unnoise.seeding import fold, generator

IMAGES_SHOWN = 120_000
BATCH = 128
LEARNING_RATE = 4e-3
WEIGHT_DECAY = 1e-2
LABEL_SMOOTHING = 0.05
HELD_OUT = 10
"""Every tenth image tests the classifier where no test set is given."""
DAMAGE = (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, RuntimeError, SafetensorError)
"""What reading a classifier's files raises when their bytes have changed."""


@dataclass(frozen=True)
class Training:
    """How a classifier came about. accuracy: on `test_images` images that it was not trained on."""

    accuracy: float
    test_images: int
    train_images: int
    seed: int
    epochs: int


class ClassifierFeatures(FeatureExtractor):
    """The last hidden layer of a `ConvClassifier`; a number in this space is tied to these very weights.

    network: a trained one. training: how it was trained, where that is known.
    """

    name: ClassVar[str] = "classifier"

    def __init__(self, network: ConvClassifier, training: Training | None = None) -> None:
        self.network = network.eval().requires_grad_(False)
        self.training = training
        self.dim, self.classes = network.dim, network.classes
        size = "x".join(map(str, (network.channels, *network.size)))
        self.version = f"ConvClassifier {size}, {network.classes} classes, weights {_digest(network)}"

    def quality(self) -> dict[str, float]:
        if self.training is None:
            return {}
        return {"accuracy": self.training.accuracy, "test_images": self.training.test_images}

    @torch.inference_mode()
    def features(self, pixels: Tensor) -> Tensor:
        network = self.network
        if tuple(pixels.shape[1:]) != (network.channels, *network.size):
            wanted = (network.channels, *network.size)
            raise UserError(f"this classifier takes images {wanted}, got {tuple(pixels.shape[1:])}")
        return network.features(signed(pixels.to(network.head.weight.device)))

    @torch.inference_mode()
    def probabilities(self, features: Tensor) -> Tensor:
        return self.network.head(features.to(self.network.head.weight.device)).softmax(1).cpu()

    def to(self, device: str | torch.device) -> ClassifierFeatures:
        self.network.to(device)
        return self

    def save(self, folder: str | Path) -> None:
        """Writes model.safetensors and classifier.json into `folder`, whole or not at all."""
        network, training = self.network, self.training
        shape = {name: getattr(network, name) for name in ("channels", "size", "classes", "base", "dim")}
        about = {"network": shape, "training": None if training is None else asdict(training), "version": self.version}
        with new_folder(Path(folder)) as new:
            (new / "model.safetensors").write_bytes(save(_weights(network)))
            (new / "classifier.json").write_text(json.dumps(about, indent=1), "utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> ClassifierFeatures:
        """What `save` wrote.

        Raises:
            UserError: where it is not there; DamagedSource, one of them, where it is not what was saved.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise UserError(f"{folder} holds no classifier")
        try:
            about = json.loads((folder / "classifier.json").read_text("utf-8"))
            shape = about["network"]
            network = ConvClassifier(**{**shape, "size": tuple(shape["size"])})
            network.load_state_dict(load((folder / "model.safetensors").read_bytes()))
            loaded = cls(network, None if about["training"] is None else Training(**about["training"]))
            if loaded.version != about["version"]:
                raise DamagedSource(f"{folder} is damaged: its weights are not those of its description")
        except (*DAMAGE, OSError) as error:
            raise DamagedSource(f"{folder} is damaged: {' '.join(str(error).split())[:200]}") from error
        return loaded


def train_classifier(
    pixels: Array,
    labels: Array,
    classes: int,
    *,
    seed: int = 0,
    test: tuple[Array, Array] | None = None,
    epochs: int | None = None,
    base: int = 16,
    device: str | torch.device = "cpu",
) -> ClassifierFeatures:
    """Trains a small classifier, the same bits for the same seed, data and threads on the CPU.

    pixels: uint8 (N, C, H, W); labels: integers (N,) in 0..classes - 1. test: other pixels and labels; by default every
    tenth image is kept apart for that. epochs: by default as many as show 120,000 images, at least one.
    base: channels of the network's first stage; twice as many cost about three times the work.
    Raises UserError for other shapes and types, and for labels out of range.
    """
    train = _checked(pixels, labels, classes)
    test_set = _checked(*test, classes) if test is not None else None
    if test_set is None:
        train, test_set = _held_out(*train)
    epochs = max(1, math.ceil(IMAGES_SHOWN / len(train[0]))) if epochs is None else epochs
    channels, height, width = train[0].shape[1:]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fold(seed))
        network = ConvClassifier(channels, (height, width), classes, base).to(device)
    _fit(network, *train, epochs, seed)
    accuracy = _accuracy(ClassifierFeatures(network), *test_set)
    return ClassifierFeatures(network, Training(accuracy, len(test_set[0]), len(train[0]), seed, epochs))


def _fit(network: ConvClassifier, pixels: Tensor, labels: Tensor, epochs: int, seed: int) -> None:
    """AdamW under one cycle of the learning rate, with batches drawn by (seed, epoch)."""
    device = network.head.weight.device
    batches = max(1, len(pixels) // BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=epochs * batches + 1)
    network.train()
    for epoch in range(epochs):
        order = torch.randperm(len(pixels), generator=generator(seed, epoch))
        for index in order.tensor_split(batches):
            logits = network(signed(pixels[index].to(device)))
            loss = F.cross_entropy(logits, labels[index].to(device), label_smoothing=LABEL_SMOOTHING)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


def _accuracy(classifier: ClassifierFeatures, pixels: Tensor, labels: Tensor) -> float:
    right = 0
    for part, truth in zip(pixels.split(512), labels.split(512), strict=True):
        right += int((classifier.probabilities(classifier(part)).argmax(1) == truth).sum())
    return right / len(labels)


def _checked(pixels: Array, labels: Array, classes: int) -> tuple[Tensor, Tensor]:
    images, truth = torch.as_tensor(pixels), torch.as_tensor(labels).long()
    if images.ndim != 4 or images.dtype != torch.uint8:
        raise UserError(f"need uint8 images (N, C, H, W), got {images.dtype} {tuple(images.shape)}")
    if truth.shape != (len(images),) or len(images) < 2:
        raise UserError(f"need at least 2 images and a label for each, got {len(images)} and {tuple(truth.shape)}")
    if int(truth.min()) < 0 or int(truth.max()) >= classes:
        raise UserError(f"labels must lie in 0..{classes - 1}, got {int(truth.min())}..{int(truth.max())}")
    return images, truth


def _held_out(pixels: Tensor, labels: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    apart = torch.arange(len(pixels)) % HELD_OUT == HELD_OUT - 1
    apart[-1] = True
    return (pixels[~apart], labels[~apart]), (pixels[apart], labels[apart])


def _weights(network: ConvClassifier) -> dict[str, Tensor]:
    return {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}


def _digest(network: ConvClassifier) -> str:
    return hashlib.sha256(save(_weights(network))).hexdigest()[:12]
