"""The plan: sized by memory and patience before anything large is tried."""

from __future__ import annotations

import math
from collections.abc import Sized
from pathlib import Path

import numpy as np
import pytest

from unnoise.errors import UserError
from unnoise.runs.checkpoint import checkpoints
from unnoise.training import plan as module
from unnoise.training.train import train

TINY = {
    "model.network.channels": 8,
    "model.network.multipliers": [1],
    "model.network.attention": [],
    "train.batch_size": 12,
    "train.samples": 0,
    "train.precision": "fp32",
}


@pytest.fixture
def images() -> np.ndarray:
    return np.zeros((12, 8, 8), np.uint8)


def with_room_for(monkeypatch: pytest.MonkeyPatch, rows: float) -> list[int]:
    """A machine whose memory holds the activations of so many images; gives the rows that trial steps are made of."""
    monkeypatch.setattr(module, "saved_bytes", lambda *_: 1000)
    monkeypatch.setattr(module, "free_bytes", lambda _: int(rows * 1000 / module.MEMORY))
    tried: list[int] = []
    trial = module.trial_step
    monkeypatch.setattr(module, "trial_step", lambda trainer, batch: tried.append(len(batch)) or trial(trainer, batch))
    return tried


def test_a_batch_that_does_not_fit_is_computed_in_parts_that_do(
    images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = with_room_for(monkeypatch, 5)
    run = train(images, "ddpm-digits", tmp_path / "run", steps=1, overrides=TINY, device="cpu")
    assert run.plan is not None
    assert run.plan.measured is not None
    assert run.plan.measured.parts == 3
    assert max(tried) <= 4
    assert checkpoints(run.folder / "checkpoints")[-1].state()["accumulate"] == 3
    assert any("a batch in 3 parts" in line for line in run.plan.lines())
    with_room_for(monkeypatch, 50)  # more memory later: the same parts, so that the sums are the same bits
    again = train(images, "ddpm-digits", tmp_path / "run", steps=2, overrides=TINY, device="cpu")
    assert again.plan is not None
    assert again.plan.measured is not None
    assert again.plan.measured.parts == 3


def test_an_image_that_does_not_fit_is_refused_in_a_line(
    images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = with_room_for(monkeypatch, 0.5)
    with pytest.raises(UserError, match=r"a single image needs .* smaller data\.size"):
        train(images, "ddpm-digits", tmp_path / "run", steps=1, overrides=TINY, device="cpu")
    assert tried == []


def test_slow_images_are_tried_few_at_a_time(
    images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = with_room_for(monkeypatch, 50)
    monkeypatch.setattr(module, "TRIAL_SECONDS", 0.0)
    run = train(images, "ddpm-digits", tmp_path / "run", overrides=TINY, device="cpu", dry_run=True)
    assert run.plan is not None
    assert run.plan.to_dict()["step_seconds"] > 0
    assert tried == [1, 1], "cold and warm"


def test_the_time_of_a_step_is_that_of_a_warm_one_on_as_many_images_as_time_allows(
    images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first step of a process is slow however few images it has, and says nothing about the others."""
    tried: list[int] = []

    def trial(_trainer: object, batch: Sized) -> float:
        tried.append(len(batch))
        return 2.9 if len(tried) == 1 else 0.001 * len(batch)

    monkeypatch.setattr(module, "trial_step", trial)
    monkeypatch.setattr(module, "TRIAL_SECONDS", 1e-6)  # so that the forward pass of the first image allows one image
    monkeypatch.setattr(module, "_first_step", lambda *given: setattr(module, "TRIAL_SECONDS", 3.0) or trial(*given))
    run = train(images, "ddpm-digits", tmp_path / "run", overrides=TINY, device="cpu", dry_run=True)
    assert run.plan is not None
    assert run.plan.measured is not None
    assert tried == [1, 1, 12]
    assert run.plan.measured.step_seconds == pytest.approx(0.012)


def test_a_training_that_minutes_end_has_no_number_of_steps(images: np.ndarray, tmp_path: Path) -> None:
    auto = {**TINY, "train.steps": 10_000_000}
    plan = train(images, "ddpm-digits", tmp_path, minutes=1, overrides=auto, device="cpu", dry_run=True).plan
    assert plan is not None
    assert "stops   after 1 minute" in plan.lines()
    assert any(line.endswith("8x8, 1 channel") for line in plan.lines())


@pytest.mark.parametrize("minutes", [0, math.inf, -1])
def test_minutes_that_would_never_end(images: np.ndarray, tmp_path: Path, minutes: float) -> None:
    with pytest.raises(UserError, match="minutes have to be above 0"):
        train(images, "ddpm-digits", tmp_path / "run", minutes=minutes, overrides=TINY, device="cpu")


def test_a_training_with_nothing_left_says_so(
    images: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {"steps": 1, "overrides": TINY, "device": "cpu"}
    train(images, "ddpm-digits", tmp_path / "run", **asked)
    assert "nothing is left" not in capsys.readouterr().err
    train(images, "ddpm-digits", tmp_path / "run", **asked)
    assert "nothing is left to train of what was asked for" in capsys.readouterr().err
