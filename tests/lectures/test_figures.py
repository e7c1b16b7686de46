"""The figures of the course: what they show is so, and they are written where they are asked for."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unnoise.errors import UserError
from unnoise.lectures import FIGURES, drawer, keywords, show
from unnoise.lectures.divergences import STD, kl, wasserstein
from unnoise.lectures.forward import noised
from unnoise.lectures.mixtures import ring
from unnoise.lectures.schedules import named, schedules
from unnoise.lectures.slide import render, style
from unnoise.process.schedule import SCHEDULES, VE, Cosine, LinearBetas

from ..shortened import shorten

SLIDE = (1600, 900)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)).save(file)
    return file


def size_of(file: str) -> tuple[int, int]:
    with Image.open(file) as picture:
        return picture.size


def test_the_table_names_functions_and_what_they_take() -> None:
    for name, entry in FIGURES.items():
        assert callable(drawer(name))
        assert entry.says
        assert entry.takes == entry.takes.upper()


def test_a_photo_drowns_by_the_schedule(photo: Path, tmp_path: Path) -> None:
    drawn = show("forward", photo, schedule="cosine", out=tmp_path / "forward.png")
    assert size_of(drawn["out"]) == SLIDE
    assert drawn["log_snr"][2] == pytest.approx(0, abs=1e-9)  # cos = sin in the middle


@pytest.mark.parametrize("schedule", [LinearBetas(), VE()], ids=["vp", "ve"])
def test_the_pictures_are_the_perturbed_ones(schedule: LinearBetas | VE) -> None:
    x_0 = torch.rand(3, 8, 8) * 2 - 1
    t = torch.tensor([0.0, schedule.t_max], dtype=torch.float64)
    first, last = noised(schedule, x_0, t, seed=0)
    assert np.abs(first - ((x_0 + 1) * 127.5).round().numpy()).max() <= 1
    # Nothing of the picture is left, and the variance is that of noise: 32 % of the pixels lie beyond one of it.
    assert 0.2 < ((last == 0) | (last == 255)).mean() < 0.45


def test_every_schedule_is_shown_once() -> None:
    assert {type(schedule) for schedule in named().values()} == set(SCHEDULES.values())
    assert len(named()) == len(set(SCHEDULES.values()))


def test_where_signal_equals_noise(tmp_path: Path) -> None:
    middles = show("schedules", out=tmp_path / "schedules.png")["as_much_signal_as_noise_at"]
    assert middles["cosine"] == pytest.approx(0.5)
    assert middles["ve"] == pytest.approx(1 / 80)


def test_the_divergences_are_the_closed_forms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch, "divergences")
    drawn = show("divergences", out=tmp_path / "divergences.png")
    assert drawn["kl_bernoulli"] == 0.0225824
    assert drawn["kl_bernoulli"] == round(0.6 * math.log(0.6 / 0.7) + 0.4 * math.log(0.4 / 0.3), 7)
    assert kl(1.5) == pytest.approx(1.5**2 / (2 * STD**2))
    assert wasserstein(-1.5) == pytest.approx(1.5)
    assert drawn["js_gaussian"] < math.log(2)
    assert [Path(file).suffix for file in drawn["files"]] == [".png", ".gif"]
    assert size_of(drawn["files"][0]) == SLIDE


def test_marginals_end_in_noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unnoise.lectures.marginals.FRAMES", 12)
    drawn = show("marginals", out=tmp_path / "marginals.gif")
    assert drawn["std_at_t_max"] == pytest.approx(1)
    assert drawn["files"] == [str(tmp_path / "marginals.gif")]
    with Image.open(drawn["out"]) as moving:
        assert getattr(moving, "n_frames") > 10  # noqa: B009 (Pillow types it for GIFs alone)


def test_the_ring_lies_on_its_circle() -> None:
    assert torch.allclose(ring(7, radius=1.3).means.norm(dim=1), torch.tensor(1.3).double())


def test_trajectories_near_the_finest_as_steps_grow(run: Path, tmp_path: Path) -> None:
    drawn = show("trajectories", run, out=tmp_path / "trajectories.png")
    away = drawn["rms_from_the_last"]
    assert away[-1] == 0
    assert away[0] > away[-2] > 0
    assert size_of(drawn["out"]) == SLIDE


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("forwards",), {}, "did you mean 'forward'"),
        (("forward",), {}, "takes PHOTO"),
        (("schedules", "x"), {}, "takes nothing"),
        (("schedules",), {"seed": 1}, "unknown key 'seed'"),
        (("schedules",), {"out": "x.gif"}, "nothing moves"),
        (("schedules",), {"out": "x.pdf"}, ".png or .gif"),
        (("forward", "missing.png"), {}, "missing.png"),
        (("marginals",), {"schedule": "ve"}, "explodes"),
    ],
)
def test_what_a_figure_does_not_take_is_refused(
    arguments: tuple[str, ...],
    options: dict[str, object],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=re.escape(message)):
        show(*arguments, **options)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_options_are_read_from_the_functions() -> None:
    assert keywords(drawer("forward")) == ["schedule", "seed"]
    assert Cosine().t_max == 1


def test_every_schedule_is_named_within_the_slide_and_looks_like_no_other() -> None:
    with style():
        figure = schedules().figure
        render(figure)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(named())
    box = legend.get_window_extent()
    assert figure.bbox.x0 <= box.x0
    assert box.x1 <= figure.bbox.x1
    looks = [(line.get_color(), line.get_linestyle()) for line in legend.get_lines()]
    assert len(set(looks)) == len(looks)
