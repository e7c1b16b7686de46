from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import unnoise
from unnoise.errors import UserError
from unnoise.evaluation import evaluate
from unnoise.evaluation.keeping import keep, results_of
from unnoise.evaluation.metrics.frechet import fid_name
from unnoise.evaluation.summary import lines_of
from unnoise.metrics.restoration import EXACT
from unnoise.runs.run import Run
from unnoise.sources import open_source

DISTANCES = ("fid", "kid", "precision", "recall", "coverage")


def test_a_set_held_against_itself_is_at_distance_zero_and_wholly_covered() -> None:
    digits = open_source("digits", progress=False).subset(range(300))
    result = evaluate(digits, digits, DISTANCES, "pixels", len(digits))
    assert result["fid"] == pytest.approx(0, abs=1e-9)
    assert abs(result["kid"]) < 1e-2 * 3
    assert result["precision"] == result["recall"] == result["coverage"] == 1


def test_real_images_that_were_held_out_have_the_baseline() -> None:
    test = open_source("digits", split="test", progress=False)
    result = evaluate(test, "digits", ("fid",), "pixels", len(test))
    assert result["fid"] == pytest.approx(result["fid_baseline"]["value"], rel=1e-6)
    assert result["fid_baseline"]["n"] == len(test)


def test_every_number_says_how_it_was_made(run: Path) -> None:
    result = evaluate(run, metrics=("fid", "recall"), features="pixels", n=40)
    assert result["features"] == "pixels"
    assert result["feature_space"]["dim"] == 64
    assert result["n"] == 40
    assert result["reference"]["split"] == "train"
    assert result["samples"]["seeds"] == [0, 39]
    assert result["samples"]["network_calls"] == 5
    assert "DDIM(steps=5" in result["samples"]["sampler"]
    assert result["fid_name"] == "Frechet distance (pixels features)"
    low, high = result["fid_interval"]
    assert low < result["fid"] < high
    saved = [json.loads(file.read_text()) for file in (run / "evaluations").glob("*fid-recall*.json")]
    assert [one["checkpoint"] for one in saved] == [result["checkpoint"]]


def test_a_text_names_metrics_as_on_the_command_line(run: Path) -> None:
    listed = evaluate(run, metrics=("precision", "recall"), features="pixels", n=20)
    result = evaluate(run, metrics="precision,recall", features="pixels", n=20)
    assert [result[name] for name in ("precision", "recall")] == [listed[name] for name in ("precision", "recall")]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"metrics": ("fid",), "features": "pixel"}, "did you mean 'pixels'"),
        ({"metrics": ("fid", "modes"), "features": "pixels"}, "use classifier"),
        ({"metrics": ("fid", "class_accuracy")}, "class-conditional"),
        ({"metrics": ("fid",), "features": "pixels", "data": "notest"}, "no test split"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_drawn(
    given: dict, reason: str, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw(*_: object, **__: object) -> None:
        raise AssertionError("drawn in vain")

    monkeypatch.setattr("unnoise.evaluation.target.Target.draw", draw)
    monkeypatch.setattr("unnoise.evaluation.target.Target.seconds_each", draw)
    if given.get("data") == "notest":
        images = open_source("digits", progress=False).subset(range(50))
        given = {**given, "data": images, "reference": "test"}
    with pytest.raises(UserError, match=reason):
        evaluate(run, n=4, **given)


@pytest.mark.parametrize("split", ["foo", "valid"])
def test_a_split_that_there_is_not_is_refused(run: Path, split: str) -> None:
    with pytest.raises(UserError, match=f"unknown split '{split}'"):
        Run.open(run).open_data(split)


def test_damaged_results_of_a_run_cost_themselves_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(tmp_path / "run", {})
    for number in range(3):
        keep(run, f"good-{number}", {"target": "run", "seconds": number, "unnoise": "0"})
    (tmp_path / "run" / "evaluations" / "cut.json").write_text('{"target": "ru')
    (tmp_path / "run" / "evaluations" / "list.json").write_text("[1]")
    (tmp_path / "run" / "evaluations" / "other.json").write_text('{"a": 1}')
    keep(run, "good-3", {"target": "run", "seconds": 3, "unnoise": "0"})
    assert [result["seconds"] for result in results_of(run)] == [0, 1, 2, 3]
    said = capsys.readouterr().err
    assert "cut.json is not valid JSON" in said
    assert "list.json must hold a JSON object" in said
    assert "other.json is not the result of an evaluation: it lacks seconds, target, unnoise" in said


def test_what_was_measured_is_on_the_run_s_page_and_stays_there_when_it_trains_on(tmp_path: Path) -> None:
    def page() -> str:
        return (tmp_path / "run" / "index.html").read_text()

    tiny = {"model.network.channels": 8, "model.network.multipliers": [1], "model.network.attention": []}
    tiny |= {"model.schedule.T": 20, "sampler.steps": 2, "train.batch_size": 4, "train.samples": 4, "data.limit": 32}
    train = {"out": tmp_path / "run", "overrides": tiny, "device": "cpu"}
    unnoise.train("digits", "ddpm-digits", steps=1, **train)
    assert "<h2>Measured</h2>" not in page()
    before = page()
    first = evaluate(tmp_path / "run", metrics=("fid",), features="pixels", n=20, device="cpu")
    assert f"<dd>{lines_of(first)[1][1]}</dd>" in page()
    assert "<dd>20; " in page()
    assert page().startswith(before[: before.index("<!-- measured -->")])
    second = evaluate(tmp_path / "run", metrics=("fid",), features="pixels", n=21, device="cpu")
    assert 0 < page().index("<dd>21; ") < page().index("<dd>20; "), "the newest first"
    unnoise.train("digits", "ddpm-digits", steps=2, **train)
    assert "step of 2</dt><dd>2<" in page()
    for result in (first, second):
        assert f"<dd>{lines_of(result)[1][1]}</dd>" in page()
    (tmp_path / "run" / "index.html").unlink()
    evaluate(tmp_path / "run", metrics=("fid",), features="pixels", n=20, device="cpu")
    assert not (tmp_path / "run" / "index.html").exists()


def test_only_the_literatures_features_may_be_called_fid() -> None:
    assert fid_name("inception") == "FID"
    assert "FID" not in fid_name("classifier")


def test_a_loaded_model_gives_the_same_numbers_as_its_run_whatever_the_batches(run: Path) -> None:
    by_run = evaluate(run, metrics=("fid",), features="pixels", n=30, options={"steps": 5})
    model = unnoise.load(run, device="cpu")
    model.default_sampler = lambda: by_run_sampler(run)  # type: ignore[method-assign, union-attr]
    by_model = evaluate(model, "digits", ("fid",), "pixels", 30, batch_size=7)
    assert by_model["fid"] == pytest.approx(by_run["fid"], rel=1e-3)


def by_run_sampler(run: Path) -> unnoise.DDIM:
    from unnoise.runs.run import Run

    sampler = Run.open(run).sampler()
    assert isinstance(sampler, unnoise.DDIM)
    return sampler


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"what": np.zeros((5, 9, 9), np.uint8)}, "samples are 9x9 with 1 channel and the reference 8x8"),
        ({"what": np.zeros((1, 8, 8), np.uint8)}, "at least 2 images"),
        ({"what": "digits", "metrics": ("fidd",)}, "unknown metric 'fidd'; did you mean 'fid'"),
        ({"what": "digits", "features": "resnet"}, "unknown feature space 'resnet'"),
        ({"what": "digits", "metrics": ("bpd",)}, "diffusion models and vaes have one"),
        ({"what": "digits", "metrics": ("modes",)}, "use classifier, not pixels"),
        ({"what": "digits", "reference": "val"}, "unknown split 'val'"),
        ({"what": "digits", "n": 0}, "n must be a whole number at least 1, got 0"),
        ({"what": "digits", "batch_size": 0}, "batch_size must be a whole number at least 1, got 0"),
        ({"what": "digits", "times": -1}, "times must be a whole number at least 1, got -1"),
        ({"what": "digits", "data": np.zeros((9, 8, 8), np.uint8), "features": "classifier"}, "need labels"),
        ({"what": np.full((5, 1, 8, 8), np.nan, np.float32)}, "5 of 5 images hold NaN"),
        ({"what": np.full((5, 1, 8, 8), 200, np.float32)}, "float images must lie in"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_line(given: dict, message: str) -> None:
    given = {"data": "digits", "features": "pixels", "metrics": ("fid",), "n": 50, **given}
    with pytest.raises(ValueError, match=message) as error:
        evaluate(**given)
    assert "\n" not in str(error.value)


def test_floats_are_measured_like_the_levels_they_round_to() -> None:
    digits = open_source("digits", progress=False).subset(range(100))
    floats = digits.batch(range(100)).image
    by_floats, by_levels = (evaluate(what, "digits", ("fid",), "pixels", 100) for what in (floats, digits))
    assert by_floats["fid"] == pytest.approx(by_levels["fid"], rel=1e-9)


def test_a_folder_of_mixed_sizes_that_came_to_another_one_is_refused_with_the_way_out(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    for index, side in enumerate((8, 8, 12, 20)):
        Image.fromarray(draws.integers(0, 255, (side, side), dtype=np.uint8)).save(tmp_path / f"{index}.png")
    with pytest.raises(ValueError, match=r"from 3 sizes, and the reference 8x8.*--size 8 --channels 1 --pack"):
        evaluate(tmp_path, "digits", ("fid",), "pixels", 4)


def test_restored_images_are_held_against_their_originals_one_by_one() -> None:
    originals = open_source("glyphs:size=16,n=20", progress=False)
    noisy = np.clip(originals.pixels.astype(int) + 10, 0, 255).astype(np.uint8)
    same, off = (evaluate(what, originals, ("psnr", "ssim")) for what in (originals, noisy))
    assert same["psnr"] == EXACT
    assert same["ssim"] == 1
    assert 20 * np.log10(255 / 10) - 0.01 <= off["psnr"] < 40
    with pytest.raises(ValueError, match="one partner for each is needed, got 5 and 20"):
        evaluate(originals.subset(range(5)), originals, ("psnr",))
