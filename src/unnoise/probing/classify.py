"""Classification by a generative model: p(y | x) from how well each class explains an image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unnoise.aliases import Record, Source
from unnoise.data import Images
from unnoise.errors import NotApplicable
from unnoise.features.classifier import ClassifierFeatures, train_classifier
from unnoise.metrics.bayes import class_probabilities
from unnoise.metrics.rows import wide
from unnoise.models.image_model import require_mean
from unnoise.process.denoiser import Denoiser
from unnoise.process.gaussian import perturb
from unnoise.progress import progress_bar
from unnoise.runs.run import Run
from unnoise.seeding import StepNoise

LOW, HIGH = -4.0, 4.0
"""The log-SNR between which classes differ: below nothing is left of an image, above its last levels decide."""
TIMES = 20
ROWS = 256
KNOWN = 200
"""Training images that say what is usual."""
USUAL = 0.99
"""An image stranger than this fraction of the training images is called unlike any class."""


def classify(
    run: str | Path,
    data: Source,
    *,
    split: str = "test",
    n: int | None = None,
    times: int = TIMES,
    seed: int = 0,
    epochs: int | None = None,
    device: str | None = None,
) -> Record:
    """Classifies images by p(y | x) ~ p(x | y) p(y) of a class-conditional run, beside a discriminative classifier.

    p(y) is that of the run's training images. The discriminative one is a small convolutional network, trained on the
    same images. It has an answer for everything; the generative one can also say that no class explains an image.

    Args:
        run: the folder of a class-conditional diffusion run.
        data: a source of images.
        split: train or test; test falls back to train where the source has no split.
        n: images at most.
        times: noise levels at which each image is looked at, under each class.
        seed: of the noise and of the discriminative classifier.
        epochs: of the discriminative classifier, by default as many as show it 120,000 images.
        device: cpu, cuda, mps; by default the best there is.

    Returns:
        {classes, generative, discriminative, ...}; either with predicted (numbers), probability (of the predicted one)
        and accuracy (None where the data have no labels of these classes). The generative one has error, per image,
        under its best class, and unlike_any, the fraction of images that are stranger than 99 % of the training images.

    Raises:
        NotApplicable: for a run that is not conditional on a class.
    """
    opened = Run.open(run)
    classifiers = Classifiers(opened, times=times, seed=seed, epochs=epochs, device=device)
    images, used = opened.open_data(split, data, n)
    return {"run": str(run), "split": used, **classifiers.answers(images)}


class Classifiers:
    """A class-conditional run read as a classifier, and a discriminative one trained on the same images.

    limit: what `USUAL` of the training images stay below in error.

    Raises:
        NotApplicable: for a run that is not conditional on a class.
    """

    def __init__(
        self, run: Run, *, times: int = TIMES, seed: int = 0, epochs: int | None = None, device: str | None = None
    ) -> None:
        loaded = run.load(device)
        self.model = require_mean(loaded, "classifying")
        if "label" not in loaded.condition_names:
            raise NotApplicable(
                f"classifying needs a run trained with labels (recipe ddpm-class); {run.folder} has none"
            )
        training, _ = run.open_data("train")
        assert training.labels is not None
        labels = np.array(training.labels)
        self.run, self.times, self.seed, self.classes = run, times, seed, tuple(training.classes)
        self.prior = torch.from_numpy(np.bincount(labels, minlength=len(self.classes)))
        known = training.subset(np.linspace(0, len(training) - 1, min(KNOWN, len(training))).astype(int))
        self.limit = float((-self._found(known).max(1).values).quantile(USUAL))
        pixels = np.array(training.pixels)
        self.discriminative = train_classifier(pixels, labels, len(self.classes), seed=seed, epochs=epochs)

    def answers(self, images: Images) -> Record:
        """What both say of images: the entries that `classify` describes."""
        found = self._found(images)
        errors = -found.max(1).values
        truth = images.labels if tuple(images.classes) == self.classes else None
        return {
            "data": images.source,
            "n": len(images),
            "times_per_class": self.times,
            "classes": self.run.classes,
            "generative": {
                **_summary(class_probabilities(found, self.prior), truth),
                "error": errors.tolist(),
                "unlike_any": float((errors > self.limit).double().mean()),
            },
            "discriminative": _summary(_discriminative(self.discriminative, images), truth),
        }

    def _found(self, images: Images) -> Tensor:
        x_0 = _tensor(images, self.model.device)
        return class_log_likelihoods(self.model, x_0, classes=len(self.classes), times=self.times, seed=self.seed)


@torch.no_grad()
def class_log_likelihoods(
    denoiser: Denoiser, x_0: Tensor, *, classes: int, times: int = TIMES, seed: int = 0
) -> Tensor:
    """log p(x | y) (N, K) in nats up to a constant that classes have in common: -1/2 of the integral over log-SNR of
    E ||eps - eps(x_t, y)||^2 (Kingma et al. 2021, equation 12; as a classifier: Li et al. 2023), from LOW to HIGH.

    All classes see the same noise, so what is common to them cancels in their differences.
    """
    total = torch.zeros(len(x_0), classes, dtype=torch.float64)
    with progress_bar() as progress:
        bar = progress.add_task("classifying", total=times * classes)
        for index in range(times):
            log_snr = torch.tensor(LOW + (index + 0.5) / times * (HIGH - LOW), dtype=torch.float64)
            t = denoiser.schedule.t(log_snr)
            t = t.round().clamp(min=1) if denoiser.schedule.grid is not None else t
            eps = StepNoise(seed, index).normal(x_0)
            x_t = perturb(denoiser.schedule, x_0, eps, t)
            for label in range(classes):
                total[:, label] -= (HIGH - LOW) / (2 * times) * _squared_errors(denoiser, x_t, eps, t, label)
                progress.advance(bar)
    return total


def _squared_errors(denoiser: Denoiser, x_t: Tensor, eps: Tensor, t: Tensor, label: int) -> Tensor:
    """||eps - eps(x_t, y)||^2 (N,) float64 on the CPU."""
    found = []
    for rows, noise in zip(x_t.split(ROWS), eps.split(ROWS), strict=True):
        cond = {"label": torch.full((len(rows),), label, device=x_t.device)}
        found.append(wide(noise - denoiser(rows, t, cond).eps).square().flatten(1).sum(1).cpu())
    return torch.cat(found)


def _tensor(images: Images, device: torch.device) -> Tensor:
    return images.batch(range(len(images)), device).image


def _discriminative(classifier: ClassifierFeatures, images: Images) -> Tensor:
    parts = torch.from_numpy(images.pixels.copy()).split(ROWS)
    return torch.cat([classifier.probabilities(classifier(part)) for part in parts])


def _summary(probabilities: Tensor, truth: np.ndarray | None) -> Record:
    best = probabilities.max(1)
    accuracy = None if truth is None else float((best.indices.numpy() == truth).mean())
    return {"predicted": best.indices.tolist(), "probability": best.values.tolist(), "accuracy": accuracy}
