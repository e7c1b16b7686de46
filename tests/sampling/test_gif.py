"""A GIF shows the steps of sampling, batch by batch, and ends on the images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unnoise.data import image_grid
from unnoise.sampling.generate import generate
from unnoise.sampling.gif import FRAMES, GifFrames
from unnoise.training.train import train

SMALL = {"train.batch_size": 8, "train.samples": 0, "train.warmup": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    overrides = {"model.network.channels": 8, "model.schedule.T": 20, "sampler.steps": 5, **SMALL}
    return train("digits", "ddpm-digits", tmp_path_factory.mktemp("gif") / "run", steps=2, overrides=overrides).folder


def test_the_last_picture_is_the_grid_of_the_images(run: Path, tmp_path: Path) -> None:
    made = generate(run, range(3), out=tmp_path / "steps.gif", batch_size=2)
    assert made["images"] == 3
    generate(run, range(3), out=tmp_path / "images.npy", batch_size=2)
    images = np.load(tmp_path / "images.npy", allow_pickle=False)
    with Image.open(tmp_path / "steps.gif") as gif:
        gif.seek(4)
        last = np.asarray(gif.convert("L")).astype(int)
        with pytest.raises(EOFError):
            gif.seek(5)
    assert np.abs(last - np.asarray(image_grid(images)).astype(int)).max() <= 1


def test_many_steps_are_thinned_evenly_and_the_ends_are_kept() -> None:
    gif = GifFrames()
    gif.new_batch()
    for step in range(1000):
        gif.record(np.full((1, 1, 2, 2), step * 255 // 999, np.uint8))
    frames = gif.frames()
    levels = [np.asarray(frame)[10, 10] for frame in frames]
    assert len(frames) == FRAMES
    assert levels[0] == 0
    assert levels[-1] == 255
    assert max(np.diff(np.array(levels, int))) <= 4


def test_what_has_no_steps_is_refused(run: Path, tmp_path: Path) -> None:
    gan = train("digits", "gan", tmp_path / "gan", steps=1, overrides=SMALL).folder
    with pytest.raises(ValueError, match="gan draws in one"):
        generate(gan, range(2), out=tmp_path / "a.gif")
    with pytest.raises(ValueError, match="leave out --then"):
        generate(run, range(2), then=[run], out=tmp_path / "a.gif")
