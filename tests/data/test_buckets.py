"""Buckets of aspect ratios: their shapes, who goes where, in what turns they are drawn, and what is packed."""

from __future__ import annotations

from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unnoise.data.bucket_loader import BLOCK, BucketLoader, Turns
from unnoise.data.buckets import Bucketed, first_rows
from unnoise.data.cache_entries import cache_entries
from unnoise.data.images import Images
from unnoise.data.near_duplicates import grouped, small_size
from unnoise.data.pack_buckets import rows_by_bucket
from unnoise.errors import UserError
from unnoise.io.geometry import bucket_shapes, crop_box, cropped_away, nearest_bucket
from unnoise.sources.buckets import mean_cropped, open_buckets

SIZES = [(40, 20), (20, 40), (30, 30), (33, 30), (36, 28), (60, 20)]
"""(width, height)."""


def written(folder: Path, sizes: list[tuple[int, int]], colour: bool = True) -> Path:
    folder.mkdir(parents=True)
    for number, (width, height) in enumerate(sizes):
        pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
        picture = Image.fromarray(pixels)
        (picture if colour else picture.convert("L")).save(folder / f"{number:03}.png")
    return folder


def made(*shapes: tuple[int, int, int]) -> Bucketed:
    """(count, height, width) of each bucket; the first pixel of an image is its number in the set."""
    parts, first = [], 0
    for count, height, width in shapes:
        pixels = np.random.default_rng(first).integers(0, 256, (count, 1, height, width), dtype=np.uint8)
        pixels[:, 0, 0, 0] = np.arange(first, first + count)
        parts.append(Images(pixels, {"labels": np.arange(count) % 2}, ("a", "b")))
        first += count
    return Bucketed(tuple(parts), "made")


@pytest.mark.parametrize(("side", "multiple"), [(32, 4), (64, 8), (64, 16), (96, 8), (256, 8), (512, 64), (1024, 64)])
def test_buckets_have_equal_areas_and_sides_that_divide(side: int, multiple: int) -> None:
    shapes = bucket_shapes(side, multiple)
    assert (side, side) in shapes
    assert len(set(shapes)) == len(shapes) > 2
    for height, width in shapes:
        assert height % multiple == width % multiple == 0
        assert abs(height * width / side**2 - 1) <= 1 / 8
        assert max(height, width) <= 2 * min(height, width)
        assert (width, height) in shapes
    aspects = [Fraction(width, height) for height, width in shapes]
    assert aspects == sorted(set(aspects))


def test_a_side_that_is_no_multiple_or_too_small_is_refused() -> None:
    with pytest.raises(UserError, match=r"multiples of 8 here, so data\.size has to be one: 24 or 32, not 28"):
        bucket_shapes(28, 8)
    with pytest.raises(UserError, match="no bucket but 8x8"):
        bucket_shapes(8, 8)


def test_a_picture_goes_to_the_bucket_of_the_nearest_log_aspect_ratio() -> None:
    """Between neighbours the border is the geometric mean of their aspect ratios, compared here in whole numbers."""
    shapes = bucket_shapes(64, 8)
    aspects = [Fraction(width, height) for height, width in shapes]
    draws = np.random.default_rng(0)
    for width, height in draws.integers(1, 2000, (500, 2)).tolist():
        squared = Fraction(width, height) ** 2
        expected = sum(squared > low * high for low, high in pairwise(aspects))
        assert nearest_bucket(shapes, width, height) == expected
    rows = rows_by_bucket([*SIZES, "damaged"], shapes)
    assert sorted(chain.from_iterable(rows)) == list(range(len(SIZES)))


def test_what_is_cropped_away_is_what_the_crop_leaves() -> None:
    for width, height in SIZES:
        for shape in bucket_shapes(320, 8):
            left, top, right, bottom = crop_box(width, height, shape[1], shape[0])
            kept = (right - left) * (bottom - top) / (width * height)
            assert cropped_away(shape, width, height) == pytest.approx(1 - kept)


@pytest.mark.parametrize("counts", [[1], [5, 3, 1, 1], [1, 999], [97, 1, 1, 1], [10] * 7])
def test_buckets_come_in_proportion_to_their_images_at_every_step(counts: list[int]) -> None:
    steps = 3000
    turns = Turns(counts, seed=1)
    found = [turns.at(step) for step in range(steps)]
    order = np.array([bucket for bucket, _ in found])
    for bucket, count in enumerate(counts):
        came = np.cumsum(order == bucket)
        expected = np.arange(1, steps + 1) * count / sum(counts)
        assert np.abs(came - expected).max() < 4
        assert [before for one, before in found if one == bucket] == list(range(came[-1]))


def test_turns_are_a_function_of_seed_and_step_across_blocks() -> None:
    far = BLOCK + 1000
    counted = Turns([2, 3, 5], 0)
    before = np.bincount([counted.at(step)[0] for step in range(far - 50, far)], minlength=3)
    bucket, count = Turns([2, 3, 5], 0).at(far)
    early = next(n for b, n in (counted.at(step) for step in range(far - 50, far)) if b == bucket)
    assert count == early + before[bucket]
    assert abs(count - far * [0.2, 0.3, 0.5][bucket]) < 4
    assert [Turns([2, 3], 1).at(k) for k in range(20)] != [Turns([2, 3], 2).at(k) for k in range(20)]


def test_every_batch_is_of_one_bucket_and_a_function_of_seed_and_step() -> None:
    images = made((12, 4, 8), (30, 6, 6), (6, 8, 4))
    rows = np.setdiff1d(np.arange(48), [3, 20, 47])
    loader = BucketLoader(images, 6, seed=5, flip=True, rows=rows, augment=0.5)
    batches = [loader.batch(step) for step in range(60)]
    assert {tuple(batch.image.shape[1:]) for batch in batches} == {(1, 4, 8), (1, 6, 6), (1, 8, 4)}
    again = BucketLoader(images, 6, seed=5, flip=True, rows=rows, augment=0.5)
    for step in reversed(range(60)):
        assert torch.equal(again.batch(step).image, batches[step].image)
        part = again.batch(step, slice(2, 4))
        assert torch.equal(part.image, batches[step].image[2:4])


def test_all_images_come_equally_often_and_held_out_ones_never() -> None:
    images = made((12, 4, 8), (30, 6, 6), (6, 8, 4))
    rows = np.setdiff1d(np.arange(48), [3, 20, 47])
    loader = BucketLoader(images, 3, seed=0, rows=rows)
    seen = np.zeros(48, int)
    for step in range(len(rows)):  # three epochs
        numbers = ((loader.batch(step).image[:, 0, 0, 0] + 1) * 127.5).round().long()
        np.add.at(seen, numbers.numpy(), 1)
    assert not seen[[3, 20, 47]].any()
    assert seen[rows].min() >= 2
    assert seen[rows].max() <= 4


def test_rows_subsets_and_fields_keep_together() -> None:
    images = made((4, 4, 8), (6, 6, 6))
    assert (len(images), images.shape, images.classes) == (10, (1, 6, 6), ("a", "b"))
    assert images.labels is not None
    assert images.labels.tolist() == [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]
    chosen = images.subset([1, 3, 4, 9])
    assert chosen.counts == [2, 2]
    numbers = [int(part.pixels[row, 0, 0, 0]) for part in chosen.buckets for row in range(len(part))]
    assert numbers == [1, 3, 4, 9]
    assert images.subset([5, 6]).counts == [2]
    assert images.batch([5, 6]).image.shape == (2, 1, 6, 6)
    assert len(set(first_rows(images, 7).tolist())) == 7
    assert images.fingerprint != images.subset(range(9)).fingerprint


def test_near_duplicates_are_found_within_and_across_buckets() -> None:
    """Enlarged by whole factors, one picture looks alike in two shapes once both are squares."""
    picture = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    wide, tall = np.repeat(picture, 2, axis=1), np.repeat(picture, 2, axis=0)
    draws = np.random.default_rng(1)
    others = [draws.integers(0, 256, (5, 8, 8), dtype=np.uint8).repeat(2, axis=axis) for axis in (1, 2)]
    images = Bucketed(
        (Images(np.stack([tall, *others[0]])[:, None]), Images(np.stack([*others[1], wide])[:, None])), "made"
    )
    assert small_size(images) == (8, 8)
    number = grouped(images).number
    assert number[0] == number[11]
    assert len(set(number.tolist())) == 11


def test_packed_buckets_hold_the_crops_and_are_packed_once(tmp_path: Path, in_own_cache: Path) -> None:
    folder = written(tmp_path / "photos", SIZES)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    images = open_buckets(folder, 32, 8, progress=False)
    shapes = bucket_shapes(32, 8)
    assert {part.shape[1:] for part in images.buckets} <= set(shapes)
    assert [item.name for item in images.broken] == ["broken.png"]
    assert sorted(images.names) == [f"{number:03}.png" for number in range(len(SIZES))]
    for part in images.buckets:
        for name, pixels in zip(part.names, part.pixels, strict=True):
            picture = Image.open(folder / name)
            assert part.shape[1:] == shapes[nearest_bucket(shapes, *picture.size)]
            height, width = part.shape[1:]
            box = crop_box(*picture.size, width, height)
            expected = picture.resize((width, height), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)
            assert np.array_equal(pixels.transpose(1, 2, 0), np.asarray(expected))
    lost = [cropped_away(shapes[nearest_bucket(shapes, *size)], *size) for size in SIZES]
    assert mean_cropped(images) == pytest.approx(np.mean(lost))
    (entry,) = cache_entries(in_own_cache)
    assert "6 images in" in entry.source
    packed = [path.stat().st_mtime_ns for path in sorted(entry.path.rglob("pixels.npy"))]
    again = open_buckets(folder, 32, 8, progress=False)
    assert [path.stat().st_mtime_ns for path in sorted(entry.path.rglob("pixels.npy"))] == packed
    assert again.fingerprint == images.fingerprint
    next(entry.path.rglob("pixels.npy")).write_bytes(b"damage")
    assert open_buckets(folder, 32, 8, progress=False).fingerprint == images.fingerprint


def test_grey_and_coloured_buckets_get_the_same_channels(tmp_path: Path) -> None:
    folder = written(tmp_path / "mixed", SIZES[:2])
    written(tmp_path / "mixed" / "grey", SIZES[2:4], colour=False)
    images = open_buckets(folder, 32, 8, progress=False)
    assert {part.shape[0] for part in images.buckets} == {3}
    assert {part.shape[0] for part in open_buckets(folder / "grey", 32, 8, progress=False).buckets} == {1}


def test_arrays_have_one_shape_and_nothing_to_bucket(tmp_path: Path) -> None:
    pixels = np.zeros((4, 8, 8), np.uint8)
    np.save(tmp_path / "array.npy", pixels)
    for source in (pixels, Images(pixels[:, None]), tmp_path / "array.npy"):
        with pytest.raises(UserError, match="images of one shape and not files of pictures"):
            open_buckets(source, 32, 8, progress=False)
