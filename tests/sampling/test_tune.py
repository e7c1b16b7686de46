from __future__ import annotations

from pathlib import Path

import pytest

from unnoise.runs.run import Run
from unnoise.sampling.generate import choose_sampler, draw
from unnoise.sampling.tune import tune_run
from unnoise.training.train import train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuned") / "run"
    overrides = {
        "model.network.channels": 8,
        "model.schedule.T": 100,
        "train.batch_size": 32,
        "train.samples": 0,
        "train.warmup": 5,
    }
    train("digits", "ddpm-digits", folder, steps=40, overrides=overrides, device="cpu")
    return folder


def test_the_tuned_sampler_is_kept_in_the_run_and_taken_for_its_steps_alone(run: Path) -> None:
    with pytest.raises(ValueError, match="unnoise tune"):
        choose_sampler(Run.open(run), "tuned", {"steps": 3})
    found = tune_run(run, 3, trajectories=4, device="cpu")
    assert found["error"] <= min(found["named"].values())
    opened = Run.open(run)
    tuned = choose_sampler(opened, None, {"steps": 3})
    assert list(tuned.grid) == list(found["sampler"]["grid"])
    assert choose_sampler(opened, "tuned", {"steps": 3}) == tuned
    assert choose_sampler(opened, None, {"steps": 4}).grid == "trailing"
    assert choose_sampler(opened, "ddim", {"steps": 3}).grid == "trailing"
    drawn = draw(run, range(2), options={"steps": 3}, out=run / "two.npy", device="cpu")
    assert drawn["network_calls"] == 3
