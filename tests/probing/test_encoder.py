"""Features under a classifier: they come from where they are said to, and what begins with them learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from unnoise.data import Images
from unnoise.errors import NotApplicable
from unnoise.models.assembly import build_model
from unnoise.probing.corruption import over_corruption
from unnoise.probing.encoder import ImageEncoder
from unnoise.probing.label_curve import balanced, fine_tuned_accuracy, fitting
from unnoise.runs.run import Run
from unnoise.sources import open_source

SMALL = {
    "autoencoder": {"kind": "autoencoder", "latent": 4, "channels": 8},
    "vae": {"kind": "vae", "latent": 4, "channels": 8},
    "diffusion": {"network": {"kind": "unet", "channels": 8, "multipliers": [1, 2], "blocks": 1}},
}


def digits(split: str, limit: int) -> Images:
    return open_source("builtin:digits", split=split, limit=limit, progress=False)


@pytest.mark.parametrize("spec", SMALL.values(), ids=SMALL)
def test_an_encoder_has_features_and_gradients_that_reach_what_it_trains(spec: dict[str, object]) -> None:
    torch.manual_seed(0)
    encoder = ImageEncoder(build_model(spec, (1, 8, 8), 0))
    features = encoder(torch.rand(3, 1, 8, 8))
    assert features.shape == (3, 16 if "network" in spec else 4)
    features.square().sum().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.learned)


def test_a_gan_has_no_encoder() -> None:
    with pytest.raises(NotApplicable, match="no encoder"):
        ImageEncoder(build_model({"kind": "gan", "channels": 8}, (1, 8, 8), 0))


def test_labels_are_drawn_evenly_over_the_classes_and_by_the_seed() -> None:
    images = digits("train", 400)
    few = balanced(images, 30, seed=1)
    assert np.bincount(np.asarray(few.labels)).tolist() == [3] * 10
    again, other = balanced(images, 30, seed=1), balanced(images, 30, seed=2)
    assert np.array_equal(few.pixels, again.pixels)
    assert not np.array_equal(few.pixels, other.pixels)
    assert fitting((10, 400, 401), images) == [10, 400]


def test_a_classifier_that_begins_with_an_encoder_learns_and_changes_it() -> None:
    torch.manual_seed(0)
    model = build_model(SMALL["autoencoder"], (1, 8, 8), 0).requires_grad_(False).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train, test = digits("train", 300), digits("test", 100)
    assert fine_tuned_accuracy(model, train, test, 10, steps=300) > 0.6
    changed = {name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"encoder"}


def test_accuracy_falls_with_the_noise_and_what_is_clean_is_read(run: Path) -> None:
    model = Run.open(run).load("cpu")
    train, test = digits("train", 600), digits("test", 200)
    of_pixels = over_corruption(None, train, test, (0.0, 1.0, 8.0))
    assert of_pixels[0] > 0.85
    assert of_pixels[0] > of_pixels[1] > of_pixels[2]
    assert len(over_corruption(model, train, test, (0.0, 1.0))) == 2
