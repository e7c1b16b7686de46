"""What a training sees in its own sample grids: copies of a small training set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from unnoise.sources import open_source
from unnoise.training.previews import WATCHED, CopyWatch
from unnoise.training.train import train


@pytest.fixture
def few() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, 1, 8, 8), dtype=np.uint8)


def test_the_fraction_of_copies_is_counted(few: np.ndarray) -> None:
    watch = CopyWatch(open_source(few, progress=False), mirrored=False)
    real = open_source(few, progress=False).batch(range(4)).image
    new = open_source(np.random.default_rng(1).integers(0, 256, (4, 1, 8, 8), dtype=np.uint8), progress=False)
    assert watch.fraction(real) == 1
    assert watch.fraction(new.batch(range(4)).image) == 0


def test_large_sets_are_left_to_evaluation() -> None:
    many = open_source(np.zeros((WATCHED + 1, 1, 8, 8), np.uint8), progress=False)
    assert CopyWatch(many, mirrored=False).fraction(many.batch(range(2)).image) is None


def test_a_training_that_learns_its_images_by_heart_says_so(
    few: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = {
        "model.network.channels": 16,
        "train.batch_size": 16,
        "train.samples": 8,
        "train.warmup": 10,
        "train.ema": 0.9,
        "train.learning_rate": 3e-3,
        "sampler.steps": 20,
    }
    run = train(few, "ddpm-digits", tmp_path / "run", steps=250, overrides=overrides, device="cpu")
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["copies"] for row in rows if "copies" in row][-1] >= 0.5
    assert "near-copies of a training image" in capsys.readouterr().err
