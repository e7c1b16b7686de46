"""Copies of a small training set among samples, and how often real images look like copies."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from unnoise.data import Images
from unnoise.data.near_duplicates import grouped
from unnoise.metrics.copies import likeness
from unnoise.training.copy_watch import CopyWatch


def smooth(count: int, seed: int, side: int = 32) -> np.ndarray:
    """(count, 3, side, side) pictures of coloured blobs."""
    coarse = torch.randn(count, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    fine = F.interpolate(coarse, (side, side), mode="bicubic")
    return (127.5 + 50 * fine).clamp(0, 255).numpy().astype(np.uint8)


TRAINING = smooth(60, 0)


def as_samples(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels).float() / 127.5 - 1


def noisy(pixels: np.ndarray) -> np.ndarray:
    change = np.random.default_rng(0).normal(0, 8, pixels.shape)
    return np.clip(pixels + change, 0, 255).astype(np.uint8)


def moved(pixels: np.ndarray) -> np.ndarray:
    return np.roll(pixels, 1, axis=-1)


@pytest.mark.parametrize("change", [noisy, moved])
def test_planted_copies_are_told_from_new_images(change) -> None:
    watch = CopyWatch(Images(TRAINING), mirrored=False)
    samples = np.concatenate([change(TRAINING[10:25]), smooth(30, 1)])
    found = watch.look(as_samples(samples))
    assert found.copies().tolist() == [True] * 15 + [False] * 30
    assert found.index[:15].tolist() == list(range(10, 25))
    assert found.ratio[:15].max() < found.ratio[15:].min()


def test_mirror_images_are_copies_where_training_mirrors() -> None:
    samples = as_samples(TRAINING[:10, :, :, ::-1].copy())
    assert not CopyWatch(Images(TRAINING), mirrored=False).look(samples).copies().any()
    assert CopyWatch(Images(TRAINING), mirrored=True).look(samples).copies().all()


def test_a_copy_of_an_image_with_near_duplicates_is_a_copy() -> None:
    """The nearest and the second nearest are one image, with a little noise: by themselves as near to the sample."""
    twice = Images(np.concatenate([TRAINING, noisy(TRAINING[:5])]))
    found = CopyWatch(twice, mirrored=False).look(as_samples(TRAINING[:5]) + 0.01)
    assert found.copies().all()
    flat = as_samples(twice.pixels.copy()).flatten(1)
    assert not likeness([as_samples(moved(TRAINING[:5])).flatten(1)], flat).copies().any()


def test_a_new_variant_of_a_family_is_no_copy_and_one_of_its_members_is() -> None:
    """Ten pictures in six shades each, near-duplicates by the distance that holds families out together, and a seventh
    shade of all. Copies of whole families were reported where every sample was new."""

    def shades(levels: range) -> np.ndarray:
        change = np.zeros((len(levels), 3, 32, 32), np.float32)
        change[:, 0, 4:28, 4:28] = np.array([level / 38 for level in levels])[:, None, None]
        part = 0.6 * TRAINING[:10, None].astype(np.float32) / 255
        return (255 * np.clip(part + change, 0, 1)).reshape(-1, 3, 32, 32).astype(np.uint8)

    family = Images(np.concatenate([shades(range(0, 18, 3)), TRAINING[20:]]))
    assert grouped(family).number[:60].tolist() == np.repeat(np.arange(10), 6).tolist()
    watch = CopyWatch(family, mirrored=False)
    assert not watch.look(as_samples(shades(range(7, 8)))).copies().any()
    assert watch.look(as_samples(shades(range(6, 7))) + 0.01).copies().all()


def test_a_new_variant_is_no_copy_however_near_the_variants_are_to_each_other() -> None:
    """Shades that are one motif by the distance of what is compared: emoji in new skin tones were 16 % copies, all of
    them of such motifs. A member of the motif is a copy, and both are nearer to it than to anything else."""

    def shades(levels: list[float]) -> np.ndarray:
        pictures = np.repeat(TRAINING[:10, None].astype(np.float32), len(levels), axis=1)
        pictures[:, :, 0, 12:20, 12:20] = np.array(levels)[None, :, None, None]
        return pictures.reshape(-1, 3, 32, 32).astype(np.uint8)

    watch = CopyWatch(Images(np.concatenate([shades([80, 120, 160]), TRAINING[20:]])), mirrored=False)
    assert watch._variants[:30].tolist() == np.repeat(np.arange(10), 3).tolist()
    assert watch._same[:30].tolist() == list(range(30))
    new, known = (watch.look(as_samples(shades([level]))) for level in (100, 120))
    assert not new.copies().any()
    assert known.copies().all()
    assert max(new.ratio.max(), known.ratio.max()) < 1 / 3


def test_the_base_rate_is_what_the_criterion_finds_among_real_images() -> None:
    """A quarter of the held-out images are training images again; those of the training are none of each other."""
    held_out = Images(np.concatenate([noisy(TRAINING[:10]), smooth(30, 2)]))
    assert CopyWatch(Images(TRAINING), False, held_out).real == (10, 100)
    assert CopyWatch(Images(TRAINING), False).real == (0, 60)


def test_an_image_is_no_copy_of_itself_or_its_group_among_real_images() -> None:
    twice = Images(np.concatenate([TRAINING[:20], noisy(TRAINING[:20])]))
    assert CopyWatch(twice, mirrored=False).real == (0, 40)


def test_a_single_image_tells_nothing() -> None:
    same = np.repeat(TRAINING[:1], 5, axis=0)
    assert not CopyWatch(Images(same), mirrored=False).can_tell
    assert CopyWatch(Images(TRAINING[:3]), mirrored=False).can_tell


def test_small_pictures_are_compared_as_they_are() -> None:
    """Of 8x8 pixels a move by one is another image."""
    training = np.random.default_rng(0).integers(0, 256, (30, 1, 8, 8), dtype=np.uint8)
    watch = CopyWatch(Images(training), mirrored=False)
    assert watch.look(as_samples(noisy(training[:6]))).copies().all()
    assert not watch.look(as_samples(moved(training[:6]))).copies().any()
