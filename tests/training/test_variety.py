"""What previews say of the variety of samples: classes, or recall, and a warning where classes vanish."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from unnoise.data import Images
from unnoise.sources import open_source
from unnoise.training.train import train
from unnoise.training.variety import VarietyWatch


@pytest.fixture(scope="module")
def digits() -> Images:
    return open_source("digits", progress=False)


@pytest.fixture(scope="module")
def watch(digits: Images) -> VarietyWatch:
    return VarietyWatch(digits)


def test_the_neighbour_is_right_about_digits(watch: VarietyWatch) -> None:
    assert watch.accuracy is not None
    assert watch.accuracy > 0.95


def test_data_has_all_classes(digits: Images, watch: VarietyWatch) -> None:
    found = watch.look(digits.batch(range(500)).image)
    assert found.warning is None
    assert found.values["classes_vanished"] == 0
    assert found.values["class_fractions"] == pytest.approx(found.values["class_fractions_data"], abs=0.06)


def test_two_shapes_of_ten_are_a_collapse(digits: Images, watch: VarietyWatch) -> None:
    assert digits.labels is not None
    rows = np.flatnonzero(digits.labels < 2)[:200]
    found = watch.look(digits.batch(rows).image)
    assert found.values["classes_vanished"] == 8
    assert found.warning is not None
    assert "8 of 10 are missing among 200 samples (2, 3, 4, 5, 6, 7, 8, 9)" in found.warning


def test_a_rare_class_that_chance_leaves_out_has_not_vanished(digits: Images) -> None:
    """Of a class with 1 % of the data a hundred perfect samples have none in a third of all draws."""
    assert digits.labels is not None
    rare = np.flatnonzero(digits.labels == 9)[:12]
    rows = np.sort(np.concatenate([np.flatnonzero(digits.labels < 9), rare]))
    watch = VarietyWatch(digits.subset(rows))
    without = np.flatnonzero(digits.labels < 9)[:100]
    assert watch.look(digits.batch(without).image).warning is None


def test_unlabelled_images_are_measured_by_recall(digits: Images) -> None:
    plain = replace(digits, fields={}, classes=(), fingerprint="")
    watch = VarietyWatch(plain)
    whole = watch.look(plain.batch(range(300)).image).values
    same = watch.look(plain.batch([0] * 300).image).values
    assert whole["recall"] > 0.7
    assert same["recall"] < 0.05


def test_labels_that_neighbours_do_not_tell_are_measured_by_recall() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 1, 8, 8), dtype=np.uint8)
    images = Images(noise, {"labels": np.arange(300) % 3}, ("a", "b", "c"))
    watch = VarietyWatch(images)
    assert not watch.counts_classes
    assert set(watch.look(images.batch(range(100)).image).values) == {"recall"}


TINY = {"model.channels": 8, "train.batch_size": 16, "train.samples": 4, "train.warmup": 1}


def test_a_gan_that_draws_no_digits_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unnoise.training.session.QUICK", 1e9)  # however slow the machine, it looks at the variety
    run = train("digits", "gan", tmp_path / "run", steps=2, overrides={**TINY, "objective.channels": 8}, device="cpu")
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    (found,) = [line for line in lines if "class_fractions" in line]
    assert sum(found["class_fractions"]) == pytest.approx(1, abs=0.01)
    assert found["classes_vanished"] > 0
    assert "classes vanish: " in capsys.readouterr().err
    players = {"accuracy_real", "accuracy_fake", "diversity", "grad_norm_generator", "grad_norm_discriminator"}
    assert any(players <= set(line) for line in lines)


def test_models_that_draw_in_many_steps_are_not_held_up(tmp_path: Path) -> None:
    overrides = {"model.network.channels": 8, "train.batch_size": 8, "train.samples": 4, "sampler.steps": 2}
    run = train("digits", "ddpm-digits", tmp_path / "run", steps=2, overrides=overrides, device="cpu")
    assert "class_fractions" not in (run.folder / "metrics.jsonl").read_text()
