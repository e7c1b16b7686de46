from __future__ import annotations

import json
from pathlib import Path

import pytest

from unnoise.process.variance import Analytic
from unnoise.runs.run import Run
from unnoise.samplers import Ancestral
from unnoise.samplers.spec import sampler_text
from unnoise.sampling.generate import generate
from unnoise.sampling.sampler_choice import choose_sampler
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
    found = tune_run(run, 3, trajectories=8, iterations=20, device="cpu")
    assert found["error"] == min(found["held_out"].values()) < found["held_out"]["untuned"]
    assert found["kept"] == "coefficients"
    opened = Run.open(run)
    tuned = choose_sampler(opened, None, {"steps": 3})
    assert list(tuned.grid) == list(found["sampler"]["grid"])
    assert choose_sampler(opened, "tuned", {"steps": 3}) == tuned
    assert choose_sampler(opened, None, {"steps": 4}).grid == "auto"
    assert choose_sampler(opened, "ddim", {"steps": 3}).grid == "auto"
    drawn = generate(run, range(2), options={"steps": 3}, out=run / "two.npy", device="cpu")
    assert drawn["network_calls"] == 3


def test_what_does_not_win_on_other_seeds_is_not_kept(run: Path) -> None:
    """One step has one time, t_max, and no earlier answers: nothing to learn."""
    found = tune_run(run, 1, trajectories=4, iterations=2, device="cpu")
    assert (found["kept"], found["file"]) == ("untuned", None)
    assert Run.open(run).tuned(1) is None


def test_of_a_sampler_of_two_calls_a_step_times_alone_are_tuned(run: Path) -> None:
    found = tune_run(run, 2, samplers=["heun"], trajectories=4, iterations=5, device="cpu")
    assert set(found["held_out"]) == {"untuned", "times"}


def test_the_analytic_variance_is_estimated_once_for_a_checkpoint_and_kept_in_the_run(run: Path) -> None:
    """It was in the table of variances and could be given to no command."""
    opened, spec = Run.open(run), {"steps": 10, "variance": "analytic"}
    sampler = choose_sampler(opened, "ddpm", spec)
    assert isinstance(sampler, Ancestral)
    assert isinstance(sampler.variance, Analytic)
    assert all(0 <= gamma < 1 for gamma in sampler.variance.gammas[5:])
    file = run / "tuned" / "variance.json"
    kept = file.read_bytes()
    assert choose_sampler(opened, "ddpm", spec) == sampler
    assert file.read_bytes() == kept
    file.write_text(json.dumps({**json.loads(kept), "step": -1}))
    assert choose_sampler(opened, "ddpm", spec) == sampler
    assert file.read_bytes() == kept
    assert sampler_text(sampler) == "ddpm@10:variance=analytic"
    assert len(repr(sampler)) < 100
    drawn = generate(run, range(2), sampler="ddpm", options=spec, out=run / "a.npy", device="cpu")
    assert drawn["network_calls"] == 10
