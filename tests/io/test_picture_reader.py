"""The one door for pictures."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

import unnoise
from unnoise.errors import UserError
from unnoise.io.picture_reader import Rules, read_picture, to_mode
from unnoise.sources import open_source


def test_pictures_are_opened_in_one_file_alone() -> None:
    source = Path(unnoise.__file__).parent
    found = [str(file.relative_to(source)) for file in source.rglob("*.py") if "Image.open(" in file.read_text()]
    assert found == ["io/picture_reader.py"]


def test_no_other_program_is_started_for_a_postscript_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path / 'started'}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\nshowpage\n%%EOF\n"
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "cat.png").write_bytes(postscript)
    with pytest.raises(UserError, match=r"not an image of a known format \(PNG, JPEG"):
        read_picture(tmp_path / "set" / "cat.png", 3)
    with pytest.raises(UserError, match="not an image"):
        open_source(tmp_path / "set", progress=False)
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("ending", [".jfif", ".jpe", ".jp2", ".tga", ".avif", ""])
def test_endings_and_none_are_read(tmp_path: Path, ending: str) -> None:
    kind = {".jfif": "JPEG", ".jpe": "JPEG", ".jp2": "JPEG2000", ".tga": "TGA", ".avif": "AVIF", "": "PNG"}[ending]
    Image.init()
    if kind not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {kind}")
    stream = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(stream, format=kind)
    (tmp_path / f"picture{ending}").write_bytes(stream.getvalue())
    (tmp_path / "LICENSE").write_text("no picture")
    images = open_source(tmp_path, progress=False)
    assert (images.names, images.shape) == ((f"picture{ending}",), (3, 16, 16))
    assert images.pixels[0, 0].min() > 240


def test_what_cannot_be_read_by_its_kind_is_named(tmp_path: Path, draw) -> None:
    draw("a.png", 8, 8)
    (tmp_path / "set" / "b.HEIC").write_bytes(b"\x00\x00\x00\x18ftypheic")
    assert "HEIC" in open_source(tmp_path / "set", progress=False).broken[0].reason
    (tmp_path / "set" / "a.png").unlink()
    with pytest.raises(UserError, match=r"holds no images.*b\.HEIC \(HEIC"):
        open_source(tmp_path / "set", progress=False)


def test_a_sixteen_bit_ramp_keeps_its_mean(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(4, 0)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    assert abs(np.asarray(read_picture(tmp_path / "ramp.png", 1)).mean() - 127.5) < 0.5


def test_colours_of_another_profile_become_srgb(tmp_path: Path) -> None:
    lab = ImageCms.createProfile("LAB")
    srgb = ImageCms.createProfile("sRGB")
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8))
    plain = picture.copy()
    plain.info["icc_profile"] = ImageCms.ImageCmsProfile(srgb).tobytes()
    assert (np.asarray(to_mode(plain, 3)) == np.asarray(picture)).all(), "sRGB stays as it is"
    in_lab = ImageCms.profileToProfile(picture, srgb, lab, outputMode="LAB")
    assert in_lab is not None
    in_lab.info["icc_profile"] = ImageCms.ImageCmsProfile(lab).tobytes()
    distance = np.abs(np.asarray(to_mode(in_lab, 3)).astype(int) - np.asarray(picture))
    assert np.median(distance) <= 3
    damaged = picture.copy()
    damaged.info["icc_profile"] = b"no profile"
    assert (np.asarray(to_mode(damaged, 3)) == np.asarray(picture)).all()


def test_levels_stretch_what_uses_little_of_its_range(tmp_path: Path) -> None:
    """12 bits in 16: the sixteenth part of the range."""
    ramp = np.linspace(0, 4095, 256).astype(np.uint16)[None].repeat(16, 0)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    options = {"progress": False, "channels": 1, "size": (16, 256)}
    plain = open_source(tmp_path, **options)
    stretched = open_source(tmp_path, **options, levels=(0, 4095 / 65535))
    assert plain.pixels.max() == 16
    wanted = np.round(ramp[0] / 4095 * 255)
    assert np.abs(stretched.pixels[0, 0].astype(float) - wanted).max() <= 1


def test_background_and_levels_of_eight_bits(tmp_path: Path) -> None:
    drawing = np.zeros((8, 8, 4), np.uint8)
    drawing[2:4, 2:4] = 255
    Image.fromarray(drawing).save(tmp_path / "drawing.png")
    assert np.asarray(read_picture(tmp_path / "drawing.png", 3)).min() == 255, "white on white"
    seen = np.asarray(read_picture(tmp_path / "drawing.png", 3, Rules(background="#102030")))
    assert seen[0, 0].tolist() == [16, 32, 48]
    assert seen[2, 2].tolist() == [255, 255, 255]
    grey = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    stretched = np.asarray(to_mode(grey, 1, Rules(levels=(0.2, 0.6))))[0]
    assert [int(stretched[value]) for value in (0, 51, 102, 153, 255)] == [0, 0, 128, 255, 255]


@pytest.mark.parametrize("options", [{"levels": (0.5, 0.5)}, {"levels": (-1, 1)}, {"background": "nocolour"}])
def test_options_out_of_bounds_are_refused(tmp_path: Path, draw, options: dict) -> None:
    draw("a.png", 8, 8)
    with pytest.raises(UserError, match="must be"):
        open_source(tmp_path / "set", progress=False, **options)


def test_the_pixel_limit_is_lifted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "a.jpg")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UserError, match="--max-pixels"):
        open_source(tmp_path, progress=False)
    assert len(open_source(tmp_path, progress=False, max_pixels=5000)) == 1
    assert Image.MAX_IMAGE_PIXELS == 1000


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_and_devices_are_not_opened(tmp_path: Path, draw) -> None:
    draw("a.png", 8, 8)
    os.mkfifo(tmp_path / "set" / "b.png")
    (tmp_path / "set" / "c.png").symlink_to("/dev/zero")
    (tmp_path / "set" / "d.png").symlink_to("d.png")
    images = open_source(tmp_path / "set", progress=False)
    assert len(images) == 1
    assert {item.name for item in images.broken} == {"b.png", "c.png", "d.png"}
    with pytest.raises(UserError, match="neither a folder nor a regular file"):
        open_source(tmp_path / "set" / "b.png", progress=False)
    for name in ("b.png", "c.png"):
        with pytest.raises(UserError, match="not a regular file"):
            read_picture(tmp_path / "set" / name, 3)


@pytest.mark.parametrize("folder", ["@eaDir", "__MACOSX", ".thumbnails"])
def test_folders_of_operating_systems_are_no_classes(tmp_path: Path, draw, folder: str) -> None:
    for name in ("a/1.png", "b/1.png", f"{folder}/1.png", f"a/{folder}/1.png"):
        draw(name, 8, 8)
    images = open_source(tmp_path / "set", progress=False)
    assert (images.classes, len(images)) == (("a", "b"), 2)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads every folder")
def test_a_closed_folder_costs_itself_alone(tmp_path: Path, draw) -> None:
    draw("a.png", 8, 8)
    (tmp_path / "set" / "closed").mkdir(mode=0)
    assert [item.name for item in open_source(tmp_path / "set", progress=False).broken] == ["closed/"]


def test_what_unnoise_wrote_below_a_source_is_no_data(tmp_path: Path, draw) -> None:
    from unnoise.data import image_grid, save_png

    draw("a.png", 64, 64)
    run = tmp_path / "set" / "runs" / "x"
    run.mkdir(parents=True)
    (run / "config.toml").write_text('unnoise = "0.1.0"\n')
    Image.new("L", (8, 8)).save(run / "1.png")
    save_png(image_grid(np.zeros((4, 1, 32, 32), np.uint8)), tmp_path / "set" / "sheet.png")
    images = open_source(tmp_path / "set", progress=False)
    assert images.names == ("a.png",)
    assert "runs/x/ is a run of unnoise" in images.notes[0]
    assert images.broken[0].reason == "a grid of pictures that unnoise drew"
