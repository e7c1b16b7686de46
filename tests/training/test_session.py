"""A sitting: what it does when numbers, folders, signals and clocks misbehave."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import unnoise
from unnoise.errors import TrainingDiverged, UserError
from unnoise.runs.checkpoint import checkpoints, newest_valid
from unnoise.runs.metrics_file import read_metrics
from unnoise.runs.run import Run
from unnoise.training import saving, session
from unnoise.training.distill import distill
from unnoise.training.interrupt import Interrupt
from unnoise.training.previews import Painter, fitted
from unnoise.training.saving import SETBACKS
from unnoise.training.session import Session
from unnoise.training.train import train
from unnoise.training.trainer import Trainer

TINY = {
    "model.network.channels": 8,
    "model.network.multipliers": [1],
    "model.network.attention": [],
    "model.schedule.T": 20,
    "sampler.steps": 5,
    "train.batch_size": 4,
    "train.samples": 0,
    "train.log_every": 1,
    "train.precision": "fp32",
    "data.limit": 32,
}


def tiny(out: Path, steps: int, **overrides: Any) -> Run:
    return train("digits", "ddpm-digits", out, steps=steps, overrides={**TINY, **overrides}, device="cpu")


def steps_of(out: Path) -> list[int]:
    return [checkpoint.step for checkpoint in checkpoints(out / "checkpoints")]


def test_a_rate_that_destroys_everything_costs_no_checkpoint_and_may_be_lowered(tmp_path: Path) -> None:
    """Weights of NaN used to be saved over all good ones, and the advice to lower the rate was refused."""
    out = tmp_path / "run"
    tiny(out, 2, **{"train.save_every": 0})
    for _ in range(2):  # the same command again ends alike, and does not loop
        with pytest.raises(TrainingDiverged, match=r"as it was at step 2.*lower train.learning_rate"):
            tiny(out, 9, **{"train.save_every": 1, "train.learning_rate": 1e30, "train.warmup": 0})
        assert steps_of(out) == [1, 2]
    run = tiny(out, 5, **{"train.save_every": 0})
    assert run.summary is not None
    assert run.summary["resumed_from"] == 2
    assert all(value.isfinite().all() for value in unnoise.load(run, "cpu").state_dict().values())


def test_a_rate_that_destroys_a_new_run_leaves_a_folder_that_goes_on(tmp_path: Path) -> None:
    with pytest.raises(TrainingDiverged, match="at the start"):
        tiny(tmp_path / "run", 9, **{"train.learning_rate": 1e30, "train.warmup": 0})
    assert steps_of(tmp_path / "run") == []
    assert tiny(tmp_path / "run", 1, **{"train.batch_size": 2}).summary is not None  # even as another run


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Steps at which a weight becomes NaN, each once."""
    steps: list[int] = []
    advance = Trainer.advance

    def poisoning(self: Trainer) -> Any:
        results = advance(self)
        if self.step in steps:
            steps.remove(self.step)
            with torch.no_grad():
                next(self.model.parameters()).fill_(math.nan)
        return results

    monkeypatch.setattr(Trainer, "advance", poisoning)
    return steps


def test_it_goes_back_to_the_last_sound_step_at_half_the_rate(tmp_path: Path, poisoned: list[int]) -> None:
    poisoned += [4]
    run = tiny(tmp_path / "run", 6, **{"train.save_every": 0, "train.keep": 9})
    lines = read_metrics(run.folder)
    assert next(line for line in lines if "went_back_from" in line)["went_back_from"] == 4
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4, 5, 6]
    states = {c.step: c.state()["rate_factor"] for c in checkpoints(run.folder / "checkpoints")}
    assert states == {1: 1.0, 2: 1.0, 3: 1.0, 4: 0.5, 5: 0.5, 6: 0.5}


def test_a_lowered_rate_outlives_the_session_until_another_is_given(tmp_path: Path, poisoned: list[int]) -> None:
    poisoned += [2]
    tiny(tmp_path / "run", 3, **{"train.save_every": 0})
    assert _factor(tiny(tmp_path / "run", 4)) == 0.5
    assert _factor(tiny(tmp_path / "run", 5, **{"train.learning_rate": 1e-4})) == 1.0


def _factor(run: Run) -> float:
    return checkpoints(run.folder / "checkpoints")[-1].state()["rate_factor"]


def test_it_gives_up_after_so_many_setbacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    went_back = []
    monkeypatch.setattr(session, "_finite", lambda _: bool(went_back.append(1)))
    with pytest.raises(TrainingDiverged):
        tiny(tmp_path / "run", 5)
    assert len(went_back) == SETBACKS + 1


def test_a_last_step_that_is_not_sound_is_trained_again(tmp_path: Path, poisoned: list[int]) -> None:
    poisoned += [3]
    run = tiny(tmp_path / "run", 3)
    assert steps_of(run.folder) == [3]
    assert run.summary is not None
    assert run.summary["steps"] == 3


def test_an_interrupt_saves_nothing_that_is_not_sound(
    tmp_path: Path, poisoned: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned += [3]
    step = Session._one_step

    def interrupted(self: Session) -> None:
        step(self)
        if self.trainer.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Session, "_one_step", interrupted)
    run = tiny(tmp_path / "run", 9, **{"train.save_every": 1})
    assert run.summary is not None
    assert run.summary["stopped"] == "SIGTERM"
    checkpoint, refused = newest_valid(run.folder / "checkpoints")
    assert checkpoint is None
    assert not refused


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_asks_to_stop(name: str) -> None:
    if not hasattr(signal, name):
        pytest.skip(f"no {name} here")
    number = getattr(signal, name)
    before = signal.signal(number, signal.SIG_DFL)  # under nohup SIGHUP is ignored
    try:
        with Interrupt() as interrupt:
            os.kill(os.getpid(), number)
            assert interrupt.asked == name
    finally:
        signal.signal(number, before)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP here")
def test_a_closed_terminal_is_ignored_as_nohup_asks() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupt() as interrupt:
            os.kill(os.getpid(), signal.SIGHUP)
            assert interrupt.asked == ""
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_run_that_vanishes_is_noticed_at_the_next_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Session._one_step

    def vanishing(self: Session) -> None:
        if self.trainer.step == 2:
            shutil.rmtree(self.folder)
        step(self)

    monkeypatch.setattr(Session, "_one_step", vanishing)
    with pytest.raises(OSError, match="moved or removed"):
        tiny(tmp_path / "run", 9, **{"train.save_every": 0})
    assert not (tmp_path / "run").exists()


def test_a_step_is_saved_and_validated_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted right after a save, at the same step."""
    save = Session._save

    def interrupted(self: Session) -> bool:
        saved = save(self)
        os.kill(os.getpid(), signal.SIGTERM)
        return saved

    monkeypatch.setattr(Session, "_save", interrupted)
    run = tiny(tmp_path / "run", 9, **{"train.save_every": 0})
    assert [line["step"] for line in read_metrics(run.folder) if "validation_loss" in line] == [1]


def test_a_damaged_line_of_the_metrics_costs_that_line(tmp_path: Path) -> None:
    run = tiny(tmp_path / "run", 3)
    file = run.folder / "metrics.jsonl"
    lines = file.read_text().splitlines()
    damaged = [lines[0], '{"step": 2, "lo', "[1]", "\xff", *lines[1:]]
    file.write_text("\n".join(damaged) + "\n", encoding="latin-1")
    assert read_metrics(run.folder) == [json.loads(line) for line in lines]
    tiny(tmp_path / "run", 4)
    assert [line["step"] for line in read_metrics(run.folder) if "loss" in line] == [1, 2, 3, 4]


def test_a_moved_source_resumes(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 8, 8), dtype=np.uint8)
    here, there = tmp_path / "here.npy", tmp_path / "there.npy"
    np.save(here, pixels)
    arguments = {"recipe": "ddpm-digits", "out": tmp_path / "run", "overrides": TINY, "device": "cpu"}
    train(here, steps=1, **arguments)
    here.rename(there)
    run = train(there, steps=2, **arguments)
    assert run.summary is not None
    assert run.summary["resumed_from"] == 1


@pytest.mark.parametrize("made_before", [False, True])
def test_a_run_called_like_its_built_in_source_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_before: bool
) -> None:
    """The second `train digits --out digits` used to look for images in the run."""
    monkeypatch.chdir(tmp_path)
    if made_before:
        Path("digits").mkdir()
    assert tiny(Path("digits"), 1).config["source"] == "builtin:digits"
    again = tiny(Path("digits"), 2)
    assert again.summary is not None
    assert again.summary["resumed_from"] == 1
    assert tiny(Path("other"), 1).config["source"] == "builtin:digits"


def test_everything_that_takes_a_run_finds_its_data_beside_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `digits` meant when the run was trained it means later, whatever lies in the working folder by then."""
    monkeypatch.chdir(tmp_path)
    run = tiny(Path("run"), 1)
    for name in ("digits", "run/digits"):
        Path(name).mkdir()
    assert Run.open(run.folder).open_data("test")[0].source == "builtin:digits"
    student = distill(run.folder, out="student", steps=1, overrides={"train.samples": 0}, device="cpu")
    assert student.config["source"] == "builtin:digits"
    result = unnoise.evaluate("run", metrics=("fid",), features="pixels", n=4, device="cpu")
    assert result["reference"]["source"] == "builtin:digits"


def test_a_relative_source_is_found_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "here.npy", np.random.default_rng(0).integers(0, 256, (9, 8, 8), dtype=np.uint8))
    monkeypatch.chdir(tmp_path)
    train("here.npy", "ddpm-digits", "run", steps=1, overrides=TINY, device="cpu")
    Path("below").mkdir()
    monkeypatch.chdir("below")
    assert len(Run.open("../run").open_data()[0]) == 9


def test_an_interrupt_during_the_plan_leaves_nothing_that_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("unnoise.training.train.measure", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tiny(tmp_path / "run", 1)
    assert tiny(tmp_path / "run", 1, **{"train.batch_size": 2}).summary is not None


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    for name in ("checkpoints/1/theirs.txt", "metrics.jsonl", "samples/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("theirs")
    with pytest.raises(UserError, match="is no run and holds checkpoints and more"):
        tiny(tmp_path, 1)
    assert (tmp_path / "metrics.jsonl").read_text() == "theirs"
    assert (tmp_path / "checkpoints/1/theirs.txt").exists()
    (tmp_path / "config.toml").write_text("[tool]\nname = 'theirs'\n")
    with pytest.raises(UserError, match="unknown key 'tool'"):
        tiny(tmp_path, 1)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(UserError, match="is a file"):
        tiny(file, 1)


def test_a_key_that_was_unknown_makes_no_other_run(tmp_path: Path) -> None:
    """Keys with defaults that came after a run was begun: in [train], in [data], in the model, in the sampler."""
    run = tiny(tmp_path / "run", 1)
    config = run.folder / "config.toml"
    later = ("clip = ", "flip = ", "weight_decay", "keep = ", "heads = ", "digest = ")
    lines = config.read_text().splitlines(keepends=True)
    config.write_text("".join(line for line in lines if not line.startswith(later)))
    again = tiny(tmp_path / "run", 2)
    assert again.summary is not None
    assert again.summary["resumed_from"] == 1


class Clock:
    """Seconds that pass when something is done."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_everything_counts_towards_the_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two minutes: 30 s before the first step, 10 s a step, 5 s a save; a grid that takes 8 s and may take 12."""
    clock = Clock()
    init, advance, save, draw = Session.__init__, Trainer.advance, saving.save_checkpoint, Painter.draw
    drawn = []

    def begin(self: Session, *arguments: Any, **options: Any) -> None:
        clock.now = 30.0
        init(self, *arguments, **{**options, "begun": 0.0, "clock": clock})
        assert self.painter is not None
        self.painter.seconds_each, self.painter.clock = 8 / (4 * 5), clock

    def passing(seconds: float, function: Any) -> Any:
        def timed(*arguments: Any, **options: Any) -> Any:
            clock.now += seconds
            return function(*arguments, **options)

        return timed

    monkeypatch.setattr(Session, "__init__", begin)
    monkeypatch.setattr(Trainer, "advance", passing(10, advance))
    monkeypatch.setattr(saving, "save_checkpoint", passing(5, save))
    monkeypatch.setattr(Painter, "draw", passing(8, lambda *arguments: drawn.append(draw(*arguments))))
    options = {"train.samples": 4, "train.minutes": 2, "train.save_every": 1, "train.draw_every": 60}
    run = tiny(tmp_path / "run", 1000, **options)
    assert run.summary is not None
    assert run.summary["seconds"] <= 120
    assert run.summary["steps"] == 7  # 30 + 70 + 5 + 5 + 8 = 118
    assert len(drawn) == 1
    again = tiny(tmp_path / "run", 1000, **options)
    assert again.summary is not None
    assert again.summary["steps"] == 7  # it had come to its end


@pytest.mark.parametrize(
    ("allowed", "fewer_steps", "expected"),
    [
        (1800, True, (36, 50)),
        (1799, True, (35, 50)),
        (200, True, (4, 50)),
        (199, True, (4, 49)),
        (199, False, None),
        (40, True, (4, 10)),
        (39, True, None),
    ],
)
def test_a_grid_that_takes_too_long_is_made_smaller(
    allowed: float, fewer_steps: bool, expected: tuple[int, int] | None
) -> None:
    assert fitted(36, 50, 1.0, allowed, fewer_steps=fewer_steps) == expected
