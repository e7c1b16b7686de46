"""Families on equal terms: every one is trained and measured, what is done stays done."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from unnoise.families import FAMILIES, families
from unnoise.families.families import lines
from unnoise.runs.config import read_recipe, recipe_names
from unnoise.runs.run import Run
from unnoise.training import pairs

BRIEF: dict[str, Any] = {
    "minutes": 0.004,
    "n": 24,
    "features": "pixels",
    "overrides": {"train.batch_size": 8, "train.samples": 0},
    "device": "cpu",
}


def test_every_family_is_a_recipe() -> None:
    assert {family.recipe for family in FAMILIES.values()} <= set(recipe_names())
    wanted = {
        "vae",
        "gan",
        "ddpm",
        "edm",
        "rectified-flow",
        "reflow",
        "consistency",
        "latent-diffusion",
        "autoencoder",
        "dae",
    }
    assert wanted <= set(FAMILIES)


def test_families_train_alike_are_measured_alike_and_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only = ["autoencoder", "gan", "latent-diffusion"]
    found = families("digits", only=only, out=tmp_path, **BRIEF)
    assert [Path(row["run"]).name for row in found["table"]] == only
    assert [row["fid"] is None for row in found["table"]] == [True, False, False]
    assert [row["reconstruction"] is None for row in found["table"]] == [False, True, False]
    for picture in found["pictures"]:
        with Image.open(picture) as image:
            assert image.size[0] > 32
    page = Path(found["report"]).read_text()
    assert all(name in page for name in only)
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "| gan |" in Path(found["markdown"]).read_text()

    of_autoencoder, of_latents = (
        Run.open(tmp_path / name).config["train"]["minutes"] for name in ("latent-diffusion-autoencoder", "gan")
    )
    assert of_autoencoder == of_latents / 2

    def unexpected(*given: object, **options: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(import_module("unnoise.families.families"), "compare", unexpected)
    again = families("digits", only=only, out=tmp_path, **BRIEF)
    assert again["table"] == json.loads(json.dumps(found["table"]))


def test_stability_is_measured_for_three_seeds_and_three_rates_and_kept(tmp_path: Path) -> None:
    options = {**BRIEF, "overrides": {"train.batch_size": 4, "train.steps": 1}, "few": 10}
    found = families("digits", only=["vae"], short=1.0, out=tmp_path, **options)
    runs = found["stability"]["vae"]
    assert len({(run["seed"], run["rate"]) for run in runs}) == 9
    recipe = read_recipe("vae")["train"]["learning_rate"]
    assert sorted({round(run["rate"] / recipe, 2) for run in runs}) == [0.33, 1.0, 3.0]
    assert any(line.startswith("| vae | ") and line.endswith("9 of 9 |") for line in lines(found)[-1:])
    file = next((tmp_path / "stability").glob("*/stability.json"))
    file.write_text(json.dumps({"seed": 0, "rate": 1.0, "fid": -1.0, "modes": 3}))
    again = families("digits", only=["vae"], short=1.0, out=tmp_path, **options)
    assert any(run["fid"] == -1.0 for run in again["stability"]["vae"])


def test_an_unknown_family_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="did you mean 'gan'"):
        families("digits", only=["gaan"], out=tmp_path)


def test_a_student_and_its_teacher_have_half_of_the_time_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROWS", "FEWEST"):
        monkeypatch.setattr(pairs, name, 8)
    small = {"model.network.channels": 8, "model.network.multipliers": [1], "model.network.attention": []}
    options = {**BRIEF, "overrides": {**BRIEF["overrides"], **small}}
    found = families("digits", only=["reflow"], out=tmp_path, **options)
    assert [Path(row["run"]).name for row in found["table"]] == ["reflow"]
    student, first = (Run.open(tmp_path / name) for name in ("reflow", "reflow-teacher"))
    assert student.config["objective"]["kind"] == "reflow"
    assert student.config["start"] == str(first.folder.resolve())
    assert student.config["train"]["minutes"] == first.config["train"]["minutes"] == BRIEF["minutes"] / 2
