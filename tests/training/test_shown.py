"""What [data] leaves to the images: mirroring and augmentation; and that a network is told what was done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unnoise.data import Images, Loader
from unnoise.data.augment import augmented
from unnoise.errors import UserError
from unnoise.models import Diffusion
from unnoise.networks.conditioning import AugmentConditioner
from unnoise.runs.config import override, read_recipe
from unnoise.runs.run import Run
from unnoise.training.setup import Setup, prepare
from unnoise.training.train import train

from .guarded import SMALL

AUTO = {"data.flip": "auto", "data.augment": "auto"}
PIXELS = np.random.default_rng(0).integers(0, 256, (60, 1, 8, 8), dtype=np.uint8)


def prepared(recipe: str, source: Any = PIXELS, stored: Any = None, **overrides: Any) -> Setup:
    config = override(read_recipe(recipe), {"train.batch_size": 8, **overrides})
    return prepare(source, recipe, config, 0, None, "cpu", stored)


def begun(out: Path, steps: int, **overrides: Any) -> Run:
    return train(PIXELS, "ddpm-digits", out, steps=steps, overrides={**SMALL, **overrides}, device="cpu")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Every vector that a network is told of, in order."""
    seen: list[torch.Tensor] = []
    embed = AugmentConditioner.embed

    def spied(self: AugmentConditioner, value: torch.Tensor, *others: Any) -> Any:
        seen.append(value)
        return embed(self, value, *others)

    monkeypatch.setattr(AugmentConditioner, "embed", spied)
    return seen


def test_in_training_the_network_is_told_what_was_done(tmp_path: Path, told: list[torch.Tensor]) -> None:
    run = begun(tmp_path / "run", 3, **{"data.augment": 0.5, "train.samples": 0, "train.guard": "off"})
    assert run.config["data"]["augment"] == 0.5
    held = run.held_out()
    assert held is not None
    plain, changed = (
        Loader(Images(PIXELS), 8, 0, rows=held.training_rows(60), augment=augment) for augment in (0.0, 0.5)
    )
    for step, vectors in enumerate(told[-3:]):
        batch = changed.batch(step)
        assert torch.equal(vectors, batch.cond["augment"])
        assert torch.equal(augmented(plain.batch(step).image, vectors), batch.image)


def test_samples_and_losses_on_held_out_images_are_of_images_as_they_are(
    tmp_path: Path, told: list[torch.Tensor]
) -> None:
    run = begun(tmp_path / "run", 2, **{"data.augment": 0.5})
    assert all((value != 0).any() for value in told), "nothing but training batches has a vector"
    told.clear()
    model = run.load("cpu")
    assert isinstance(model, Diffusion)
    assert model.condition_names == ()
    samples = model.sample(range(3))
    assert samples.shape == (3, 1, 8, 8)
    assert not told
    assert model.conditioner is not None
    for cond in (None, {}):
        vector = model.conditioner(cond, 3).vector
        assert vector is not None
        assert torch.equal(vector, torch.zeros(3, 64))
    as_it_was = torch.zeros(3, 8)
    vector = model.conditioner({"augment": as_it_was}, 3).vector
    assert vector is not None
    assert torch.equal(vector, torch.zeros(3, 64)), "'nothing was done' is the zero vector as well"


def test_what_was_done_is_told_whatever_else_is_dropped() -> None:
    setup = prepared("ddpm-class", "digits", **{"data.augment": 0.5, "model.conditioner.dropout": 1.0})
    model = setup.model
    assert isinstance(model, Diffusion)
    assert model.condition_names == ("label",)
    batch = setup.trainer(None).loader.batch(0)
    cond = model.conditions(batch)
    assert model.conditioner is not None
    model.conditioner.train()
    with torch.no_grad():
        first, nothing = (model.conditioner(given, 8).vector for given in (cond, {"label": batch.cond["label"]}))
    assert first is not None
    assert nothing is not None
    changed = (batch.cond["augment"] != 0).any(1)
    assert torch.equal((first != nothing).any(1), changed)


def test_a_run_goes_on_with_its_augmentation_to_the_bit(tmp_path: Path) -> None:
    options = {"data.augment": 0.5, "train.guard": "off"}
    whole = begun(tmp_path / "whole", 4, **options)
    begun(tmp_path / "parts", 2, **options)
    parts = begun(tmp_path / "parts", 4, **options)
    left, right = whole.load("cpu").state_dict(), parts.load("cpu").state_dict()
    assert all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize(
    ("recipe", "source", "reason"),
    [
        ("ddpm-map", "glyphs:size=16,n=100", "the condition 'map' lies on the image"),
        ("gan", "digits", "only a network that learns to denoise"),
        ("vae", "digits", "only a network that learns to denoise"),
    ],
)
def test_a_network_that_cannot_be_told_is_not_trained_so(recipe: str, source: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        prepared(recipe, source, **{"data.augment": 0.1})
    assert prepared(recipe, source, **{"data.augment": "auto"}).config["data"]["augment"] == 0


def test_the_recipe_auto_leaves_both_to_the_images() -> None:
    assert {name: read_recipe("auto")["data"][name] for name in ("flip", "augment")} == {
        "flip": "auto",
        "augment": "auto",
    }


def test_few_images_are_augmented_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    few = prepared("ddpm-digits", PIXELS, **AUTO)
    assert few.config["data"]["augment"] == 0.12
    assert any("moved, turned and stretched" in note for note in few.notes)
    monkeypatch.setattr("unnoise.training.shown.SMALL", 50)
    many = prepared("ddpm-digits", PIXELS, **AUTO)
    assert many.config["data"]["augment"] == 0
    assert "conditioner" not in many.config["model"]
    assert prepared("ddpm-digits", PIXELS, few.config, **AUTO).config["data"]["augment"] == 0.12, "a run's choice stays"
    assert prepared("ddpm-digits").config["data"]["augment"] == 0


@pytest.mark.parametrize(("rate", "augment"), [(99.0, 0.0), (101.0, 0.12)])
def test_a_training_too_short_to_learn_images_by_heart_shows_them_as_they_are(
    monkeypatch: pytest.MonkeyPatch, rate: float, augment: float
) -> None:
    monkeypatch.setattr("unnoise.training.dial.images_per_second", lambda *_: rate)
    minutes = len(PIXELS) / 60  # so that each image is seen `rate` times
    made = prepared("auto", PIXELS, **AUTO, **{"train.minutes": minutes})
    assert made.config["data"]["augment"] == augment
    assert any("as they are, each about 99 times" in note for note in made.notes) == (augment == 0)


def test_mirroring_is_decided_by_the_images_once(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = prepared("ddpm-digits", "digits", **AUTO)
    assert digits.config["data"]["flip"] is False
    assert any("images are not mirrored: 9" in note for note in digits.notes)
    noise = np.random.default_rng(0).integers(0, 256, (900, 1, 8, 8), dtype=np.uint8)
    alike = prepared("ddpm-digits", noise, **AUTO)
    assert alike.config["data"]["flip"] is True
    assert alike.trainer(None).loader.flip
    assert prepared("ddpm-digits", noise, digits.config, **AUTO).config["data"]["flip"] is False


def test_a_run_from_before_has_no_augmentation(tmp_path: Path) -> None:
    run = begun(tmp_path / "run", 1)
    config = run.folder / "config.toml"
    lines = config.read_text().splitlines(keepends=True)
    config.write_text("".join(line for line in lines if not line.startswith(("augment", "digest"))))
    again = begun(tmp_path / "run", 2, **{"data.augment": "auto"})
    assert again.config["data"]["augment"] == 0
    assert again.summary is not None
    assert again.summary["resumed_from"] == 1
