"""Streamed sets against packed ones: the same images, batches and weights."""

from __future__ import annotations

import io
import tarfile
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import unnoise
from unnoise.data import Loader, pool, room
from unnoise.errors import DamagedSource, UserError
from unnoise.sources import open_source

COUNT = 20
Usage = namedtuple("Usage", "total used free")
SMALL = {
    "model.network.channels": 8,
    "model.network.blocks": 1,
    "model.schedule.T": 20,
    "sampler.steps": 2,
    "train.batch_size": 6,
    "train.samples": 2,
}


def png(seed: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(COUNT):
        file = tmp_path / "set" / "ab"[i % 2] / f"{i:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(i))
    return tmp_path / "set"


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    (tmp_path / "tars").mkdir()
    for shard in range(4):
        with tarfile.open(tmp_path / "tars" / f"{shard}.tar", "w") as archive:
            for i in range(5 * shard, 5 * shard + 5):
                for name, data in ((f"{i:02d}.png", png(i)), (f"{i:02d}.cls", b"%d" % (i % 2))):
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
    return tmp_path / "tars"


@pytest.fixture
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "cores", lambda: 1)


@pytest.mark.parametrize("cores", [1, 2])
def test_a_folder_gives_the_same_batches(folder: Path, cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "cores", lambda: cores)
    packed, streamed = (Loader(open_source(folder, progress=False, stream=s), 6, 1, flip=True) for s in (False, True))
    for step in (0, 1, 2, 7, 3):
        one, other = packed.batch(step), streamed.batch(step)
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.cond["label"], other.cond["label"])
        part = streamed.batch(step, slice(2, 4))
        assert torch.equal(part.image, one.image[2:4])


def test_size_and_colours_are_found(folder: Path, one_core: None) -> None:
    images = open_source(folder, progress=False, stream=True)
    assert images.shape == (1, 8, 8)
    assert any("size and colours" in note for note in images.notes)
    fixed = open_source(folder, progress=False, stream=True, size=(4, 6), channels=3)
    assert fixed.shape == (3, 4, 6)
    assert not any("size and colours" in note for note in fixed.notes)
    assert len(open_source(folder, progress=False, stream=True, limit=7)) == 7


def test_blocks_and_subsets_are_decoded_and_the_whole_is_not(folder: Path, one_core: None) -> None:
    packed, streamed = (open_source(folder, progress=False, stream=stream) for stream in (False, True))
    np.testing.assert_array_equal(streamed.pixels[3:9], packed.pixels[3:9])
    some = streamed.subset([7, 2])
    assert some.streams
    np.testing.assert_array_equal(some.pixels[:], packed.pixels[[7, 2]])
    with pytest.raises(UserError, match="never whole in memory"):
        np.asarray(streamed.pixels)


def test_the_fingerprint_is_of_what_files_are_and_not_of_where(folder: Path, tmp_path: Path, one_core: None) -> None:
    first = open_source(folder, progress=False, stream=True)
    folder.rename(tmp_path / "moved")
    moved = open_source(tmp_path / "moved", progress=False, stream=True)
    assert moved.fingerprint == first.fingerprint
    assert open_source(tmp_path / "moved", progress=False, stream=True, size=4).fingerprint != first.fingerprint
    (tmp_path / "moved" / "a" / "00.png").write_bytes(png(99) + b"longer")
    assert open_source(tmp_path / "moved", progress=False, stream=True).fingerprint != first.fingerprint


def test_the_next_picture_stands_in_for_a_damaged_one(
    folder: Path, one_core: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """With all that belongs to it: 08.png is of class a, the one after the last a is b's first."""
    file = folder / "a" / "18.png"
    file.write_bytes(file.read_bytes()[:60])
    images = open_source(folder, progress=False, stream=True, channels=1, size=(8, 8))
    batch = images.batch([9, 9, 3])
    assert batch.cond["label"].tolist() == [1, 1, 0]
    assert torch.equal(batch.image[0], images.batch([10]).image[0])
    assert torch.equal(batch.image[0], batch.image[1])
    assert "a/18.png cannot be read" in capsys.readouterr().err
    images.batch([9])
    assert capsys.readouterr().err == "", "it is told once"


def test_a_set_of_damaged_pictures_is_refused(tmp_path: Path, one_core: None) -> None:
    (tmp_path / "set").mkdir()
    for i in range(3):
        (tmp_path / "set" / f"{i}.png").write_bytes(png(i)[:60])
    images = open_source(tmp_path / "set", progress=False, stream=True, channels=1, size=(8, 8))
    with pytest.raises(DamagedSource, match="cannot be read"):
        images.batch([1])


def test_arrays_are_not_streamed() -> None:
    with pytest.raises(UserError, match=r"leave data\.stream out"):
        open_source("digits", progress=False, stream=True)


def test_a_compressed_tar_is_not_streamed(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("a.png")
        info.size = len(png(0))
        archive.addfile(info, io.BytesIO(png(0)))
    with pytest.raises(UserError, match="compressed and so cannot be streamed"):
        open_source(tmp_path / "a.tar.gz", progress=False, stream=True)
    assert len(open_source(tmp_path / "a.tar.gz", progress=False)) == 1


def test_what_would_fill_the_disk_is_streamed_where_nobody_decides(
    folder: Path, shards: Path, one_core: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for source in (folder, shards):
        assert not open_source(source, progress=False, stream=None, size=(8, 8), channels=1).streams
        monkeypatch.setattr(room.shutil, "disk_usage", lambda path: Usage(0, 0, COUNT * 16))
        assert not open_source(source, progress=False, stream=None, size=(8, 8), channels=1).streams, "it is packed"
        assert open_source(source, progress=False, stream=None, size=(8, 8), channels=3).streams
        with pytest.raises(UserError, match=r"data\.stream=true"):
            open_source(source, progress=False, size=(8, 8), channels=3)
        monkeypatch.undo()
        monkeypatch.setattr(pool, "cores", lambda: 1)


@pytest.mark.slow
def test_a_resumed_training_has_the_same_bits_and_each_epoch_every_image(
    shards: Path, one_core: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def weights(name: str, *limits: int) -> dict[str, torch.Tensor]:
        for steps in limits:
            # A full disk decides at first, and the run keeps to that when the disk has room again.
            free = 0 if steps == limits[0] else 1 << 40
            monkeypatch.setattr(room.shutil, "disk_usage", lambda path, free=free: Usage(0, 0, free))
            options = {**SMALL, "data.size": [8, 8]}
            run = unnoise.train(shards, "ddpm-digits", tmp_path / name, steps=steps, device="cpu", overrides=options)
        return dict(run.load("cpu").state_dict())

    whole, halves = weights("whole", 4), weights("halves", 2, 4)
    for name in ("whole", "halves"):
        assert "stream = true" in (tmp_path / name / "config.toml").read_text()
    assert all(torch.equal(whole[name], halves[name]) for name in whole)
    loader = Loader(open_source(shards, progress=False, stream=True), 5, seed=0)
    assert sorted(np.concatenate([loader.indices(step) for step in range(4)])) == list(range(COUNT))
