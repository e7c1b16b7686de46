"""The figures about what a trained model has learned: transfer, labels, corruption, classification."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image

from unnoise.errors import NotApplicable, UserError
from unnoise.lectures import show
from unnoise.training.train import train

SMALL = {"train.batch_size": 64, "train.samples": 0, "train.warmup": 5, "model.channels": 8}


def is_slide(file: str) -> bool:
    with Image.open(file) as picture:
        return picture.size == (1600, 900)


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("learned") / "autoencoder"
    train("builtin:digits", "autoencoder", folder, steps=60, overrides=SMALL, device="cpu")
    return folder


@pytest.fixture(scope="module")
def denoising(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("learned") / "dae"
    train("builtin:digits", "dae", folder, steps=60, overrides=SMALL, device="cpu")
    return folder


def test_features_over_corruption_begin_clean_and_fall(autoencoder: Path, denoising: Path, tmp_path: Path) -> None:
    drawn = show("corruption", autoencoder, denoising, out=tmp_path / "corruption.png", device="cpu")
    assert is_slide(drawn["out"])
    assert list(drawn["accuracy"]) == ["autoencoder (autoencoder)", "denoising autoencoder (dae)", "pixels"]
    for accuracies in drawn["accuracy"].values():
        assert len(accuracies) == len(drawn["amounts"])
        assert accuracies[0] > 0.7
        assert accuracies[-1] < accuracies[0]


def test_accuracy_over_labels_from_a_trained_encoder_and_from_scratch(
    autoencoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = import_module("unnoise.lectures.labels")
    monkeypatch.setattr(module, "COUNTS", (10, 300))
    monkeypatch.setattr(module, "SEEDS", 1)
    drawn = show("labels", autoencoder, steps=40, out=tmp_path / "labels.png", device="cpu")
    assert is_slide(drawn["out"])
    assert drawn["labels"] == [10, 300]
    for start in ("trained encoder, frozen", "trained encoder, fine-tuned", "from scratch"):
        few, many = drawn[start]
        assert few < many


def test_transfer_trains_both_draws_both_curves_and_goes_on(run: Path, tmp_path: Path) -> None:
    options = {"minutes": 0.005, "out": tmp_path / "transfer.png", "device": "cpu"}
    drawn = show("transfer", run, "glyphs:size=64,n=100", **options)  # type: ignore[arg-type]
    assert is_slide(drawn["out"])
    assert set(drawn["validation_loss"]) == {"transfer", "scratch"}
    assert all(len(losses) >= 1 for losses in drawn["validation_loss"].values())
    again = show("transfer", run, "glyphs:size=64,n=100", **options)  # type: ignore[arg-type]
    assert again["validation_loss"] == drawn["validation_loss"]


def test_the_generative_classifier_and_images_of_no_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {
        "model.network.channels": 8,
        "model.network.multipliers": [1],
        "model.network.attention": [],
        "train.batch_size": 16,
        "train.samples": 0,
    }
    folder = tmp_path / "class"
    train("builtin:digits", "ddpm-class", folder, steps=3, overrides=small, device="cpu")
    monkeypatch.setattr("unnoise.features.classifier.IMAGES_SHOWN", 2000)
    monkeypatch.setattr(import_module("unnoise.lectures.classification"), "TIMES", 2)
    drawn = show("classification", folder, n=12, out=tmp_path / "classification.png", device="cpu")
    assert is_slide(drawn["out"])
    assert drawn["n"] == {"test images": 12, "glyphs": 12, "noise": 12}
    for kind in ("generative", "discriminative"):
        assert 0 <= drawn["accuracy"][kind] <= 1
        assert all(0.1 <= of[kind] <= 1 for of in drawn["probability"].values())
    assert set(drawn["unlike_any"]) == {"test images", "glyphs", "noise"}


def test_what_cannot_be_shown_is_refused(autoencoder: Path, run: Path, tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="needs a diffusion model"):
        show("transfer", autoencoder, "glyphs:size=8,n=8", out=tmp_path / "x.png")
    with pytest.raises(NotApplicable, match="ddpm-class"):
        show("classification", run, out=tmp_path / "x.png", device="cpu")
    with pytest.raises(UserError, match="takes RUN SOURCE"):
        show("transfer", run, out=tmp_path / "x.png")
