"""Learning to classify noisy images."""

from __future__ import annotations

import math

from torch.nn import functional as F

from unnoise.data.batch import Batch
from unnoise.errors import UserError
from unnoise.models.classifier import Classifier
from unnoise.objectives.objective import Loss, Objective
from unnoise.process.gaussian import per_row
from unnoise.seeding import Noise


class Classification(Objective):
    """-E log p(label | cos(a) x_0 + sin(a) eps), a uniform on [0, pi / 2] (Dhariwal & Nichol 2021, section 4).

    The part `accuracy` is over all noise levels, so it stays far below 1. Raises UserError for data without labels.
    """

    def __init__(self, model: Classifier) -> None:
        self._model = model

    @property
    def model(self) -> Classifier:
        return self._model

    def loss(self, batch: Batch, noise: Noise) -> Loss:
        if "label" not in batch.cond:
            raise UserError("a classifier needs labels, and the images have none: put each class in its own folder")
        image, label = batch.image, batch.cond["label"]
        angle = noise.uniform(len(image)) * (math.pi / 2)
        x = per_row(angle.cos(), image) * image + per_row(angle.sin(), image) * noise.normal(image)
        logits = self.model(x, angle)
        total = F.cross_entropy(logits, label)
        accuracy = (logits.detach().argmax(1) == label).float().mean()
        return Loss(total, {"loss": total.detach(), "accuracy": accuracy})
