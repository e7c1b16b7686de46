"""Runs that enlarge what another run drew."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from unnoise.guidance import ClassifierFree
from unnoise.runs.run import Run
from unnoise.sampling import cascade
from unnoise.sampling.conditions import SampleConditions
from unnoise.sampling.generate import generate
from unnoise.sampling.guidance_options import GuidanceOptions
from unnoise.training.train import train

SMALL = {
    "train.batch_size": 4,
    "train.samples": 0,
    "data.limit": 32,
    "model.network.channels": 8,
    "model.network.attention": [],
    "sampler.steps": 2,
}
CAPTIONED = {"class": {"dim": 16}, "text": {"dim": 16}}


def combined(**parts: Any) -> dict[str, Any]:
    return {"model.conditioner": {"kind": "combined", "parts": {**CAPTIONED, **parts}}}


class Runs(NamedTuple):
    """Of 8x8 pixels, by class and caption; from 8x8 to 16x16; from 16x16 to 32x32, by class and caption."""

    small: Path
    medium: Path
    large: Path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    made = Runs(*(tmp_path_factory.mktemp("cascade") / name for name in Runs._fields))
    double = {"factor": 2}
    for source, recipe, folder, options in (
        ("glyphs:size=8,n=64", "ddpm-class", made.small, combined()),
        ("glyphs:size=16,n=64", "sr", made.medium, {"model.conditioner.factor": 2}),
        ("glyphs:size=32,n=64", "sr", made.large, combined(image=double)),
    ):
        train(source, recipe, folder, steps=1, overrides={**SMALL, **options}, device="cpu")
    return made


def test_a_cascade_draws_small_images_and_enlarges_them_seed_by_seed(runs: Runs, tmp_path: Path) -> None:
    whole, one = tmp_path / "whole.npy", tmp_path / "one.npy"
    options: dict[str, Any] = {"then": [runs.medium], "precision": "fp32", "device": "cpu"}
    result = generate(runs.small, range(5), batch_size=2, out=whole, **options)
    assert result["shape"] == [5, 3, 16, 16]
    assert result["then"] == [str(runs.medium)]
    generate(runs.small, [3], out=one, **options)
    assert np.abs(np.load(whole)[3].astype(int) - np.load(one)[0].astype(int)).max() <= 1


def test_three_stages_follow_one_another_and_their_calls_are_summed(runs: Runs, tmp_path: Path) -> None:
    result = generate(
        runs.small, range(2), then=[runs.medium, runs.large], batch_size=2, out=tmp_path / "x.npy", device="cpu"
    )
    assert result["shape"] == [2, 3, 32, 32]
    assert result["network_calls"] == 3 * 2, "two steps of each"


def test_label_prompt_and_guidance_reach_every_stage_that_takes_them(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, Any]] = []
    draw = cascade.sample_in_batches

    def recorded(model: Any, seeds: Any, cond: Any, sampler: Any, guidance: Any, **options: Any) -> np.ndarray:
        asked.append((cond, guidance))
        return draw(model, seeds, cond, sampler, guidance, **options)

    monkeypatch.setattr(cascade, "sample_in_batches", recorded)
    result = generate(
        runs.small,
        range(2),
        then=[runs.medium, runs.large],
        conditions=SampleConditions(label="7", prompt="a red digit 7"),
        guidance=GuidanceOptions(3.0),
        batch_size=2,
        out=tmp_path / "x.npy",
        device="cpu",
    )
    assert result["network_calls"] == 3 * 2 * 2, "with the conditions and without, at each of two steps"
    (medium, medium_guidance), (large, large_guidance) = asked
    assert set(medium) == {"image"}
    assert set(large) == {"image", "label", "caption"}
    assert large["label"].tolist() == [Run.open(runs.large).classes.index("7")]
    assert large["caption"] == ["a red digit 7"]
    assert tuple(large["image"].shape) == (2, 3, 16, 16)
    assert medium_guidance == large_guidance == ClassifierFree(3.0)


def test_a_factor_that_does_not_fit_is_refused_before_anything_is_drawn(runs: Runs, tmp_path: Path) -> None:
    message = r"large enlarges images of 16x16 pixels, 3 channel\(s\); those of .*small have 8x8 pixels"
    with pytest.raises(ValueError, match=message):
        generate(runs.small, range(2), then=[runs.large], out=tmp_path / "x.npy", device="cpu")
    with pytest.raises(ValueError, match="medium enlarges images of 8x8 pixels"):
        generate(runs.small, range(2), then=[runs.medium, runs.medium], out=tmp_path / "x.npy", device="cpu")
    assert not list(tmp_path.iterdir())


def test_only_runs_that_enlarge_may_follow(runs: Runs, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="takes runs that enlarge"):
        generate(runs.small, range(2), then=[runs.small], out=tmp_path / "x.npy", device="cpu")
