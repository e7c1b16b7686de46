from __future__ import annotations

import numpy as np
import pytest
import torch

from unnoise.data import Images, Loader
from unnoise.data.batch import Gather, from_uint8


def numbered(count: int, size: tuple[int, int] = (4, 6)) -> Images:
    """Image i carries its number in its first pixel and rises from left to right elsewhere."""
    pixels = np.zeros((count, 1, *size), np.uint8)
    pixels[..., :] = np.arange(size[1])
    pixels[:, 0, 0, 0] = np.arange(count)
    maps = np.broadcast_to(np.arange(size[1], dtype=np.uint8), (count, *size)).copy()
    captions = [f"image {i}" for i in range(count)]
    return Images(
        pixels, {"labels": np.arange(count), "captions": captions, "maps": maps}, tuple(map(str, range(count)))
    )


@pytest.mark.parametrize(("count", "batch_size"), [(10, 4), (10, 5), (10, 10), (3, 8), (1, 5), (100, 7)])
def test_every_index_comes_once_per_epoch(count: int, batch_size: int) -> None:
    loader = Loader(numbered(count), batch_size, seed=3)
    stream = np.concatenate([loader.indices(step) for step in range(2 * count)])
    epochs = stream[: len(stream) // count * count].reshape(-1, count)
    assert (np.sort(epochs, axis=1) == np.arange(count)).all()
    if count > 9:
        assert len({tuple(epoch) for epoch in epochs}) == len(epochs)


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    images = numbered(23)
    ahead, back = Loader(images, 6, seed=1, flip=True), Loader(images, 6, seed=1, flip=True)
    batches = [ahead.batch(step) for step in range(12)]
    for step in reversed(range(12)):
        again = back.batch(step)
        assert torch.equal(again.image, batches[step].image)
        assert torch.equal(again.cond["map"], batches[step].cond["map"])
        assert again.cond["caption"] == batches[step].cond["caption"]
    other = Loader(images, 6, seed=2)
    assert any((other.indices(step) != ahead.indices(step)).any() for step in range(3))


def test_what_belongs_to_an_image_comes_with_it() -> None:
    images = numbered(20)
    batch = Loader(images, 8, seed=0).batch(1)
    numbers = ((batch.image[:, 0, 0, 0] + 1) * 127.5).round().long()
    assert torch.equal(batch.cond["label"], numbers)
    assert batch.cond["caption"] == [f"image {i}" for i in numbers.tolist()]
    assert batch.cond["map"].dtype == torch.int64
    assert len(batch) == 8


def test_flips_mirror_image_and_map_together_half_of_the_time() -> None:
    images = numbered(50)
    loader = Loader(images, 50, seed=0, flip=True)
    flips = 0
    for step in range(40):
        batch = loader.batch(step)
        rows = ((batch.image[:, 0, 1] + 1) * 127.5).round().long()
        assert torch.equal(rows, batch.cond["map"][:, 1])
        flipped = rows[:, 0] == 5
        assert torch.equal(rows[flipped], torch.arange(5, -1, -1).expand(int(flipped.sum()), 6))
        assert torch.equal(rows[~flipped], torch.arange(6).expand(int((~flipped).sum()), 6))
        flips += int(flipped.sum())
    assert abs(flips - 1000) < 5 * np.sqrt(2000) / 2


def test_without_flip_images_are_exact_and_the_set_is_untouched() -> None:
    images = numbered(12)
    before = images.pixels.copy()
    for flip in (False, True):
        loader = Loader(images, 5, seed=0, flip=flip)
        for step in range(10):
            batch = loader.batch(step)
            if not flip:
                assert torch.equal(batch.image, images.batch(loader.indices(step)).image)
    np.testing.assert_array_equal(images.pixels, before)


def test_a_resident_set_gives_the_same_batches() -> None:
    images = numbered(30)
    rows, flip = np.array([3, 3, 29, 0]), np.array([True, False, True, False])
    here, there = (Gather(images, "cpu", resident=resident).batch(rows, flip) for resident in (False, True))
    assert torch.equal(here.image, there.image)
    assert torch.equal(here.cond["map"], there.cond["map"])
    assert torch.equal(here.cond["label"], there.cond["label"])


def test_uint8_covers_the_range_exactly() -> None:
    values = from_uint8(torch.arange(256, dtype=torch.uint8))
    assert (values[0], values[255]) == (-1.0, 1.0)
    torch.testing.assert_close(values.double(), torch.linspace(-1, 1, 256, dtype=torch.float64), atol=1e-7, rtol=0)


def test_subsets() -> None:
    images = numbered(10)
    run, picked = images.subset(range(2, 6)), images.subset([7, 1])
    assert np.shares_memory(run.pixels, images.pixels)
    assert picked.labels.tolist() == [7, 1]
    assert picked.captions == ["image 7", "image 1"]
    assert picked.pixels[:, 0, 0, 0].tolist() == [7, 1]
    assert picked.shape == images.shape
    assert len({images.fingerprint, run.fingerprint, picked.fingerprint}) == 3
    assert images.subset([7, 1]).fingerprint == picked.fingerprint


def test_loaders_refuse_what_they_cannot_do() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Loader(numbered(3), 0, seed=0)
    with pytest.raises(ValueError, match="no images"):
        Loader(numbered(3).subset([]), 2, seed=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cuda_device_gives_the_same_batches() -> None:
    images = numbered(30)
    here, there = (Loader(images, 8, seed=0, device=device, flip=True).batch(2) for device in ("cpu", "cuda"))
    assert torch.equal(here.image, there.image.cpu())
