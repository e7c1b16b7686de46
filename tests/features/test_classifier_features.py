from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from unnoise.features import ClassifierFeatures, Pixels, cache, train_classifier
from unnoise.features.cache import cached_features, open_features
from unnoise.sources import open_source


@pytest.fixture(scope="module")
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    images, target = load_digits(return_X_y=True)
    return torch.tensor(images * 15.9375).to(torch.uint8).view(-1, 1, 8, 8), torch.tensor(target)


@pytest.fixture(scope="module")
def trained(digits) -> ClassifierFeatures:
    return train_classifier(*digits, 10, seed=1, epochs=12)


def test_learns_digits_and_knows_how_well(digits, trained: ClassifierFeatures) -> None:
    pixels, labels = digits
    assert trained.training is not None
    assert (trained.training.train_images, trained.training.test_images) == (1617, 180)
    accuracy = trained.training.accuracy
    assert accuracy > 0.95
    assert trained.quality() == {"accuracy": accuracy, "test_images": 180}
    apart = torch.arange(len(pixels)) % 10 == 9
    apart[-1] = True
    right = trained.probabilities(trained(pixels[apart])).argmax(1) == labels[apart]
    assert float(right.double().mean()) == pytest.approx(accuracy)


def test_features_and_probabilities(digits, trained: ClassifierFeatures) -> None:
    pixels, _ = digits
    features = trained(pixels[:40])
    assert features.shape == (40, trained.dim)
    assert features.dtype == torch.float32
    probabilities = trained.probabilities(features)
    assert probabilities.shape == (40, trained.classes)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(40))
    torch.testing.assert_close(trained.extract(pixels[:40].split(7)), features, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(trained(pixels[:40].float() / 127.5 - 1), features)


def test_the_same_seed_gives_the_same_bits_and_leaves_the_global_state_alone(digits) -> None:
    pixels, labels = digits[0][:200], digits[1][:200]
    found = []
    for seed, state in ((3, 7), (3, 8), (4, 8)):
        torch.manual_seed(state)
        before = torch.get_rng_state()
        found.append(train_classifier(pixels, labels, 10, seed=seed, epochs=1))
        assert torch.equal(torch.get_rng_state(), before)
    one, two, other = found
    assert one.version == two.version != other.version
    assert torch.equal(one(pixels), two(pixels))


def test_a_test_set_of_ones_own(digits) -> None:
    pixels, labels = digits
    got = train_classifier(pixels[:300], labels[:300], 10, test=(pixels[300:450], labels[300:450]), epochs=1, base=4)
    assert got.training is not None
    assert (got.training.train_images, got.training.test_images, got.training.epochs) == (300, 150, 1)


def test_saved_and_loaded_features_are_the_same(trained: ClassifierFeatures, digits, tmp_path: Path) -> None:
    trained.save(tmp_path / "classifier")
    loaded = ClassifierFeatures.load(tmp_path / "classifier")
    assert (loaded.version, loaded.training) == (trained.version, trained.training)
    assert torch.equal(loaded(digits[0][:9]), trained(digits[0][:9]))


def test_a_damaged_folder_is_refused(trained: ClassifierFeatures, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no classifier"):
        ClassifierFeatures.load(tmp_path / "nothing")
    trained.save(tmp_path)
    about = json.loads((tmp_path / "classifier.json").read_text())
    (tmp_path / "classifier.json").write_text(json.dumps({**about, "version": "another"}))
    with pytest.raises(ValueError, match="is damaged"):
        ClassifierFeatures.load(tmp_path)


@pytest.mark.parametrize("name", ["classifier.json", "model.safetensors"])
def test_a_damaged_classifier_is_trained_again(
    name: str, trained: ClassifierFeatures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNNOISE_CACHE", str(tmp_path))
    monkeypatch.setattr(cache, "_train", lambda *_: trained)
    images = open_source("builtin:digits", progress=False)
    first = open_features("classifier", images, None)
    (damaged,) = tmp_path.rglob(name)
    damaged.write_bytes(damaged.read_bytes()[:-9])
    again = open_features("classifier", images, None)
    assert again.version == first.version == trained.version


def test_damaged_features_are_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNNOISE_CACHE", str(tmp_path))
    images, rows = open_source("builtin:digits", progress=False), np.arange(5)
    extractor = Pixels(images.shape)
    first = cached_features(images, rows, extractor)
    (file,) = (tmp_path / "features").iterdir()
    file.write_bytes(b"\0" + file.read_bytes()[1:])
    assert torch.equal(cached_features(images, rows, extractor), first)


def test_colour_images(tmp_path: Path) -> None:
    """Red, green and blue pictures: that differ in colour alone."""
    labels = torch.arange(90) % 3
    pixels = torch.zeros(90, 3, 16, 16, dtype=torch.uint8)
    pixels[torch.arange(90), labels] = torch.randint(
        100, 255, (90, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    assert train_classifier(pixels, labels, 3, epochs=20, base=4).quality()["accuracy"] == 1


def test_faults_are_named(trained: ClassifierFeatures, digits) -> None:
    pixels, labels = digits
    with pytest.raises(ValueError, match=r"takes images \(1, 8, 8\), got \(1, 9, 8\)"):
        trained(torch.zeros(2, 1, 9, 8))
    with pytest.raises(ValueError, match=r"labels must lie in 0..4, got 0..9"):
        train_classifier(pixels, labels, 5)
    with pytest.raises(ValueError, match="need uint8 images"):
        train_classifier(pixels.float(), labels, 10)
    with pytest.raises(ValueError, match="a label for each"):
        train_classifier(pixels, labels[:-1], 10)
    with pytest.raises(ValueError, match="at least 2 images"):
        train_classifier(pixels[:1], labels[:1], 10)
