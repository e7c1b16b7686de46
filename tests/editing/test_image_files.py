"""Pictures of any size come to a run's size and back."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from unnoise.editing.image_files import FITS, FittedPicture
from unnoise.errors import UserError
from unnoise.io.picture_reader import PLAIN
from unnoise.sources import open_source

MODEL: Any = SimpleNamespace(shape=(3, 16, 24), pictures=PLAIN)


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    across, down = np.meshgrid(np.linspace(0, 255, 60), np.linspace(0, 255, 50))
    Image.fromarray(np.stack([across, down, 255 - across], -1).astype(np.uint8)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_the_default_is_what_training_sees(photograph: Path) -> None:
    fitted = FittedPicture.read(photograph, MODEL)
    trained = open_source(photograph.parent, size=(16, 24), progress=False)
    np.testing.assert_array_equal(np.asarray(fitted.on_canvas()), trained.pixels[0].transpose(1, 2, 0))


@pytest.mark.parametrize("fit", FITS)
def test_an_unchanged_image_gives_the_picture_back_at_its_own_size(photograph: Path, fit: str) -> None:
    fitted = FittedPicture.read(photograph, MODEL, fit)
    back = np.asarray(fitted.restored(fitted.tensor()[0])).astype(int)
    given = np.asarray(fitted.picture).astype(int)
    assert back.shape == given.shape
    assert np.abs(back - given).mean() < 4


def test_what_was_cropped_away_is_not_touched(photograph: Path) -> None:
    fitted = FittedPicture.read(photograph, MODEL)
    back = np.asarray(fitted.restored(-fitted.tensor()[0]))
    given = np.asarray(fitted.picture)
    _, top, _, bottom = (round(side) for side in fitted.part)
    assert (back[:top] == given[:top]).all()
    assert (back[bottom:] == given[bottom:]).all()
    assert (back[top + 2 : bottom - 2] != given[top + 2 : bottom - 2]).any(-1).mean() > 0.9


def test_masks_are_fitted_with_the_picture(photograph: Path, tmp_path: Path) -> None:
    mask = np.zeros((50, 60), np.uint8)
    mask[:, 30:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    for fit in FITS:
        fitted = FittedPicture.read(photograph, MODEL, fit)
        known = fitted.known(tmp_path / "mask.png").numpy()
        assert known.shape == (16, 24)
        left, _, right, _ = (round(side) for side in fitted.at)
        middle = (left + right) / 2
        assert known[:, : int(middle)].all()
        assert not known[:, int(middle + 0.5) : right].any()
        assert known[:, right:].all(), "margins are kept"
    Image.fromarray(mask[:20]).save(tmp_path / "other.png")
    with pytest.raises(UserError, match=r"60x20 pixels, the picture .* 60x50"):
        fitted.known(tmp_path / "other.png")
    edge = np.zeros((50, 60), np.uint8)
    edge[:3] = 255
    Image.fromarray(edge).save(tmp_path / "edge.png")
    with pytest.raises(UserError, match="marks nothing in the part"):
        FittedPicture.read(photograph, MODEL).known(tmp_path / "edge.png")


def test_rotated_photographs_are_upright_and_deep_ones_keep_their_greys(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "turned.jpg", exif=exif)
    assert FittedPicture.read(tmp_path / "turned.jpg", MODEL).picture.size == (20, 40)
    Image.fromarray(np.full((20, 20), 32768, np.uint16)).save(tmp_path / "deep.png")
    assert abs(float(FittedPicture.read(tmp_path / "deep.png", MODEL).tensor().mean())) < 0.01
