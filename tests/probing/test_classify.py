"""A generative classifier: where all is known it is Bayes' rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from unnoise.errors import NotApplicable
from unnoise.metrics.bayes import class_probabilities
from unnoise.probing.classify import class_log_likelihoods, classify
from unnoise.process.analytic import GaussianMixture
from unnoise.process.denoiser import Denoised
from unnoise.process.schedule import Cosine, LinearBetas, Schedule
from unnoise.training.train import train

MEANS = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.0, 1.5]], dtype=torch.float64)
CLASSES = [GaussianMixture(torch.ones(1), mean[None], 0.5) for mean in MEANS]


class Conditional:
    """The exact denoiser of the class that cond names."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule

    def __call__(self, x_t: Tensor, t: Tensor, cond: Any = None) -> Denoised:
        return CLASSES[int(cond["label"][0])].denoiser(self.schedule)(x_t, t)


@pytest.mark.parametrize("schedule", [Cosine(), LinearBetas()], ids=repr)
def test_with_exact_denoisers_it_is_bayes_rule(schedule: Schedule) -> None:
    x = torch.cat([mixture.sample(40, seed=k) for k, mixture in enumerate(CLASSES)])
    exact = torch.stack([mixture.log_prob(x) for mixture in CLASSES], 1)
    found = class_log_likelihoods(Conditional(schedule), x, classes=3, times=400)
    agree = found.argmax(1) == exact.argmax(1)
    assert float(agree.double().mean()) > 0.95
    # the differences between classes, not only their order: the part of the bound outside LOW..HIGH is small
    differences = (found[:, 0] - found[:, 1]) - (exact[:, 0] - exact[:, 1])
    assert float(differences.abs().mean()) < 0.25 * float((exact[:, 0] - exact[:, 1]).abs().mean())
    assert float(class_probabilities(found).sum(1).sub(1).abs().max()) < 1e-12


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classify") / "run"
    small = {
        "model.network.channels": 8,
        "model.network.multipliers": [1],
        "model.network.attention": [],
        "train.batch_size": 16,
        "train.samples": 0,
        "train.warmup": 1,
    }
    train("digits", "ddpm-class", folder, steps=3, overrides=small, device="cpu")
    return folder


def test_both_classifiers_answer_for_every_image(labelled: Path) -> None:
    found = classify(labelled, "digits", n=12, times=2, epochs=1, device="cpu")
    for kind in ("generative", "discriminative"):
        assert len(found[kind]["predicted"]) == 12
        assert all(0.1 <= value <= 1 for value in found[kind]["probability"])  # the best of ten
        assert 0 <= found[kind]["accuracy"] <= 1
    assert 0 <= found["generative"]["unlike_any"] <= 1


def test_images_of_no_class_have_no_accuracy(labelled: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (6, 1, 8, 8), np.uint8)
    found = classify(labelled, noise, times=2, epochs=1, device="cpu")
    assert found["generative"]["accuracy"] is None
    assert found["discriminative"]["accuracy"] is None


def test_a_run_without_labels_is_refused(run: Path) -> None:
    with pytest.raises(NotApplicable, match="ddpm-class"):
        classify(run, "digits", device="cpu")
