"""The page of a run: when it is written, what it shows, and that it costs a training next to nothing."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from unnoise.errors import TrainingDiverged
from unnoise.runs.run import Run
from unnoise.training.page import EVERY, FRACTION, LivePage
from unnoise.training.page_charts import charts
from unnoise.training.page_content import Standing, warnings
from unnoise.training.session import Session
from unnoise.training.train import train

TINY = {
    "model.network.channels": 8,
    "model.network.multipliers": [1],
    "model.network.attention": [],
    "model.schedule.T": 20,
    "sampler.steps": 5,
    "train.batch_size": 4,
    "train.samples": 4,
    "train.log_every": 1,
    "train.precision": "fp32",
    "data.limit": 32,
}
STANDING = Standing("training", step=3, steps=9, fraction=1 / 3, seconds=2.0, left=4.0, learning_rate=1e-4)


def tiny(out: Path, steps: int, **overrides: Any) -> Run:
    return train("digits", "ddpm-digits", out, steps=steps, overrides={**TINY, **overrides}, device="cpu")


def page_of(folder: Path) -> str:
    return (folder / "index.html").read_text()


class Addresses(HTMLParser):
    """What a page fetches."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "data", "action")]


def test_a_trained_run_has_a_page_of_its_files_alone(tmp_path: Path) -> None:
    run = tiny(tmp_path / "run", 4, **{"train.draw_every": 0, "train.save_every": 0})
    assert run.summary is not None
    assert run.summary["page"] == str(tmp_path / "run" / "index.html")
    page = page_of(run.folder)
    assert "http-equiv" not in page  # it follows nothing any more
    assert '<span class="state done">' in page
    assert not re.search(r"https?://|@import|url\(", page)
    shown = Addresses(page).found
    assert shown[:2] == ["samples/4.png", "samples/real-images.png"]
    with Image.open(run.folder / shown[0]) as newest, Image.open(run.folder / shown[1]) as real:
        assert newest.size == real.size
    assert all((run.folder / name).is_file() for name in shown)
    for title in ("Loss", "Gradient norm", "Learning rate", "Images per second", "Copies of training images"):
        assert f"<h3>{title}</h3>" in page, title
    assert "least held-out loss" in page
    assert f"unnoise sample {run.folder} -n 16" in page


def test_a_page_is_there_while_it_trains_and_follows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = []
    step = Session._one_step

    def watched(self: Session) -> None:
        pages.append(page_of(self.folder))
        assert self.page is not None
        self.page._allowed = 0.0  # whatever the last one took
        step(self)

    monkeypatch.setattr(Session, "_one_step", watched)
    tiny(tmp_path / "run", 3, **{"train.draw_every": 0, "train.save_every": 0})
    refreshed = [re.search(r'http-equiv="refresh" content="(\d+)"', page) for page in pages]
    assert all(found is not None and int(found[1]) >= EVERY for found in refreshed)
    assert [len(re.findall(r'<span class="state training">', page)) for page in pages] == [1, 1, 1]
    assert "The first values come" in pages[0]
    assert "samples/1.png" not in pages[0]
    assert "samples/1.png" in pages[1]
    assert "samples/2.png" in pages[2]


def test_a_run_that_is_stopped_continues_its_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Session._one_step

    def interrupted(self: Session) -> None:
        step(self)
        if self.trainer.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Session, "_one_step", interrupted)
        tiny(tmp_path / "run", 5)
    assert "Stopped by SIGTERM" in page_of(tmp_path / "run")
    assert points(page_of(tmp_path / "run"), "Gradient norm") == 2
    tiny(tmp_path / "run", 5)
    assert points(page_of(tmp_path / "run"), "Gradient norm") == 5


def points(page: str, title: str) -> int:
    """How many points the first line of a chart has."""
    found = re.search(rf'<h3>{title}</h3>.*?<path class="c0" d="M([^"]*)"', page, re.DOTALL)
    assert found is not None
    return len(found[1].split("L"))


def test_a_training_that_fails_ends_its_page(tmp_path: Path) -> None:
    with pytest.raises(TrainingDiverged):
        tiny(tmp_path / "run", 9, **{"train.learning_rate": 1e30, "train.warmup": 0})
    page = page_of(tmp_path / "run")
    assert '<span class="state failed">' in page
    assert "lower train.learning_rate" in page
    assert "http-equiv" not in page
    assert "not finite; back from step" in page  # a warning of the first time


def test_a_page_that_cannot_be_written_is_said_once_and_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run" / "index.html").mkdir(parents=True)
    (tmp_path / "run" / "config.toml").write_text("")  # or else the folder would not be taken
    (tmp_path / "run" / "config.toml").unlink()
    monkeypatch.setattr("unnoise.training.train.claim_folder", lambda folder: None)
    run = tiny(tmp_path / "run", 3, **{"train.save_every": 0})
    assert run.summary is not None
    assert run.summary["steps"] == 3
    assert capsys.readouterr().err.count("page cannot be written") == 1
    assert not list((tmp_path / "run").glob("*.partial"))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_page_is_due_after_news_and_every_so_often_and_costs_a_hundredth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page takes a second; a checkpoint comes every second of the thousand."""
    clock, written = Clock(), []
    page = LivePage(Run(tmp_path, {}), log=None, clock=clock)  # type: ignore[arg-type]

    def write(self: LivePage, standing: Standing) -> None:
        clock.now += 1.0
        written.append(clock.now)

    monkeypatch.setattr(LivePage, "_try_to_write", write)
    monkeypatch.setattr("unnoise.training.page.is_run", lambda folder: True)
    assert page.due()
    while clock.now < 1000:
        page.announce()
        if page.due():
            page.write(STANDING)
        clock.now += 1.0
    assert len(written) == pytest.approx(1000 * FRACTION, abs=1)

    quick = LivePage(Run(tmp_path, {}), log=None, clock=clock)  # type: ignore[arg-type]
    monkeypatch.setattr(LivePage, "_try_to_write", lambda self, standing: None)
    quick.write(STANDING)
    assert not quick.due()
    clock.now += EVERY
    assert quick.due()
    quick.write(STANDING)
    quick.announce()
    assert quick.due()


def titles(lines: list[dict[str, Any]]) -> dict[str, list[str]]:
    return {chart.title: [line.name for line in chart.lines] for chart in charts(lines)}


def test_every_number_is_drawn() -> None:
    lines = [
        {"step": 1, "time": 1.0, "loss": 2.0, "memory_gib": 1.0, "warning": "careful", "novel_number": 3.0},
        {"step": 2, "time": 2.0, "loss": None, "validation_loss": 1.0, "by_level": {"0.1": 0.5, "0.9": 0.7}},
        {"step": 2, "held_out_losses": [0.5, 0.7], "training_losses": [0.4, 0.7], "held_out_images": 40},
        {"step": 2, "copies": 0.1, "copies_base_rate": 0.05, "copies_of": 36, "fid": 9.0},
        {"step": 2, "changed": {"train.clip": [1.0, 2.0]}},
    ]
    assert titles(lines) == {
        "Loss": ["training", "held-out"],
        "Held-out loss by noise level, 1 the least noise": ["1", "2"],
        "Training loss by noise level, 1 the least noise": ["1", "2"],
        "By noise level at step 2, 1 the least noise": ["held-out", "training"],
        "By level": ["0.1", "0.9"],
        "Distance to real images": ["fid"],
        "Copies of training images": ["copies", "among real images"],
        "Novel number": ["novel number"],
    }


def test_a_gan_shows_its_game() -> None:
    values = ("discriminator", "penalty", "accuracy_real", "accuracy_fake", "diversity")
    norms = ("grad_norm", "grad_norm_generator", "grad_norm_discriminator")
    found = titles([{"step": 1, "loss": 1.0, **dict.fromkeys((*values, *norms), 0.5)}])
    assert found["Accuracy"] == ["real", "fake"]
    assert found["Gradient norm"] == ["grad norm", "generator", "discriminator"]
    assert found["Parts of the loss"] == ["discriminator", "penalty"]


def test_what_files_say_never_becomes_html(tmp_path: Path, write: Callable[[Path], LivePage]) -> None:
    folder = tmp_path / "<img src=x onerror=alert(1)>"
    page = write(folder)
    with (folder / "metrics.jsonl").open("a") as stream:
        line = {"step": 1, "loss": 1.0, "warning": "<script>alert(1)</script>", "<b>key</b>": 1.0}
        stream.write(json.dumps(line) + "\n")
    page.write(STANDING)
    text = page_of(folder)
    assert "<script>alert" not in text
    assert "<b>key" not in text
    assert "<img src=x" not in text
    assert warnings([line]) == [(1, "<script>alert(1)</script>")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(tmp_path_factory.mktemp("page") / "run", 1, **{"train.samples": 0}).folder


@pytest.fixture
def write(trained: Path) -> Callable[[Path], LivePage]:
    """A page of a copy of a run."""
    import shutil

    def copied(folder: Path) -> LivePage:
        shutil.copytree(trained, folder)
        return LivePage(Run.open(folder), log=None)  # type: ignore[arg-type]

    return copied


def test_reconstructions_stand_beside_their_images_already(tmp_path: Path) -> None:
    overrides = {"train.samples": 4, "train.log_every": 1, "train.batch_size": 4, "data.limit": 32}
    run = train("digits", "autoencoder", tmp_path / "run", steps=1, overrides=overrides, device="cpu")
    assert "Images and their reconstructions at step 1" in page_of(run.folder)
    assert Addresses(page_of(run.folder)).found == ["samples/1.png"]
