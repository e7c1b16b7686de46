from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from PIL import Image, ImageOps

from unnoise.data.decode import ImageFile, Target, decode_chunk, probe_chunk
from unnoise.io.npy_file import NpyFile
from unnoise.io.picture_reader import to_mode


@dataclass(frozen=True)
class Memory:
    """A file in memory."""

    data: bytes
    name: str = "memory"

    def open(self) -> BinaryIO:
        return io.BytesIO(self.data)


def encode(picture: Image.Image, kind: str = "PNG", **options) -> Memory:
    stream = io.BytesIO()
    picture.save(stream, format=kind, **options)
    return Memory(stream.getvalue())


def decode(file: Memory, folder: Path, shape: tuple[int, int, int], mask: Memory | None = None):
    """(pixels (C, H, W), map (H, W), grey or reason) of one file."""
    maps = {} if mask is None else {"maps": NpyFile.create(folder / "maps.npy", (1, *shape[1:]))}
    target = Target(NpyFile.create(folder / "pixels.npy", (1, *shape)), maps)
    _, found = decode_chunk(0, [ImageFile(file, {} if mask is None else {"maps": mask})], target)
    return np.load(folder / "pixels.npy")[0], np.load(folder / "maps.npy")[0] if maps else None, found[0]


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_exif_orientation_is_applied(orientation: int, kind: str, tmp_path: Path) -> None:
    picture = Image.fromarray(noise(6, 10, 3))
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = encode(picture, kind, exif=exif)
    assert probe_chunk([file]) == [(10, 6) if orientation < 5 else (6, 10)]
    with Image.open(file.open()) as opened:
        seen = np.asarray(ImageOps.exif_transpose(opened))
    pixels, _, grey = decode(file, tmp_path, (3, *seen.shape[:2]))
    np.testing.assert_array_equal(pixels.transpose(1, 2, 0), seen)
    assert grey is False


def test_orientation_six_is_a_quarter_turn_clockwise(tmp_path: Path) -> None:
    array, exif = noise(6, 10), Image.Exif()
    exif[0x0112] = 6
    pixels, _, _ = decode(encode(Image.fromarray(array), exif=exif), tmp_path, (1, 10, 6))
    np.testing.assert_array_equal(pixels[0], np.rot90(array, -1))


def test_sixteen_bits_are_divided_by_257(tmp_path: Path) -> None:
    wide = np.array([[0, 1, 128, 129], [257, 65535, 65407, 65406]], np.uint16)
    pixels, _, grey = decode(encode(Image.fromarray(wide)), tmp_path, (3, 2, 4))
    np.testing.assert_array_equal(pixels[0], np.rint(wide / 257))
    assert grey is True


def test_palettes_with_transparency_are_laid_on_white(tmp_path: Path) -> None:
    picture = Image.new("P", (3, 1))
    picture.putpalette([255, 0, 0, 0, 0, 255, 0, 255, 0])
    picture.putdata([0, 1, 2])
    file = encode(picture, transparency=bytes([255, 0, 128]))
    pixels, _, _ = decode(file, tmp_path, (3, 1, 3))
    np.testing.assert_allclose(pixels[:, 0].T, [[255, 0, 0], [255, 255, 255], [127, 255, 127]], atol=1)
    kept, _, _ = decode(file, tmp_path, (4, 1, 3))
    assert kept[3, 0].tolist() == [255, 0, 128]


MODES = {
    "1": [255, 255, 255],
    "L": [100, 100, 100],
    "RGB": [100, 50, 25],
    "P": [100, 50, 25],
    "CMYK": [100, 50, 25],
    "YCbCr": [100, 50, 25],
}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_has_a_meaning(mode: str) -> None:
    colour = {"L": 100, "1": 255}.get(mode)
    if colour is not None:
        picture = Image.new(mode, (2, 2), colour)
    elif mode == "P":
        picture = Image.new("RGB", (2, 2), (100, 50, 25)).quantize(2)
    else:
        picture = Image.new("RGB", (2, 2), (100, 50, 25)).convert(mode)
    np.testing.assert_allclose(np.asarray(to_mode(picture, 3))[0, 0], MODES[mode], atol=2)


def test_half_transparent_grey_is_laid_on_white() -> None:
    picture = Image.fromarray(np.array([[[0, 128]]], np.uint8))
    assert picture.mode == "LA"
    assert abs(int(np.asarray(to_mode(picture, 1))[0, 0]) - 127) <= 1


def test_crops_that_need_no_resizing_copy_pixels(tmp_path: Path) -> None:
    array = noise(8, 13, 3)
    pixels, _, _ = decode(encode(Image.fromarray(array)), tmp_path, (3, 8, 8))
    np.testing.assert_array_equal(pixels.transpose(1, 2, 0), array[:, 2:10])


def test_the_quick_jpeg_path_agrees_with_the_slow_one(tmp_path: Path) -> None:
    steps = np.linspace(0, 255, 512).astype(np.uint8)
    smooth = Image.fromarray(np.stack([np.tile(steps, (512, 1)), np.tile(steps[:, None], (1, 512))] * 2, -1)[..., :3])
    quick, _, _ = decode(encode(smooth, "JPEG", quality=95), tmp_path, (3, 32, 32))
    slow, _, _ = decode(encode(smooth, "PNG"), tmp_path, (3, 32, 32))
    assert np.abs(quick.astype(int) - slow).max() <= 4


def test_masks_are_resized_without_mixing_classes(tmp_path: Path) -> None:
    mask = np.kron(np.array([[0, 7], [9, 200]], np.uint8), np.ones((8, 8), np.uint8))
    palette = Image.fromarray(mask)
    palette.putpalette([0, 0, 0] * 256)
    pixels, maps, _ = decode(encode(Image.fromarray(noise(16, 16))), tmp_path, (1, 4, 4), encode(palette))
    np.testing.assert_array_equal(maps, np.kron(np.array([[0, 7], [9, 200]]), np.ones((2, 2))))
    assert pixels.shape == (1, 4, 4)


BAD = {
    "text": (Memory(b"hello, I am a text"), "not an image"),
    "empty": (Memory(b""), "not an image"),
    "truncated": (Memory(encode(Image.fromarray(noise(32, 32, 3))).data[:900]), "truncated"),
    "truncated jpeg": (Memory(encode(Image.fromarray(noise(32, 32, 3)), "JPEG").data[:900]), "truncated"),
    "float": (encode(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"), "no defined white"),
    "large integers": (encode(Image.fromarray(np.full((4, 4), 70000, np.int32)), "TIFF"), "outside 0..65535"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_gets_a_reason(name: str, tmp_path: Path) -> None:
    file, reason = BAD[name]
    _, _, found = decode(file, tmp_path, (3, 8, 8))
    assert isinstance(found, str)
    assert reason in found


def test_pictures_beyond_the_pixel_limit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = encode(Image.fromarray(noise(20, 20)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    assert probe_chunk([file]) == ["more than 300 pixels (--max-pixels lifts the limit)"]
    assert decode(file, tmp_path, (1, 8, 8))[2].startswith("more than 300 pixels")


WRONG_MASKS = {
    "size": (encode(Image.fromarray(noise(8, 9))), "its mask is 9x8, the image 8x8"),
    "mode": (encode(Image.fromarray(noise(8, 8, 3))), "its mask has mode RGB"),
}


@pytest.mark.parametrize("name", WRONG_MASKS)
def test_masks_that_do_not_fit_are_refused(name: str, tmp_path: Path) -> None:
    mask, reason = WRONG_MASKS[name]
    assert reason in str(decode(encode(Image.fromarray(noise(8, 8))), tmp_path, (1, 8, 8), mask)[2])


def test_decoding_needs_no_torch() -> None:
    code = "import sys, unnoise.data.decode; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
