"""The table of metrics, and what its rows promise."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from unnoise.data import Images
from unnoise.errors import NotApplicable, UserError
from unnoise.evaluation import compare, evaluate, score
from unnoise.evaluation.column import Column
from unnoise.evaluation.context import Context
from unnoise.evaluation.metrics import METRICS, Metric, find_metrics
from unnoise.evaluation.plan import Cost, plan_samples
from unnoise.evaluation.summary import lines_of
from unnoise.evaluation.target import TIMED_STEPS, Target, open_target
from unnoise.files import json_text
from unnoise.sampling.batches import counted_calls
from unnoise.sources import open_source

NAMES = (
    "fid kid inception_score precision recall density coverage modes class_accuracy memorised psnr ssim reconstruction "
    "bpd ode ood_auroc"
)


def test_every_name_is_taken_by_one_metric() -> None:
    assert [name for metric in METRICS for name in metric.names] == NAMES.split()
    keys = [column.key for metric in METRICS for column in metric.columns]
    assert len(keys) == len(set(keys))


def test_names_of_one_computation_are_measured_once_and_older_names_are_understood() -> None:
    assert find_metrics(["precision", "recall", "coverage"]) == find_metrics(["density"])
    assert find_metrics(["strangers"]) == find_metrics(["ood_auroc"])
    with pytest.raises(UserError, match="unknown metric 'recal'; did you mean 'recall'"):
        find_metrics(["recal"])


class Brightness(Metric):
    """A metric that is one class and one row."""

    names: ClassVar = ("brightness",)
    summary: ClassVar = "mean level"
    columns: ClassVar = (Column("brightness", "mean level", "{:.1f}"),)

    def compute(self, context: Context) -> dict[str, Any]:
        return {"brightness": float(context.drawn.pixels.mean())}


@pytest.fixture
def brightness(monkeypatch: pytest.MonkeyPatch) -> None:
    extended = (*METRICS, Brightness())
    for module in ("metrics", "summary", "table", "report"):
        monkeypatch.setattr(f"unnoise.evaluation.{module}.METRICS", extended)


@pytest.mark.usefixtures("brightness")
def test_a_new_row_reaches_evaluate_compare_and_the_page(tmp_path: Path) -> None:
    digits = open_source("digits", progress=False)
    result = evaluate(digits, "digits", ("brightness",), "pixels")
    assert result["brightness"] == pytest.approx(float(digits.pixels.mean()))
    assert ("mean level", f"{digits.pixels.mean():.1f}") in lines_of(result)
    found = compare(["digits"], data="digits", metrics=("brightness",), features="pixels", out=tmp_path)
    assert found["table"][0]["brightness"] == pytest.approx(result["brightness"])
    page = Path(found["report"]).read_text()
    assert "<th>mean level</th>" in page
    assert f"<td>{digits.pixels.mean():.1f}</td>" in page


@pytest.mark.parametrize(
    ("metric", "features", "reason"),
    [
        ("bpd", "pixels", "needs a likelihood"),
        ("ood_auroc", "pixels", "needs a likelihood"),
        ("reconstruction", "pixels", "needs an encoder and a decoder"),
        ("class_accuracy", "pixels", "needs a class-conditional run"),
        ("modes", "pixels", "use classifier, not pixels"),
        ("inception_score", "pixels", "features that know classes"),
    ],
)
def test_what_images_do_not_have_is_not_applicable_and_left_out_of_a_comparison(
    metric: str, features: str, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(NotApplicable, match=reason):
        evaluate("digits", "digits", (metric,), features, 20)
    found = compare(["digits"], data="digits", metrics=(metric,), features=features, n=20, out=tmp_path)
    (result,) = json.loads(Path(found["results"]).read_text())["results"]
    assert reason in result["left_out"][metric]


def test_memorisation_and_modes_need_what_only_some_data_has() -> None:
    plain = open_source("digits", progress=False)
    with pytest.raises(NotApplicable, match="has no test split"):
        evaluate(plain, plain, ("memorised",), "pixels", 20)
    with pytest.raises(NotApplicable, match="needs labels"):
        evaluate(plain, np.array(plain.pixels), ("modes",), "pixels", 20)


def test_a_fault_stops_a_comparison(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only what is not applicable is left out; a fault of unnoise, or of the user, is never a line of the table."""

    def broken(*_: object, **__: object) -> None:
        raise ValueError("a fault")

    monkeypatch.setattr("unnoise.evaluation.metrics.frechet.frechet_estimate", broken)
    with pytest.raises(ValueError, match="a fault"):
        compare(["digits"], data="digits", metrics=("fid",), features="pixels", n=20, out=tmp_path)
    with pytest.raises(UserError, match="must be of one shape"):
        compare(["glyphs:size=16,n=20"], data="digits", metrics=("precision",), features="pixels", n=20, out=tmp_path)


def test_a_damaged_test_split_is_never_replaced_by_the_training_split(run: Path, tmp_path: Path) -> None:
    pixels = open_source("digits", progress=False).pixels[:30, 0]
    for split in ("train", "test"):
        for label in ("a", "b"):
            folder = tmp_path / split / label
            folder.mkdir(parents=True)
            for index, image in enumerate(pixels):
                Image.fromarray(image).save(folder / f"{index}.png")
                if split == "test":
                    (folder / f"{index}.png").write_bytes((folder / f"{index}.png").read_bytes()[:40])
    for metric in ("fid", "memorised", "bpd"):
        with pytest.raises(UserError) as error:
            evaluate(run, tmp_path, (metric,), "pixels", 10)
        assert not isinstance(error.value, NotApplicable)
        assert "test" in str(error.value)


def test_results_are_valid_json_where_a_number_is_infinite() -> None:
    """Equal images have an infinite PSNR, one image no standard error."""
    one = open_source("glyphs:size=16,n=1", progress=False)
    text = json_text(evaluate(one, one, ("psnr", "ssim")))
    assert json.loads(text, parse_constant=pytest.fail)["psnr_stderr"] is None
    assert json.loads(json_text({"a": [np.inf, {"b": float("nan")}], "c": 1.5})) == {"a": [None, {"b": None}], "c": 1.5}


@pytest.mark.usefixtures("short_classifiers")
def test_class_names_with_dollars_tags_and_underscores_are_shown_as_they_are(tmp_path: Path) -> None:
    digits = open_source("digits", progress=False)
    names = ("$100$", "a$b", "<b>bold</b>", "_hidden", "$\\frac{", "5", "6", "7", "8", "9")
    named = replace(digits, classes=names, fingerprint="")
    found = compare(["digits"], data=named, metrics=("modes",), n=60, out=tmp_path)
    page = Path(found["report"]).read_text()
    assert "<b>bold</b>" not in page
    for name in ("$100$", "a$b", "_hidden", "$\\frac{"):
        assert re.search(f"<!-- +{re.escape(name)} +-->", page)  # matplotlib writes a label beside its outlines


def test_noise_covers_no_class_and_real_images_cover_all() -> None:
    """A classifier gives noise some class too; it used to 'cover' nine of ten."""
    test = open_source("digits", split="test", progress=False)
    noise = np.random.default_rng(0).integers(0, 256, (len(test), 1, 8, 8), dtype=np.uint8)
    results = [evaluate(what, "digits", ("modes",)) for what in (test, noise)]
    real, found = (result["modes"] for result in results)
    assert "KL to the data infinite nats" in dict(lines_of(results[1]))["modes"]  # for the terminal; it used to break
    assert (found["covered"], found["counted"], found["samples"], len(found["missing"])) == (0, 0, len(test), 10)
    assert real["covered"] == 10
    assert real["counted"] > len(test) / 2


def named(images: Images, names: Sequence[str], rows: Sequence[int]) -> Images:
    return replace(images.subset(rows), names=tuple(names), fingerprint="")


def test_restored_images_are_paired_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    glyphs = open_source("glyphs:size=16,n=4", progress=False)
    originals = named(glyphs, ["a.png", "b.png", "c/d.png", "e.png"], [0, 1, 2, 3])
    shuffled = named(glyphs, ["c/d.jpg", "x.png", "a.png"], [2, 3, 0])
    result = evaluate(shuffled, originals, ("psnr",))
    assert result["pairs"] == {"n": 2, "by": "name", "identical": 2}
    notes = capsys.readouterr().err
    assert "left out, for want of a partner: b, e, x" in notes
    with pytest.raises(UserError, match="no two files are called alike"):
        evaluate(named(glyphs, ["p.png", "q.png"], [0, 1]), originals, ("psnr",))
    with pytest.raises(UserError, match="both called a"):
        evaluate(named(glyphs, ["a.png", "a.jpg"], [0, 1]), originals, ("psnr",))


def test_floats_are_read_by_their_range_which_is_reported_and_can_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    digits = open_source("digits", progress=False).subset(range(100))
    ours = digits.batch(range(100)).image
    for floats in (ours, (ours + 1) / 2, ((ours + 1) / 2).numpy()):
        assert evaluate(floats, digits, ("fid",), "pixels")["fid"] == pytest.approx(0, abs=1e-9)
    assert "are read as [0,1]" in capsys.readouterr().err
    assert evaluate(digits, (ours + 1) / 2, ("fid",), "pixels")["fid"] == pytest.approx(0, abs=1e-9)
    assert evaluate((ours + 1) / 2, digits, ("fid",), "pixels", value_range="-1,1")["fid"] > 10
    with pytest.raises(UserError, match=r"unknown value range '0\.\.1'"):
        evaluate(ours, digits, ("fid",), "pixels", value_range="0..1")


def test_evaluate_begins_with_its_plan_and_draws_no_more_than_time_allows(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unnoise.evaluation.plan.MINUTES", 0.0)
    monkeypatch.setattr("unnoise.evaluation.plan.FEWEST", 20)
    assert evaluate(run, metrics=("precision",), features="pixels")["n"] == 20
    assert "plan: 20 samples by DDIM, 5 steps each, about" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "most", "n", "expected", "short"),
    [
        (0.0, 10_000, None, 10_000, False),
        (0.01, 10_000, None, 10_000, False),
        (0.1, 10_000, None, 3000, False),  # five minutes
        (0.1, 2000, None, 2000, False),
        (1.0, 10_000, None, 500, False),  # more than five minutes, less than half an hour
        (10.0, 10_000, None, 180, True),  # half an hour
        (1e4, 10_000, None, 50, True),
        (1e4, 10_000, 700, 700, False),
    ],
)
def test_how_many_samples_time_allows(
    seconds: float, most: int, n: int | None, expected: int, short: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cost, "of", lambda *_: Cost(seconds / 2, "DDIM", 50))
    target = Target("run")
    plan = plan_samples([target, target], [None, None], n, 0, "auto", most)
    assert (plan.n, plan.short) == (expected, short)
    assert plan.seconds == pytest.approx(expected * seconds)
    assert f"plan: 2 rows of {expected} samples, 100 steps for a sample of each, about" in plan.text()
    assert ("biased upwards" in plan.text()) == short


def test_a_plan_runs_the_first_steps_only(run: Path) -> None:
    target = open_target(run, options={"steps": 20}, device="cpu")
    assert target.model is not None
    with counted_calls(target.model) as calls:
        assert target.seconds_each(3, None, 0) > 0
    assert calls == [TIMED_STEPS]


def test_scores_name_the_files_and_show_the_least_likely(run: Path, tmp_path: Path) -> None:
    digits = open_source("digits", progress=False)
    result = score(run, named(digits, ["a.png", "b.png"], [0, 1]), out=tmp_path / "sheet.png")
    assert result["names"] == ["a.png", "b.png"]
    assert (tmp_path / "sheet.png").is_file()
