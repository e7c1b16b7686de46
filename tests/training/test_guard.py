"""The guard of small sets: when it says that a training copies, what it stops, and what is loaded then."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import fisher_exact

import unnoise
from unnoise.data import Images
from unnoise.metrics.copies import Likeness
from unnoise.runs.checkpoint import checkpoints, save_checkpoint
from unnoise.runs.run import Run
from unnoise.training import guard as module
from unnoise.training.findings import Findings
from unnoise.training.guard import CHANCE, IN_A_ROW, Copies, Drawing, Guard, compared
from unnoise.training.train import train

from . import guarded
from .guarded import PIXELS, SMALL, known


def begun(out: Path, steps: int, **overrides: Any) -> Run:
    return train(PIXELS, "ddpm-digits", out, steps=steps, overrides={**SMALL, **overrides}, device="cpu")


def lines(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def watchful(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guard that looks after every step."""
    monkeypatch.setattr(module, "EVERY", 0.0)
    monkeypatch.setattr(module, "FRACTION", 1e9)


@pytest.fixture
def copying(watchful: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its third look on the model draws training images."""

    monkeypatch.setattr(Drawing, "draw", known)


def copies(found: int, of: int) -> Copies:
    nothing = torch.zeros(of)
    return Copies(torch.zeros(of, 1, 2, 2), Likeness(nothing, nothing, nothing, nothing.long()), found)


@pytest.mark.parametrize("found", range(0, 20, 3))
@pytest.mark.parametrize("base", [(0, 10), (0, 500), (25, 500), (3, 40)])
def test_the_share_of_copies_is_judged_by_fishers_exact_test(found: int, base: tuple[int, int]) -> None:
    table = [[found, 64 - found], [base[0], base[1] - base[0]]]
    p = float(np.asarray(fisher_exact(table, alternative="greater"))[1])
    assert copies(found, 64).leave(base) == (p < CHANCE)


def test_a_share_at_the_base_rate_is_an_alarm_at_most_as_often_as_chance_allows() -> None:
    draws, rate = np.random.default_rng(0), 0.05
    alarms = [
        copies(int(draws.binomial(64, rate)), 64).leave((int(draws.binomial(500, rate)), 500)) for _ in range(4000)
    ]
    assert sum(alarms) <= 4000 * CHANCE + 3 * (4000 * CHANCE) ** 0.5


def test_a_held_out_loss_has_risen_when_it_has_image_by_image_several_times_in_a_row() -> None:
    least = 1 + torch.rand(50, generator=torch.Generator().manual_seed(0))
    findings = compared(Findings(), least, 10)
    assert (findings.least_step, findings.rises) == (10, 0)
    for rises in range(1, 4):
        findings = compared(findings, 1.1 * least, 10 + rises)
        assert (findings.least_step, findings.rises) == (10, rises)
    assert compared(findings, 1.01 * least, 20).rises == 0, "too little"
    odd = least.clone()
    odd[0] += 10
    assert odd.mean() > 1.1 * least.mean()
    assert compared(findings, odd, 20).rises == 0, "one image alone"
    lower = compared(findings, 0.9 * least, 30)
    assert (lower.least_step, lower.rises) == (30, 0)


def test_a_training_that_copies_ends_and_the_best_checkpoint_before_it_is_loaded(
    tmp_path: Path, copying: None, capsys: pytest.CaptureFixture[str]
) -> None:
    run = begun(tmp_path / "run", 50)
    assert run.summary is not None
    assert (run.summary["stopped"], run.summary["steps"]) == ("copying", 3)
    best = run.summary["best"]
    assert best in (1, 2)
    assert [one.step for one in checkpoints(run.folder / "checkpoints")] == [best, 3]
    said = capsys.readouterr().err
    assert "step 3: it begins to copy here: 3" in said
    assert "copies/3.png" in said
    assert f"take the checkpoint of step {best}" in said
    assert (run.folder / "copies" / "3.png").is_file()
    assert run.weights()["step"] == best
    weights = checkpoints(run.folder / "checkpoints")[0].tensors("ema")
    loaded = unnoise.load(run.folder).state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in weights.items())
    page = (run.folder / "index.html").read_text()
    assert "train.guard=stop ended it: it begins to copy here" in page
    assert 'src="copies/3.png"' in page
    values = {step: row for row in lines(run) if (step := row["step"]) and "copies" in row}
    assert [values[step]["copies"] for step in (1, 2, 3)] == [0, 0, pytest.approx(0.9, abs=0.1)]
    assert {row["copies_base_rate"] for row in values.values()} == {0}


def test_the_same_command_does_not_go_on_unless_the_guard_is_changed(
    tmp_path: Path, copying: None, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(tmp_path / "run", 50)
    capsys.readouterr()
    again = begun(tmp_path / "run", 50)
    assert again.summary is not None
    assert (again.summary["steps"], again.summary["stopped"]) == (3, "copying")
    assert "train.guard=stop ended the training at step 3" in capsys.readouterr().err
    on = begun(tmp_path / "run", 5, **{"train.guard": "warn"})
    assert on.summary is not None
    assert (on.summary["steps"], on.summary["stopped"]) == (5, "done")
    assert on.weights()["step"] == 5
    assert "it begins to copy" not in capsys.readouterr().err, "which was said already"


def test_a_guard_that_warns_trains_on_and_keeps_the_best_checkpoint_before(tmp_path: Path, copying: None) -> None:
    run = begun(tmp_path / "run", 6, **{"train.guard": "warn"})
    assert run.summary is not None
    assert run.summary["stopped"] == "done"
    steps = [one.step for one in checkpoints(run.folder / "checkpoints")]
    assert steps[0] in (1, 2)
    assert steps[-1] == run.weights()["step"] == 6
    assert sum("it begins to copy" in row.get("warning", "") for row in lines(run)) == 1


def test_a_guard_that_is_off_does_not_look(tmp_path: Path, copying: None) -> None:
    run = begun(tmp_path / "run", 4, **{"train.guard": "off"})
    assert not any("copies" in row for row in lines(run))


def test_without_held_out_images_it_only_warns(tmp_path: Path, copying: None) -> None:
    run = begun(tmp_path / "run", 5, **{"data.hold_out": 0.0})
    assert run.summary is not None
    assert run.summary["stopped"] == "done"
    assert any("it begins to copy" in row.get("warning", "") for row in lines(run))


def test_a_rising_held_out_loss_ends_a_training(
    tmp_path: Path, watchful: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rising = iter(range(1, 20))

    def losses(*arguments: Any) -> torch.Tensor:
        return (1 + 0.1 * next(rising)) * torch.ones(6, 10)

    monkeypatch.setattr("unnoise.training.levels.LevelLosses._side", losses)
    run = begun(tmp_path / "run", 50)
    assert run.summary is not None
    assert (run.summary["stopped"], run.summary["steps"]) == ("copying", 1 + IN_A_ROW)
    assert "held-out loss was clearly above its least" in capsys.readouterr().err


def test_what_was_found_survives_an_interruption(tmp_path: Path, copying: None) -> None:
    """Looks are counted over all sittings: the third look, of the second sitting, finds the copies."""
    begun(tmp_path / "run", 2)
    run = begun(tmp_path / "run", 50)
    assert run.summary is not None
    assert (run.summary["stopped"], run.summary["steps"]) == ("copying", 3)


def test_training_is_the_same_with_and_without_a_guard(tmp_path: Path, watchful: None) -> None:
    watched, alone = (begun(tmp_path / guard, 4, **{"train.guard": guard}) for guard in ("warn", "off"))
    for name in ("model", "ema"):
        left, right = (checkpoints(run.folder / "checkpoints")[-1].tensors(name) for run in (watched, alone))
        assert all(torch.equal(left[key], right[key]) for key in left)


def test_samples_of_looks_are_all_different_and_of_the_batch_size_independent() -> None:
    class Draws(unnoise.models.Diffusion):
        def __init__(self) -> None:
            self.asked: list[int] = []

        device = torch.device("cpu")  # type: ignore[assignment]

        def conditions(self, batch: object) -> None:
            return None

        def sample(self, seeds: list[int], *others: object) -> torch.Tensor:  # type: ignore[override]
            self.asked += seeds
            return torch.tensor(seeds).view(-1, 1, 1, 1).float()

    def drawn(batch_size: int, look: int) -> torch.Tensor:
        return Drawing(Draws(), None, Images(PIXELS), 1e6, 1e-3, batch_size).draw(look)

    assert torch.equal(drawn(7, 0), drawn(64, 0))
    assert len({*drawn(64, 0).flatten().tolist(), *drawn(64, 1).flatten().tolist()}) == 128


@pytest.mark.parametrize(("seconds", "count"), [(1e9, 64), (8000.0, 40), (1.0, 16)])
def test_fewer_samples_are_drawn_where_they_take_long(seconds: float, count: int) -> None:
    """A look takes a tenth of a twentieth of the training: 40 s of 8,000, at a second an image."""
    drawing = Drawing(unnoise.models.GAN.__new__(unnoise.models.GAN), None, Images(PIXELS), seconds, 1.0, 64)
    assert drawing.count == count


def test_a_checkpoint_to_use_that_is_gone_or_damaged_is_done_without(tmp_path: Path) -> None:
    run = begun(tmp_path / "run", 2, **{"train.guard": "off", "train.keep": 5, "train.save_every": 0})
    root = run.folder / "checkpoints"
    first, second = checkpoints(root)
    state = {name: value for name, value in second.state().items() if name != "files"}
    parts = {name: second.tensors(name) for name in ("model", "ema")}
    save_checkpoint(root, parts, second.optimizers(), {**state, "use": 1})
    assert run.weights()["step"] == 1
    (first.folder / "ema.safetensors").write_bytes(b"damage")
    assert run.weights()["step"] == 2
    first.folder.rename(tmp_path / "elsewhere")
    assert run.weights()["step"] == 2


def test_two_processes_stop_together(tmp_path: Path, together: Callable[..., None]) -> None:
    together(2, guarded.__file__, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    assert [one.step for one in checkpoints(run.folder / "checkpoints")][-1] == 3
    assert run.weights()["step"] in (1, 2)


def test_a_last_look_that_takes_too_long_is_left_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the plan a look takes an hour, and the training is to take a minute."""
    monkeypatch.setattr(Drawing, "expected", 3600.0)
    run = begun(tmp_path / "run", 3, **{"train.minutes": 1.0})
    assert run.summary is not None
    assert run.summary["steps"] == 3
    assert not any("copies" in row for row in lines(run))


def test_a_look_waits_for_the_time_that_looks_and_checkpoints_take() -> None:
    """20 s after the last at least; ten times as long as a look, or as a checkpoint, takes."""
    now = 100.0
    model = unnoise.models.GAN.__new__(unnoise.models.GAN)
    drawing = Drawing(model, None, Images(PIXELS), 1.0, 0.25, 64)  # 16 images: 4 s
    guard = Guard(None, True, None, drawing, Path(), None, lambda: now)  # type: ignore[arg-type]
    assert not guard.due()
    now = 139.9
    assert not guard.due()
    now = 140.0
    assert guard.due()
    assert not guard.due(since=29.0, saving=3.0)
    assert guard.due(since=30.0, saving=3.0)
    with guard.timed():
        now += 1.0
    assert not guard.due()
    now += 20.0
    assert guard.due()
