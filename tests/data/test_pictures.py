from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unnoise.data.batch import from_uint8
from unnoise.data.pictures import image_grid, save_gif, save_png, to_uint8


def test_uint8_there_and_back_is_exact() -> None:
    values = torch.arange(256, dtype=torch.uint8)
    np.testing.assert_array_equal(to_uint8(from_uint8(values)), values.numpy())


def test_rounding_and_clipping() -> None:
    levels = torch.tensor([-9.0, -1.0, 0.5 / 127.5 - 1, 0.49 / 127.5 - 1, 0.0, 1.0, 9.0, float("nan"), float("inf")])
    assert to_uint8(levels.double().float()).tolist() == [0, 0, 1, 0, 128, 255, 255, 0, 255]


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_a_grid_holds_every_image_at_its_place(channels: int, mode: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, channels, 8, 6), dtype=np.uint8)
    sheet = image_grid(pixels, columns=2, scale=3, padding=1)
    assert sheet.mode == mode
    assert sheet.size == (2 * 19 + 1, 3 * 25 + 1)
    array = np.asarray(sheet).reshape(sheet.height, sheet.width, channels)
    for index in range(5):
        top, left = 1 + index // 2 * 25, 1 + index % 2 * 19
        seen = array[top : top + 24, left : left + 18][1::3, 1::3]
        np.testing.assert_array_equal(seen.transpose(2, 0, 1), pixels[index])
    np.testing.assert_array_equal(array[-25:, -19:], 255)


def test_small_images_are_enlarged_by_whole_factors() -> None:
    assert image_grid(np.zeros((1, 1, 8, 8), np.uint8), padding=0).size == (64, 64)
    assert image_grid(np.zeros((1, 1, 28, 28), np.uint8), padding=0).size == (56, 56)
    assert image_grid(np.zeros((1, 1, 100, 100), np.uint8), padding=0).size == (100, 100)


def test_floats_and_tensors_are_taken() -> None:
    floats = torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8)
    expected = np.asarray(image_grid(to_uint8(floats)))
    for given in (floats, floats.numpy(), floats.bfloat16().float(), torch.from_numpy(to_uint8(floats))):
        assert np.abs(np.asarray(image_grid(given)).astype(int) - expected).max() <= 1
    with pytest.raises(ValueError, match="C 1, 3 or 4"):
        image_grid(np.zeros((2, 2, 8, 8), np.uint8))


def test_png_files_appear_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 6), dtype=np.uint8)
    save_png(pixels, tmp_path / "new" / "a.png")
    with Image.open(tmp_path / "new" / "a.png") as saved:
        np.testing.assert_array_equal(np.asarray(saved).transpose(2, 0, 1), pixels)

    def fails(*arguments: object, **options: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fails)
    with pytest.raises(OSError, match="disk full"):
        save_png(pixels, tmp_path / "new" / "b.png")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]


def test_a_gif_plays_its_pictures_in_order_and_rests_on_the_last(tmp_path: Path) -> None:
    levels = (0, 90, 255)
    frames = [Image.new("L", (6, 4), level) for level in levels]
    save_gif(frames, tmp_path / "new" / "a.gif", seconds=0.3, hold=1.0)
    with Image.open(tmp_path / "new" / "a.gif") as gif:
        shown, durations = [], []
        for index in range(len(levels)):
            gif.seek(index)
            shown.append(gif.convert("L").getpixel((0, 0)))
            durations.append(gif.info["duration"])
        assert gif.info["loop"] == 0
    assert shown == list(levels)
    assert durations == [100, 100, 1100]
    with pytest.raises(ValueError, match="at least 1"):
        save_gif([], tmp_path / "b.gif")
