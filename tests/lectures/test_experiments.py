"""The experiments that train on images, in short form, and what they are made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from unnoise.data import Images
from unnoise.errors import NotApplicable, UserError
from unnoise.lectures import rates, robustness, show
from unnoise.lectures.cells import Cells
from unnoise.lectures.corrections import twins
from unnoise.lectures.cost import seconds_to
from unnoise.lectures.game import smoothed
from unnoise.lectures.mixtures import ring
from unnoise.lectures.spoiled import RARER, WRONG, few, imbalanced, jpeg, noisy, wrong_labels
from unnoise.lectures.stacked import mode_of, stack
from unnoise.process.analytic import GaussianMixture
from unnoise.process.schedule import Cosine
from unnoise.runs.run import Run
from unnoise.samplers import DDIM
from unnoise.sources import open_source
from unnoise.training.train import train

from ..shortened import shorten


@pytest.fixture(scope="module")
def digits() -> Images:
    return open_source("digits", progress=False)


def test_a_cell_is_computed_once(tmp_path: Path) -> None:
    cells = Cells(tmp_path, {"seed": 0})
    made = []
    for _ in range(2):
        assert cells.once("a cell", lambda folder: made.append(folder) or {"x": 1.5}) == {"x": 1.5}
    assert made == [tmp_path / "a-cell"]


def test_cells_of_other_settings_are_not_taken_for_these(tmp_path: Path) -> None:
    Cells(tmp_path, {"seed": 0})
    Cells(tmp_path, {"seed": 0})
    with pytest.raises(UserError, match="another --out"):
        Cells(tmp_path, {"seed": 1})


def test_spoiled_data_is_what_it_is_called(digits: Images) -> None:
    assert digits.labels is not None
    assert len(few(digits, 100, 0)) == 100
    assert not np.array_equal(few(digits, 100, 0).pixels, few(digits, 100, 1).pixels)
    grey = Images(np.full((50, 1, 8, 8), 128, np.uint8))
    assert noisy(grey, 0).pixels.std() == pytest.approx(0.25 * 255, rel=0.05)
    assert 0 < np.abs(jpeg(digits, 0).pixels.astype(int) - digits.pixels).mean() < 60
    wrong = wrong_labels(digits, 0)
    assert wrong.labels is not None
    assert (wrong.labels != digits.labels).mean() == pytest.approx(WRONG, abs=0.04)
    assert wrong.fingerprint != digits.fingerprint
    counts = np.bincount(imbalanced(digits, 0).labels)  # type: ignore[arg-type]
    assert counts[3] / counts[0] == pytest.approx(RARER**3, rel=0.1)


def test_a_stack_has_its_three_digits_in_its_channels(digits: Images) -> None:
    assert digits.labels is not None
    pictures, modes = stack(digits, 20, seed=0)
    for picture, mode in zip(pictures.pixels, modes, strict=True):
        labels = [int(digits.labels[(digits.pixels[:, 0] == channel).all((1, 2))][0]) for channel in picture]
        assert mode == 100 * labels[0] + 10 * labels[1] + labels[2]
    assert mode_of(np.array([[1, 0, 2]]), 3).tolist() == [11]


def test_twins_part_at_the_disturbance_alone() -> None:
    """A Gaussian's ODE is linear: a push at time t is scaled by the ratio of the standard deviations."""
    gaussian = GaussianMixture(torch.ones(1), torch.zeros(1, 2), 0.5)
    schedule, sampler = Cosine(), DDIM(steps=400)
    x_T = torch.randn(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (found,) = twins(gaussian.denoiser(schedule), sampler, x_T, [0.5], 0.1, seed=0)
    t = sampler.times(schedule)[200]
    std = float((schedule.alpha(t) ** 2 * 0.25 + schedule.sigma(t) ** 2).sqrt())
    assert found.distances().numpy() == pytest.approx(np.full(20, 0.1 * 0.5 / std), rel=0.02)


def test_the_sde_forgets_what_the_ode_keeps() -> None:
    denoiser = ring().denoiser(Cosine())
    x_T = torch.randn(200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ode, sde = (
        twins(denoiser, DDIM(steps=50, eta=eta), x_T, [0.3], 0.1, seed=0)[0].distances().median() for eta in (0.0, 1.0)
    )
    assert sde < 0.5 * ode


def test_when_a_quality_is_reached() -> None:
    points = [{"seconds": 10.0, "fd": 100.0}, {"seconds": 40.0, "fd": 25.0}, {"seconds": 80.0, "fd": 30.0}]
    assert seconds_to(50.0, points) == pytest.approx(20.0)
    assert seconds_to(100.0, points) == 10.0
    assert seconds_to(1.0, points) == float("inf")


def test_smoothing_keeps_lines_and_means() -> None:
    line = np.arange(200.0)
    assert smoothed(line)[20:180] == pytest.approx(line[20:180])
    assert smoothed(np.full(7, 3.0)).tolist() == [3.0] * 7


@pytest.mark.usefixtures("short_classifiers")
def test_robustness_in_short_goes_on_cell_by_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch, "robustness")
    options = {"steps": 1, "n": 20, "device": "cpu", "out": tmp_path / "robustness.png"}
    drawn = show("robustness", "digits", **options)
    assert set(drawn["cells"]) == {"all", "few: 100", "pixel noise", "wrong labels"}
    assert set(drawn["cells"]["wrong labels"]) == {"right labels", "wrong labels"}
    monkeypatch.setattr(robustness, "train_family", None)  # nothing is trained again
    assert show("robustness", "digits", **options)["cells"] == drawn["cells"]


def test_a_training_that_is_stopped_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = Run(tmp_path, {})
    stopped.summary = {"stopped": "SIGINT"}
    monkeypatch.setattr("unnoise.lectures.trained.train", lambda *_, **__: stopped)
    shorten(monkeypatch, "robustness")
    with pytest.raises(KeyboardInterrupt):
        show("robustness", "digits", steps=1, n=20, device="cpu", out=tmp_path / "robustness.png")
    assert not list(tmp_path.rglob("cell.json"))


@pytest.mark.usefixtures("short_classifiers")
def test_stacked_in_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch, "stacked")
    drawn = show("stacked", steps=1, n=60, device="cpu", out=tmp_path / "stacked.png")
    assert drawn["modes"] == 1000
    assert drawn["data"]["found"] > 50  # sixty pictures of a thousand modes
    assert drawn["VAE"]["found"] < 20


def test_stacked_refuses_colours(tmp_path: Path) -> None:
    colours = Images(np.zeros((20, 3, 8, 8), np.uint8), {"labels": np.arange(20) % 2}, ("a", "b"))
    with pytest.raises(UserError, match="grey"):
        show("stacked", colours, steps=1, out=tmp_path / "stacked.png")  # type: ignore[arg-type]


@pytest.mark.usefixtures("short_classifiers")
def test_cost_in_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch, "cost")
    drawn = show("cost", steps=2, n=20, device="cpu", out=tmp_path / "cost.png")
    assert [point["steps"] for point in drawn["training"]["GAN"]] == [1, 2]
    assert [point["calls"] for point in drawn["calls"]["DDIM"]] == [2, 3]
    assert min(drawn["seconds_to_it"].values()) > 0


def test_rates_in_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch, "rates")
    drawn = show("rates", steps=2, out=tmp_path / "rates.png")
    assert {len(drawn[family]["found"]) for family in rates.FAMILIES} == {2}


def test_corrections_with_and_without_a_run(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch, "corrections")
    plane = show("corrections", out=tmp_path / "plane.png")
    assert plane["SDE"]["distance"][0] < plane["ODE"]["distance"][0] < plane["ODE"]["distance"][1]
    assert set(show("corrections", run, device="cpu", out=tmp_path / "run.png")["distance"]) == {"ODE", "SDE"}


def test_the_players_of_a_run_are_drawn(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unnoise.training.session.QUICK", 1e9)  # however slow the machine, it looks at the variety
    tiny = {
        "model.channels": 8,
        "objective.channels": 8,
        "train.batch_size": 16,
        "train.samples": 4,
        "train.log_every": 1,
    }
    folder = train("digits", "gan", tmp_path / "gan", steps=3, overrides=tiny, device="cpu").folder
    drawn = show("game", folder, out=tmp_path / "game.png")
    assert drawn["classes_vanished"] is not None
    assert {"accuracy_real", "accuracy_fake", "diversity"} <= set(drawn)
    with pytest.raises(NotApplicable, match="of a GAN"):
        show("game", run, out=tmp_path / "none.png")
