from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import unnoise
from unnoise.data import image_grid, save_png, to_uint8
from unnoise.evaluation import compare
from unnoise.evaluation.entry import Entry
from unnoise.evaluation.metrics import frechet
from unnoise.evaluation.plots import INK, bars, binned, curves
from unnoise.evaluation.table import lineage_seconds, training_seconds
from unnoise.evaluation.target import Target
from unnoise.metrics.restoration import psnr
from unnoise.models import CanReconstruct
from unnoise.runs.run import Run
from unnoise.sources import open_source
from unnoise.training.train import train

METRICS = ("fid", "precision", "memorised", "bpd")


@pytest.fixture(scope="module")
def compared(run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    out = tmp_path_factory.mktemp("comparison")
    return compare(
        [run, "digits"], steps=[2, 3], metrics=METRICS, features="pixels", n=40, data="digits", out=out, device="cpu"
    )


def test_every_run_is_measured_at_every_number_of_steps_and_images_once(compared: dict) -> None:
    assert [(row["kind"], row["steps"]) for row in compared["table"]] == [
        ("diffusion", 2),
        ("diffusion", 3),
        ("images", None),
    ]
    assert compared["table"][0]["network_calls"] == 2
    real = compared["table"][2]
    assert real["fid"] < min(row["fid"] for row in compared["table"][:2])


def test_the_likelihood_is_the_runs_and_what_images_lack_is_none_with_a_reason(compared: dict) -> None:
    bits = [row["bits_per_dim"] for row in compared["table"]]
    assert bits[0] == bits[1] > 0
    assert bits[2] is None
    saved = json.loads(Path(compared["results"]).read_text())
    assert ["bits_per_dim" in result for result in saved["results"]] == [True, False, False]
    assert "needs a likelihood" in saved["results"][2]["left_out"]["bpd"]


def test_the_page_is_whole_in_one_file_and_reads_on_light_and_dark(compared: dict) -> None:
    page = Path(compared["report"]).read_text()
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "prefers-color-scheme: dark" in page
    assert page.count("<svg") == 4  # distance against steps and against time, loss, bits per t
    assert INK not in page
    assert "not the FID of the literature" in page
    assert "Nearest training images" in page
    assert "<h3>real images</h3>" in page
    assert "<th>FD (pixels)</th>" in page


def test_one_picture_shows_the_same_seeds_of_every_row_and_of_each_run_by_itself(compared: dict, run: Path) -> None:
    """2 and 3 steps, the run's own number, and the images: four strips, of which the third is drawn for this alone."""
    with Image.open(compared["picture"]) as file:
        picture = np.asarray(file.convert("RGB")).astype(int)
    sampler = Run.open(run).sampler()
    assert sampler is not None
    assert sampler.steps not in (2, 3)
    own = unnoise.load(run, "cpu").sample(range(12), sampler=sampler)  # type: ignore[call-arg]
    strip = np.asarray(image_grid(own, columns=12).convert("RGB")).astype(int)
    high, wide = strip.shape[:2]
    assert picture.shape[0] == 4 * high
    assert np.abs(picture[2 * high : 3 * high, -wide:] - strip).max() <= 1
    assert all((picture[row * high : (row + 1) * high, :-wide] < 128).any() for row in range(4))  # its label
    assert Path(compared["report"]).read_text().count('alt="The same seeds in every row"') == 1


def test_compare_begins_with_its_plan_and_draws_no_more_than_time_allows(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unnoise.evaluation.plan.MINUTES", 0.0)
    monkeypatch.setattr("unnoise.evaluation.plan.FEWEST", 20)
    found = compare([run], steps=[2, 5], metrics=("precision",), features="pixels", out=tmp_path, device="cpu")
    assert "plan: 2 rows of 20 samples, 7 steps for a sample of each, about" in capsys.readouterr().err
    assert [result["n"] for result in json.loads(Path(found["results"]).read_text())["results"]] == [20, 20]


def test_a_curve_against_guidance_is_of_one_sampler_at_one_number_of_steps() -> None:
    """Rows of other steps used to be joined to one line that went to and fro."""
    rows = [("class", steps, scale) for steps in (3, 6) for scale in (1.0, 3.0)] + [
        ("plain", 3, 1.0),
        ("plain", 6, 1.0),
    ]
    entries = [
        Entry(Target(run), {"run": run, "sampler": "DDIM", "steps": steps, "guidance": scale, "fid": 1.0}, {}, None, {})
        for run, steps, scale in rows
    ]
    lines = frechet._several(frechet._lines(entries, "guidance", ("fid",), frechet._steps))
    assert {name: at for name, (at, _) in lines.items()} == {
        "class, DDIM 3 steps": [1.0, 3.0],
        "class, DDIM 6 steps": [1.0, 3.0],
    }


def test_figures_take_the_pages_ink() -> None:
    svg = curves({"a": ([1, 2], [1, 2]), "b": ([1, 2], [2, 1])}, x="x", y="y", level=1.5)
    assert svg.startswith("<svg")
    assert "currentColor" in svg
    assert "<svg" in bars({"data": [0.5, 0.5]}, ["a", "b"], y="fraction")


def test_binning_keeps_a_constant_curve_constant() -> None:
    t = list(range(1, 1000))
    at, values = binned({"t": t, "bits": [0.25] * len(t)})
    assert len(at) < 70
    assert values == pytest.approx([0.25] * len(at))


@pytest.mark.usefixtures("short_classifiers")
def test_guidance_is_a_column_and_a_curve_and_conditional_runs_have_a_class_accuracy(tmp_path: Path) -> None:
    overrides = {
        "model.network.channels": 8,
        "model.conditioner": "class",
        "sampler.steps": 3,
        "train.batch_size": 16,
        "train.samples": 0,
        "train.warmup": 1,
    }
    run = train("digits", "ddpm-digits", tmp_path / "run", steps=3, overrides=overrides, device="cpu").folder
    metrics = ("fid", "recall", "class_accuracy")
    found = compare([run], guidance=[1.0, 3.0], metrics=metrics, n=20, out=tmp_path / "out", device="cpu")
    assert [row["guidance"] for row in found["table"]] == [1.0, 3.0]
    assert all(0 <= row["class_accuracy"] <= 1 for row in found["table"])
    assert found["table"][1]["network_calls"] == 6  # two calls a step
    page = Path(found["report"]).read_text()
    assert "against guidance" in page
    assert "against steps" not in page  # one number of steps is no curve


def test_a_sampler_may_bring_its_own_steps(run: Path, tmp_path: Path) -> None:
    found = compare([run], samplers=["ddim@3", "ddpm@4"], metrics=("fid",), n=10, out=tmp_path, device="cpu")
    assert [(row["sampler"], row["steps"]) for row in found["table"]] == [("DDIM", 3), ("Ancestral", 4)]
    assert found["table"][0]["seconds_50000"] == pytest.approx(50_000 * found["table"][0]["seconds_per_image"])
    with pytest.raises(ValueError, match="steps of ddim is a whole number"):
        compare([run], samplers=["ddim@many"], n=10, out=tmp_path)


def test_an_autoencoder_is_measured_by_what_comes_back_and_draws_nothing(tmp_path: Path) -> None:
    settings = {"train.batch_size": 16, "train.samples": 0, "train.warmup": 1}
    run = train("digits", "autoencoder", tmp_path / "ae", steps=2, overrides=settings, device="cpu").folder
    found = compare([run], metrics=("fid", "reconstruction"), n=12, out=tmp_path / "out", device="cpu")
    row = found["table"][0]
    originals = open_source("digits", split="test", progress=False).batch(range(12)).image
    model = unnoise.load(run, device="cpu")
    assert isinstance(model, CanReconstruct)
    back = model.decode(model.encode(originals))
    expected = psnr(torch.from_numpy(to_uint8(back)), torch.from_numpy(to_uint8(originals))).mean()
    assert row["reconstruction"] == pytest.approx(float(expected))
    assert row["fid"] is None
    assert row["seconds_50000"] is None
    assert "Reconstructions" in Path(found["report"]).read_text()


def test_the_page_calls_runs_briefly_and_says_which_bits_are_of_black_and_white(tmp_path: Path) -> None:
    settings = {"train.batch_size": 16, "train.samples": 0, "train.warmup": 1}
    run = train("digits", "vae", tmp_path / "deep" / "my-vae", steps=2, overrides=settings, device="cpu").folder
    found = compare([run], metrics=("bpd",), n=12, out=tmp_path / "out", device="cpu")
    assert found["table"][0]["bits_of"] == "binary"
    page = Path(found["report"]).read_text()
    assert "<td>binary</td>" in page
    assert "<td>my-vae</td>" in page


@pytest.mark.usefixtures("short_classifiers")
def test_the_page_says_which_classes_are_left_out_by_more_than_chance(tmp_path: Path) -> None:
    digits = open_source("digits", progress=False)
    assert digits.labels is not None
    threes = digits.pixels[[index for index, label in enumerate(digits.labels) if digits.classes[label] == "3"]][:60]
    for name, pixels in (("threes", threes), ("all", digits.pixels[:60])):
        folder = tmp_path / name
        folder.mkdir()
        for index, image in enumerate(pixels):
            save_png(image_grid(image[None], scale=1, padding=0), folder / f"{index}.png")
    folders = [tmp_path / "threes", tmp_path / "all"]
    found = compare(folders, metrics=("modes",), features="classifier", n=60, data="digits", out=tmp_path / "out")
    page = Path(found["report"]).read_text()
    assert [row["modes"] for row in found["table"]] == ["1/10", "10/10"]
    assert "threes leaves out 9 of 10 classes (0, 1, 2, 4, 5, 6, 7, 8, 9): mode collapse" in page
    assert "all leaves out" not in page


def test_a_student_costs_what_it_began_with_as_well(run: Path, tmp_path: Path) -> None:
    first = Run.open(run)
    small = {"train.samples": 0, "train.batch_size": 4, "data.limit": 16}
    student = train("digits", out=tmp_path / "student", steps=1, overrides=small, start=run, device="cpu")
    again = train("digits", out=tmp_path / "again", steps=1, overrides=small, start=student.folder, device="cpu")
    costs = [training_seconds(each.folder) for each in (first, student, again)]
    assert all(cost is not None and cost > 0 for cost in costs)
    assert lineage_seconds(first) is None
    assert lineage_seconds(student) == pytest.approx(sum(costs[:2]))  # type: ignore[arg-type]
    assert lineage_seconds(again) == pytest.approx(sum(costs))  # type: ignore[arg-type]
    shutil.rmtree(student.folder)
    assert lineage_seconds(again) is None


def test_a_student_of_one_step_stands_on_its_teachers_axes() -> None:
    entries = [
        Entry(
            Target(name),
            {"run": name, "sampler": "DDIM", "steps": steps, "guidance": 1.0, "fid": 1.0 / steps, "fid_baseline": None}
            | {"milliseconds": 2.0 * steps},
            {"fid": 1.0, "fid_name": "FID"},
        )
        for name, steps in (("teacher", 1), ("teacher", 4), ("student", 1))
    ]
    figures = frechet.against_steps(entries)
    assert [figure.title for figure in figures] == ["FID against steps", "FID against time"]
    for figure in figures:
        assert "milliseconds per image" in figure.svg or "against steps" in figure.title
    assert frechet.against_steps(entries[1:]) == []
