"""A run's images are read again as its training read them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from unnoise.editing import read_image
from unnoise.errors import UserError
from unnoise.evaluation import evaluate
from unnoise.io.walk import Walk
from unnoise.runs.run import Run
from unnoise.training.train import train

TINY = {
    "model.network.channels": 8,
    "model.network.multipliers": [1],
    "model.network.attention": [],
    "model.schedule.T": 20,
    "sampler.steps": 2,
    "train.batch_size": 4,
    "train.samples": 0,
}


def clear_pictures(folder: Path, count: int, seed: int = 0) -> Path:
    """Pictures of 8x8 whose lower half is transparent over white, and 128 levels of grey in the upper one."""
    draws = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for index in range(count):
        pixels = np.full((8, 8, 2), 255, np.uint8)
        pixels[:4, :, 0], pixels[4:, :, 1] = draws.integers(64, 192, (4, 8)), 0
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("reading")
    source = clear_pictures(folder / "photos", 90)
    options = {**TINY, "data.background": "black", "data.limit": 70, "data.levels": [0.25, 0.75]}
    return train(source, "ddpm-digits", folder / "run", steps=1, overrides=options, device="cpu")


def test_what_was_held_out_is_the_test_split_and_no_part_of_the_training(run: Run) -> None:
    (trained, _), (held_out, split) = run.open_data("train"), run.open_data("test")
    assert split == "test"
    assert len(held_out) == 10
    assert len(trained) + len(held_out) == 70
    assert not {row.tobytes() for row in trained.pixels} & {row.tobytes() for row in held_out.pixels}


def test_a_split_that_there_is_not_is_no_name_for_another(run: Run) -> None:
    with pytest.raises(UserError, match="unknown split 'tset'; did you mean 'test'"):
        run.open_data("tset")


def test_pixels_have_the_background_and_the_levels_of_the_training(run: Run) -> None:
    images, _ = run.open_data("train")
    assert not images.pixels[:, :, 4:].any(), "black below what is transparent"
    assert images.pixels[:, :, :4].min() < 8
    assert images.pixels[:, :, :4].max() > 247
    few, _ = run.open_data("train", limit=5)
    assert len(few) == 5


def test_a_measurement_is_against_what_the_run_was_trained_on(run: Run) -> None:
    result = evaluate(run.folder, metrics=("fid",), features="pixels", n=12, options={"steps": 2}, device="cpu")
    assert result["reference"]["n"] == 60
    assert result["reference"]["fingerprint"] == run.open_data("train")[0].fingerprint


def test_a_folder_is_looked_through_once_by_each_command_and_packed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Path] = []
    walk = Walk.folders

    def counted(self: Walk) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
        looks.append(self.folder)
        return walk(self)

    monkeypatch.setattr(Walk, "folders", counted)
    monkeypatch.setenv("UNNOISE_CACHE", str(tmp_path / "cache"))
    source = clear_pictures(tmp_path / "photos", 80)
    run = train(source, "ddpm-digits", tmp_path / "run", steps=1, overrides=TINY, device="cpu")
    assert run.held_out() is not None
    assert looks == [source]
    evaluate(run.folder, metrics=("fid",), features="pixels", n=12, options={"steps": 2}, device="cpu")
    assert looks == [source, source]
    assert len([entry for entry in (tmp_path / "cache" / "packed").iterdir() if entry.is_dir()]) == 1
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(source / "more.png")
    assert len(run.open_data("train")[0]) == 81, "a later look sees what is new"


def test_of_a_run_that_was_trained_elsewhere_nothing_is_known_but_the_shape(run: Run) -> None:
    imported = Run(run.folder, {**run.config, "found": {**run.config["found"], "fingerprint": ""}})
    assert run.reading().options.keys() == {"size", "channels", "limit", "background", "levels"}
    assert imported.reading().options.keys() == {"background", "levels"}
    assert imported.reading().shape == run.shape


def test_another_source_is_read_alike_and_whole(run: Run, tmp_path: Path) -> None:
    other, split = run.open_data("test", source=clear_pictures(tmp_path / "others", 75, seed=1))
    assert (len(other), split) == (75, "train"), "nothing of it is held out"
    assert not other.pixels[:, :, 4:].any()


def test_a_runs_own_source_is_known_by_its_name_and_in_another_place(run: Run, tmp_path: Path) -> None:
    source, moved = Path(run.config["source"]), tmp_path / "moved"
    shutil.copytree(source, moved)
    (trained, _), (held_out, _) = run.open_data("train"), run.open_data("test")
    for named in (str(source), source.parent / "." / source.name, moved):
        (train_part, _), (test, split) = run.open_data("train", named), run.open_data("test", named)
        assert split == "test"
        assert test.fingerprint == held_out.fingerprint
        assert train_part.fingerprint == trained.fingerprint
    how: dict[str, Any] = {"metrics": ("fid",), "features": "pixels", "n": 12, "options": {"steps": 2}, "device": "cpu"}
    assert evaluate(run.folder, moved, **how)["reference"]["n"] == 60


def test_what_a_streamed_run_holds_out_is_known_again(tmp_path: Path) -> None:
    source = clear_pictures(tmp_path / "photos", 80)
    (source / "7.png").write_bytes(source.joinpath("7.png").read_bytes()[:60])  # its head can be read, and no more
    options = {**TINY, "data.background": "black", "data.stream": True}
    run = train(source, "ddpm-digits", tmp_path / "run", steps=1, overrides=options, device="cpu")
    held = run.held_out()
    assert held is not None
    for named in (None, source):
        (train_part, _), (test, split) = run.open_data("train", named), run.open_data("test", named)
        assert split == "test"
        assert len(test) == len(held.rows)
        assert len(train_part) + len(test) == 80
        assert set(train_part.names).isdisjoint(test.names)


def test_a_picture_to_edit_is_read_as_the_training_read_its_images(run: Run) -> None:
    images, _ = run.open_data("train")
    name = images.names[0]
    given = read_image(Path(run.config["source"]) / name, run.load("cpu"))
    assert torch.equal(given, images.batch([0]).image)
    assert float(given.max()) > 0.9, "the levels were stretched"
    assert float(given[:, :, 4:].max()) == -1, "black below what is transparent"
