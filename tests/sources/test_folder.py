from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unnoise.data.settings import Settings
from unnoise.errors import DamagedSource
from unnoise.io.tree import Broken
from unnoise.sources import open_source
from unnoise.sources.paths import Opening, path_origin


def opened(folder: Path, **options):
    return open_source(folder, progress=False, **options)


def lines(folder: Path, *rows: object) -> None:
    text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
    (folder / "metadata.jsonl").write_text(text, "utf-8")


def test_broken_files_are_named_and_nothing_else_is_lost(tmp_path: Path, draw) -> None:
    arrays = [draw(f"{i}.png", 16, 16, 3, seed=i) for i in range(4)]
    folder = tmp_path / "set"
    (folder / "1b.png").write_text("this is a text")
    (folder / "2b.png").write_bytes((folder / "2.png").read_bytes()[:400])
    (folder / "2c.jpg").write_bytes(b"")
    (folder / "README.txt").write_text("no image, and not meant to be one")
    images = opened(folder)
    np.testing.assert_array_equal(images.pixels, np.stack(arrays).transpose(0, 3, 1, 2))
    assert [item.name for item in images.broken] == ["1b.png", "2c.jpg", "2b.png"]
    assert images.broken[0] == Broken("1b.png", "not an image")
    assert "truncated" in images.broken[2].reason
    with pytest.raises(ValueError, match=r"3 unusable files: 1b.png \(not an image\)"):
        opened(folder, strict=True)


def test_a_damaged_file_has_no_say_in_the_shape(tmp_path: Path, draw) -> None:
    arrays = [draw(f"{i}.png", 10, 12, 3, seed=i) for i in range(3)]
    draw("large.png", 90, 90, 3)
    large = tmp_path / "set" / "large.png"
    large.write_bytes(large.read_bytes()[:5000])
    images = opened(tmp_path / "set")
    np.testing.assert_array_equal(images.pixels, np.stack(arrays).transpose(0, 3, 1, 2))
    assert images.sizes == {(12, 10): 3}


def test_folders_without_a_readable_image_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no images; looked for \.png, \.jpg"):
        opened(tmp_path)
    (tmp_path / "a.png").write_text("text")
    (tmp_path / "b.png").write_text("text")
    with pytest.raises(ValueError, match=r"no image that can be read: a.png \(not an image\), b.png"):
        opened(tmp_path)


def test_rectangles_are_kept_and_mixed_shapes_become_square(tmp_path: Path, draw) -> None:
    draw("a.png", 20, 30, 3)
    draw("b.png", 20, 30, 3)
    assert opened(tmp_path / "set").shape == (3, 20, 30)
    assert opened(tmp_path / "set", size=10).shape == (3, 10, 15)
    draw("c.png", 40, 60, 3)
    assert opened(tmp_path / "set").shape == (3, 20, 30)
    draw("d.png", 50, 20, 3)
    mixed = opened(tmp_path / "set")
    assert mixed.shape == (3, 20, 20)
    assert mixed.sizes == {(30, 20): 2, (60, 40): 1, (20, 50): 1}
    assert opened(tmp_path / "set", size=(8, 24)).shape == (3, 8, 24)


def test_grey_is_found_from_the_pixels(tmp_path: Path, draw) -> None:
    grey = draw("a.png", 8, 8)
    Image.fromarray(grey).convert("RGB").save(tmp_path / "set" / "b.png")
    images = opened(tmp_path / "set")
    assert images.shape == (1, 8, 8)
    np.testing.assert_array_equal(images.pixels[0], images.pixels[1])
    assert opened(tmp_path / "set", channels=3).shape == (3, 8, 8)
    draw("c.png", 8, 8, 3)
    assert opened(tmp_path / "set").shape == (3, 8, 8)


def test_transparency_is_kept_when_asked_for(tmp_path: Path, draw) -> None:
    array = draw("a.png", 8, 8, 4)
    np.testing.assert_array_equal(opened(tmp_path / "set", channels=4).pixels[0], array.transpose(2, 0, 1))
    alpha = array[..., 3:] / 255
    white = array[..., :3] * alpha + 255 * (1 - alpha)
    np.testing.assert_allclose(opened(tmp_path / "set").pixels[0].transpose(1, 2, 0), white, atol=1)


def test_metadata_gives_labels_and_captions(tmp_path: Path, draw) -> None:
    for i in range(3):
        draw(f"x/{i}.png", 8, 8, seed=i)
    rows = [{"file_name": f"x/{i}.png", "label": "ba"[i % 2], "text": f"number {i}"} for i in range(3)]
    lines(tmp_path / "set", *rows)
    images = opened(tmp_path / "set")
    assert images.classes == ("a", "b")
    assert images.labels.tolist() == [1, 0, 1]
    assert images.captions == ["number 0", "number 1", "number 2"]
    assert images.batch([2]).cond["caption"] == ["number 2"]


def test_bad_metadata_lines_are_named(tmp_path: Path, draw) -> None:
    for name in ("a", "b", "c"):
        draw(f"{name}.png", 8, 8)
    good = {"file_name": "a.png", "caption": "an a"}
    lines(
        tmp_path / "set",
        good,
        "{not json",
        {"file_name": "../../secret.png"},
        {"label": 1},
        {"file_name": "b.png", "label": 1.5},
        {"file_name": "c.png", "text": 3},
    )
    images = opened(tmp_path / "set")
    assert len(images) == 3
    assert images.captions == ["an a", "", ""]
    assert [item.name for item in images.broken] == [f"metadata.jsonl:{line}" for line in range(2, 7)]
    reasons = [item.reason for item in images.broken]
    assert reasons[0] == "not JSON"
    assert "secret" in reasons[1]
    assert reasons[2] == "no file_name"
    with pytest.raises(ValueError, match=r"metadata\.jsonl:2"):
        opened(tmp_path / "set", strict=True)


def test_images_without_a_label_are_named(tmp_path: Path, draw) -> None:
    draw("a.png", 8, 8)
    draw("b.png", 8, 8)
    lines(tmp_path / "set", {"file_name": "a.png", "label": 3})
    images = opened(tmp_path / "set")
    assert (len(images), images.labels.tolist(), images.classes) == (1, [3], ("0", "1", "2", "3"))
    assert images.broken == (Broken("b.png", "no label"),)


def test_classes_are_numbered_over_both_splits(tmp_path: Path, draw) -> None:
    for name in ("train/a/1.png", "train/c/1.png", "val/b/1.png", "val/c/1.png"):
        draw(name, 8, 8)
    train, test = (opened(tmp_path / "set", split=split) for split in ("train", "test"))
    assert train.classes == test.classes == ("a", "b", "c")
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 2], [1, 2])


def test_train_can_be_a_class(tmp_path: Path, draw) -> None:
    for name in ("train", "car", "plane"):
        draw(f"{name}/1.png", 8, 8)
    assert opened(tmp_path / "set").classes == ("car", "plane", "train")


@pytest.mark.parametrize("extra", ["plane/1.png", "val/1.png", "cover.png"])
def test_what_stands_beside_a_split_is_left_out_and_named(tmp_path: Path, draw, extra: str) -> None:
    for name in ("train/a/1.png", "train/a/2.png", "test/a/1.png", extra):
        draw(name, 8, 8)
    train, test = (opened(tmp_path / "set", split=split) for split in ("train", "test"))
    assert (train.names, test.names) == (("train/a/1.png", "train/a/2.png"), ("test/a/1.png",))
    assert train.classes == ("a",)
    assert extra.partition("/")[0] in train.notes[0]


@pytest.mark.parametrize("content", [b"text", b""])
def test_a_damaged_test_split_is_no_missing_split(tmp_path: Path, draw, content: bytes) -> None:
    draw("train/1.png", 8, 8)
    (tmp_path / "set" / "test").mkdir()
    for name in ("1.png", "1.xyz"):
        (tmp_path / "set" / "test" / name).write_bytes(content)
        with pytest.raises(DamagedSource):
            opened(tmp_path / "set", split="test")
        (tmp_path / "set" / "test" / name).unlink()


def test_images_beside_class_folders_are_noted(tmp_path: Path, draw, capsys: pytest.CaptureFixture[str]) -> None:
    draw("cover.png", 8, 8)
    draw("cat/1.png", 8, 8)
    images = open_source(tmp_path / "set")
    assert (len(images), images.labels) == (2, None)
    assert "cover.png" in images.notes[0]
    assert "cover.png" in capsys.readouterr().err


def test_masks_are_maps_and_no_images(tmp_path: Path, draw) -> None:
    for name in ("a", "b"):
        draw(f"{name}.png", 8, 12, 3)
        Image.fromarray(np.full((8, 12), ord(name), np.uint8)).save(tmp_path / "set" / f"{name}.mask.png")
    draw("c.png", 8, 12, 3)
    draw("lone.mask.png", 8, 12)
    images = opened(tmp_path / "set")
    assert images.pixels.shape == (2, 3, 8, 12)
    np.testing.assert_array_equal(images.maps, np.broadcast_to([[[97]], [[98]]], (2, 8, 12)))
    assert images.batch([1]).cond["map"].unique().tolist() == [98]
    assert {item.name for item in images.broken} == {"c.png", "lone.mask.png"}


def test_hidden_files_are_not_images(tmp_path: Path, draw) -> None:
    draw("a.png", 8, 8)
    (tmp_path / "set" / "._a.png").write_bytes(b"junk")
    (tmp_path / "set" / "__MACOSX").mkdir()
    (tmp_path / "set" / "__MACOSX" / "a.png").write_bytes(b"junk")
    images = opened(tmp_path / "set")
    assert (len(images), images.broken) == (1, ())


def test_a_link_back_to_the_folder_ends(tmp_path: Path, draw) -> None:
    draw("cat/a.png", 8, 8)
    (tmp_path / "set" / "cat" / "again").symlink_to(tmp_path / "set")
    assert len(opened(tmp_path / "set")) == 1


def test_limit_draws_over_all_classes(tmp_path: Path, draw) -> None:
    for i in range(40):
        draw(f"{'ab'[i // 20]}/{i}.png", 4, 4, seed=i)
    images = opened(tmp_path / "set", limit=10)
    assert len(images) == 10
    assert set(images.labels.tolist()) == {0, 1}


def test_the_key_of_a_folder_is_of_the_names_sizes_and_times_of_its_files(tmp_path: Path) -> None:
    """The key in the cache: what is hashed is written out here once more."""
    folder = tmp_path / "set"
    for name in ("b.png", "a.png", "cat/1.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    opening = Opening(Settings(), tmp_path / "cache", False)
    origin = path_origin(folder, opening)
    where, what = hashlib.sha256(), hashlib.sha256()
    for name in ("a.png", "b.png", "cat/1.png"):
        status = (folder / name).stat()
        what.update(f"{name}\0{status.st_size}\0".encode())
        where.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}\0".encode())
    assert origin.key == [str(folder), where.hexdigest()]
    assert origin.content == what.hexdigest()
    assert origin.count is not None
    assert origin.count() == 3
    stamps = (folder / "a.png").stat()
    (folder / "a.png").write_bytes(b"other")
    os.utime(folder / "a.png", ns=(stamps.st_atime_ns, stamps.st_mtime_ns))
    changed = path_origin(folder, opening)
    assert changed.key != origin.key
    assert changed.content == origin.content, "names and sizes are the same"
