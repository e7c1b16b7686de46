"""Training a run: it learns, it resumes to the bit, it survives, it refuses."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import unnoise
from unnoise.runs.checkpoint import checkpoints
from unnoise.runs.metrics_file import read_metrics
from unnoise.runs.run import Run
from unnoise.training.train import train

TINY = {
    "model.network.channels": 8,
    "model.network.multipliers": [1, 2],
    "model.network.blocks": 1,
    "model.network.dropout": 0.1,
    "model.schedule.T": 20,
    "sampler.steps": 5,
    "train.batch_size": 8,
    "train.samples": 4,
    "train.log_every": 1,
    "train.precision": "fp32",
    "data.flip": True,
    "data.limit": 64,
}


def tiny(out: Path, steps: int, source: Any = "digits", **overrides: Any) -> Run:
    return train(source, "ddpm-digits", out, steps=steps, overrides={**TINY, **overrides}, device="cpu")


def weights(run: Run, name: str = "model") -> Mapping[str, torch.Tensor]:
    return checkpoints(run.folder / "checkpoints")[-1].tensors(name)


def assert_same_bits(left: Run, right: Run) -> None:
    for name in ("model", "ema"):
        a, b = weights(left, name), weights(right, name)
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_run_is_a_folder_that_loads(tmp_path: Path) -> None:
    run = tiny(tmp_path / "run", 6)
    assert run.summary is not None
    assert run.summary["steps"] == 6
    assert run.summary["images"] == 48
    assert run.summary["resumed_from"] is None
    assert run.next_commands() == [f"unnoise sample {run.folder} -n 16", f"unnoise evaluate {run.folder}"]
    assert repr(run) == f"Run('{run.folder}', ddpm-digits, 8x8x1, 6 steps)"
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4, 5, 6]
    assert (run.folder / "samples" / "6.png").is_file()
    for given in (run, str(run.folder)):
        assert torch.equal(unnoise.load(given, "cpu").sample([3]), unnoise.load(run.folder, "cpu").sample([3]))
    model = unnoise.load(run.folder, "cpu")
    assert re.fullmatch(r"Diffusion\(8x8x1, 0\.\d\d M parameters\)", repr(model))
    assert not model.training
    saved = weights(run, "ema")
    assert all(torch.equal(value, saved[name]) for name, value in model.state_dict().items())
    images = model.sample(seeds=range(3))
    assert images.shape == (3, 1, 8, 8)
    assert images.abs().max() <= 1


def test_save_load_sample_gives_the_same_bits(tmp_path: Path) -> None:
    run = tiny(tmp_path / "run", 3)
    first, again = (unnoise.load(run.folder, "cpu").sample(seeds=[4, 5]) for _ in range(2))
    assert torch.equal(first, again)


def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(tmp_path: Path) -> None:
    whole = tiny(tmp_path / "whole", 9)
    tiny(tmp_path / "parts", 4)
    parts = tiny(tmp_path / "parts", 9)
    assert parts.summary is not None
    assert parts.summary["resumed_from"] == 4
    assert_same_bits(whole, parts)


def test_importance_sampling_resumes_with_the_losses_that_wait(tmp_path: Path) -> None:
    """A step's losses are recorded one step later: a checkpoint between the two has them."""
    how = {"objective": {"kind": "variational", "times": "importance"}, "model.learned_variance": True}
    how |= {"model.schedule.T": 2, "sampler.steps": 2}
    whole = tiny(tmp_path / "whole", 9, **how)
    tiny(tmp_path / "parts", 6, **how)
    parts = tiny(tmp_path / "parts", 9, **how)
    assert_same_bits(whole, parts)
    left, right = (weights(run, "loss_history") for run in (whole, parts))
    assert left["seen"].sum() == 64, "those of eight steps of nine"
    assert left["seen"].min() >= 10, "the times are no longer uniform"
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_gradient_accumulation_sees_the_same_images_and_resumes(tmp_path: Path) -> None:
    whole = tiny(tmp_path / "whole", 6, **{"train.accumulate": 4})
    tiny(tmp_path / "parts", 2, **{"train.accumulate": 4})
    assert_same_bits(whole, tiny(tmp_path / "parts", 6, **{"train.accumulate": 4}))


def test_a_finished_run_is_left_as_it_is(tmp_path: Path) -> None:
    first = tiny(tmp_path / "run", 3)
    before = weights(first)
    again = tiny(tmp_path / "run", 3)
    assert again.summary is not None
    assert again.summary["steps"] == 3
    assert again.summary["resumed_from"] == 3
    assert all(torch.equal(before[key], value) for key, value in weights(again).items())


def start_process(out: Path, steps: int) -> subprocess.Popen[str]:
    settings = [f"--set={key}={json.dumps(value)}" for key, value in {**TINY, "train.save_every": 0}.items()]
    command = [sys.executable, "-m", "unnoise.cli", "train", "digits", "--recipe", "ddpm-digits", "--out", str(out)]
    command += ["--steps", str(steps), "--device", "cpu", "--json", *settings]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def wait_for_steps(out: Path, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 600
    while len(checkpoints(out / "checkpoints")) == 0 or checkpoints(out / "checkpoints")[-1].step < count:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_killed_at_any_moment_the_same_command_goes_on(tmp_path: Path) -> None:
    """SIGKILL at a moment that falls where it may (also while a checkpoint is written), of a run that was resumed."""
    out = tmp_path / "killed"
    tiny(out, 2, **{"train.save_every": 0})
    process = start_process(out, 4000)
    wait_for_steps(out, 5, process)
    process.kill()
    process.communicate()
    last = checkpoints(out / "checkpoints")[-1].step
    end = last + 3
    finished = tiny(out, end, **{"train.save_every": 0})
    assert finished.summary is not None
    assert finished.summary["resumed_from"] == last
    steps = [json.loads(line)["step"] for line in (out / "metrics.jsonl").read_text().splitlines() if '"loss"' in line]
    assert steps == list(range(1, end + 1))
    assert_same_bits(tiny(tmp_path / "whole", end, **{"train.save_every": 0}), finished)


def test_no_other_trains_in_its_folder_and_a_signal_finishes_the_step_saves_and_exits_zero(tmp_path: Path) -> None:
    process = start_process(tmp_path / "run", 100_000)
    try:
        wait_for_steps(tmp_path / "run", 2, process)
        with pytest.raises(ValueError, match="another process is training"):
            tiny(tmp_path / "run", 100_000, **{"train.save_every": 0})
    finally:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    summary = json.loads(out)
    assert summary["stopped"] == "SIGTERM"
    assert checkpoints(tmp_path / "run" / "checkpoints")[-1].step == summary["steps"]


def test_a_corrupt_checkpoint_falls_back_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tiny(tmp_path / "run", 4, **{"train.save_every": 0})
    newest = checkpoints(run.folder / "checkpoints")[-1].folder
    (newest / "model.safetensors").write_bytes(b"not what was written")
    again = tiny(tmp_path / "run", 6, **{"train.save_every": 0})
    assert again.summary is not None
    assert again.summary["resumed_from"] == 3
    assert "passing over an unsound checkpoint" in capsys.readouterr().err
    assert_same_bits(tiny(tmp_path / "whole", 6, **{"train.save_every": 0}), again)


def test_a_change_that_makes_another_run_is_refused(tmp_path: Path) -> None:
    tiny(tmp_path / "run", 2)
    with pytest.raises(ValueError, match=r"train.batch_size is 8 there and 4 here"):
        tiny(tmp_path / "run", 4, **{"train.batch_size": 4})
    with pytest.raises(ValueError, match=r"found\."):
        tiny(tmp_path / "run", 4, source=np.zeros((9, 8, 8), np.uint8))


def test_rate_clip_and_precision_may_change_and_are_recorded(tmp_path: Path) -> None:
    tiny(tmp_path / "run", 2)
    run = tiny(tmp_path / "run", 3, **{"train.learning_rate": 0.01, "train.clip": 0.5})
    changed = [line["changed"] for line in read_metrics(run.folder) if "changed" in line]
    assert changed == [{"train.learning_rate": [0.001, 0.01], "train.clip": [1.0, 0.5]}]
    assert Run.open(run.folder).config["train"]["learning_rate"] == 0.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"recipe": "ddpm-digit"}, "did you mean 'ddpm-digits'"),
        ({"overrides": {"train.batch_sise": 3}}, "did you mean 'batch_size'"),
        ({"overrides": {"trian.batch_size": 3}}, "did you mean 'train'"),
        ({"overrides": {"model.network.chanels": 3}}, "did you mean 'channels'"),
        ({"overrides": {"model.schedule.kind": "cosin"}}, "did you mean 'cosine'"),
        ({"overrides": {"model.schdule.kind": "cosine"}}, "did you mean 'schedule'"),
        ({"overrides": {"sampler.kind": "dddim"}}, "did you mean 'ddim'"),
        ({"overrides": {"train.batch_size": 0}}, "batch_size of .train. must be a whole number at least 1.*, got 0"),
        ({"overrides": {"model.schedule.kind": "cosine", "objective.timesteps": "grid"}}, "no native steps"),
        ({"source": "digit"}, "digits"),
    ],
)
def test_bad_requests_get_one_clear_line(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    given = {"source": "digits", "recipe": "ddpm-digits", "steps": 1, "device": "cpu", **arguments}
    with pytest.raises(ValueError, match=message) as caught:
        train(out=tmp_path / "run", **given)
    assert "\n" not in str(caught.value)


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    run = train("digits", "ddpm-digits", tmp_path / "run", steps=3, overrides=TINY, device="cpu", dry_run=True)
    assert run.plan is not None
    assert run.plan.parameters > 0
    assert run.summary is None
    assert not (tmp_path / "run").exists()


def test_a_dry_run_counts_what_is_done(tmp_path: Path) -> None:
    tiny(tmp_path / "run", 3)
    run = train("digits", "ddpm-digits", tmp_path / "run", steps=5, overrides=TINY, device="cpu", dry_run=True)
    assert run.plan is not None
    assert run.plan.step == 3


@pytest.mark.parametrize(("recipe", "side", "advised"), [("ddpm", 48, True), ("ddpm", 47, False), ("vlb", 48, False)])
def test_the_plan_advises_the_cheaper_recipe_for_large_images(
    tmp_path: Path, recipe: str, side: int, advised: bool
) -> None:
    pixels = np.zeros((8, 8, side, 1), dtype=np.uint8)
    run = train(pixels, recipe, tmp_path / "run", steps=1, overrides=TINY, device="cpu", dry_run=True)
    assert run.plan is not None
    assert any("--recipe auto" in note for note in run.plan.notes) == advised


def test_rectangular_colour_arrays_train(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 9, 14, 3), dtype=np.uint8)
    run = tiny(tmp_path / "run", 2, source=pixels)
    assert run.shape == (3, 9, 14)
    assert unnoise.load(run.folder, "cpu").sample(seeds=[1]).shape == (1, 3, 9, 14)


def test_a_class_conditional_run_takes_labels(tmp_path: Path) -> None:
    run = tiny(tmp_path / "run", 3, **{"model.conditioner.kind": "class", "model.conditioner.dim": 16})
    model = unnoise.load(run.folder, "cpu")
    one, two = (model.sample(seeds=[0], cond={"label": torch.tensor([k])}) for k in (1, 2))
    assert not torch.equal(one, two)
