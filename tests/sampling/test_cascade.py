from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unnoise.sampling.generate import generate
from unnoise.training.train import train

SMALL = {"train.batch_size": 8, "train.samples": 4, "train.warmup": 1, "data.limit": 32, "model.network.channels": 8}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("cascade")
    train("glyphs:8", "ddpm-digits", folder / "small", steps=2, overrides={**SMALL, "sampler.steps": 2}, device="cpu")
    train("glyphs:32", "sr", folder / "large", steps=2, overrides={**SMALL, "sampler.steps": 2}, device="cpu")
    return folder / "small", folder / "large"


def test_a_cascade_draws_small_images_and_enlarges_them_seed_by_seed(runs: tuple[Path, Path], tmp_path: Path) -> None:
    small, large = runs
    whole, one = tmp_path / "whole.npy", tmp_path / "one.npy"
    result = generate(small, range(5), then=[large], precision="fp32", batch_size=2, out=whole, device="cpu")
    assert result["shape"] == [5, 3, 32, 32]
    assert result["then"] == [str(large)]
    generate(small, [3], then=[large], precision="fp32", out=one, device="cpu")
    assert np.abs(np.load(whole)[3].astype(int) - np.load(one)[0].astype(int)).max() <= 1


def test_only_runs_that_enlarge_may_follow(runs: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="takes runs that enlarge"):
        generate(runs[0], range(2), then=[runs[0]], out=tmp_path / "x.npy", device="cpu")
