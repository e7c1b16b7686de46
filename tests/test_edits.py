"""Editing picture files with a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import unnoise
from unnoise.cli.edit import edit as app
from unnoise.edits import deblur_file, edit, inpaint_file, upscale_file, vary_file

SMALL = {
    "model.network.channels": 8,
    "model.network.blocks": 1,
    "model.schedule.T": 20,
    "sampler.steps": 2,
    "train.batch_size": 4,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("edits") / "run"
    unnoise.train("digits", "ddpm-digits", folder, steps=1, overrides=SMALL)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    levels = np.random.default_rng(0).integers(256, size=(8, 8), dtype=np.uint8)
    mask = np.zeros((8, 8), np.uint8)
    mask[:, 4:] = 255
    for name, array in {
        "image": levels,
        "small": levels[:4, :4],
        "mask": mask,
        "wide": np.zeros((8, 9), np.uint8),
    }.items():
        Image.fromarray(array).save(folder / f"{name}.png")
    return folder


def read(path: str | Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


def test_inpainting_keeps_the_files_black_masked_pixels(run: Path, pictures: Path, tmp_path: Path) -> None:
    for method in ("ddnm", "repaint"):
        work = inpaint_file(pictures / "image.png", pictures / "mask.png", method=method, steps=3)
        result = edit(run, "inpaint", work, [5, 6], out=tmp_path / "strip.png")
        assert result["images"] == len(result["files"]) == 2
        for file in result["files"]:
            assert (read(file)[:, :4] == read(pictures / "image.png")[:, :4]).all()
        assert (read(result["files"][0]) != read(result["files"][1])).any()
        assert Path(result["out"]).is_file()


def test_upscaling_takes_small_pictures(run: Path, pictures: Path) -> None:
    result = edit(run, "upscale", upscale_file(pictures / "small.png", 2, steps=3), [0])
    assert read(result["files"][0]).shape == (8, 8)
    assert Path(result["out"]).parent == run / "samples"
    assert result["network_calls"] == 3


def test_deblurring_and_varying(run: Path, pictures: Path, tmp_path: Path) -> None:
    works = [
        deblur_file(pictures / "image.png", 0.7, noise=0.02, steps=3),
        vary_file(pictures / "image.png", 0.0, steps=3),
    ]
    results = [edit(run, str(i), work, [0], out=tmp_path / f"{i}.png") for i, work in enumerate(works)]
    assert read(results[0]["files"][0]).shape == (8, 8)
    assert (read(results[1]["files"][0]) == read(pictures / "image.png")).all()


def test_the_command_prints_json(run: Path, pictures: Path, capsys: Any, tmp_path: Path) -> None:
    arguments = [str(run), str(pictures / "image.png"), "--number", "2", "--steps", "4", "--json"]
    app(["vary", *arguments, "--strength", "0.5", "--out", str(tmp_path / "v.png")], result_action="return_value")
    result = json.loads(capsys.readouterr().out)
    assert (result["task"], result["images"], result["network_calls"]) == ("vary", 2, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: inpaint_file(p / "wide.png", p / "mask.png"), "9x8 pixels, and the run makes 8x8; resize it"),
        (lambda p: inpaint_file(p / "image.png", p / "wide.png"), "9x8 pixels, the image 8x8"),
        (lambda p: upscale_file(p / "wide.png", 2), "4x4 to be enlarged"),
    ],
)
def test_pictures_of_another_size_are_refused(run: Path, pictures: Path, make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        edit(run, "inpaint", make(pictures), [0])


def test_no_image_is_refused(run: Path, pictures: Path) -> None:
    with pytest.raises(ValueError, match="at least 1 image"):
        edit(run, "vary", vary_file(pictures / "image.png", 0.5), [])
