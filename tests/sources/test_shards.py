"""Tar shards against a folder of the same pictures, and what can be wrong with them."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unnoise.errors import NoSplit, UserError
from unnoise.io.budget import Budget
from unnoise.sources import open_source, shards
from unnoise.sources.shard_set import braced

COUNT, PER_SHARD = 30, 8


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (10, 12, 3), dtype=np.uint8)


def png(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def write_tar(path: Path, members: dict[str, bytes], mode: str = "w") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def sample(i: int) -> dict[str, bytes]:
    """Class i % 3, a caption, a vector."""
    stream = io.BytesIO()
    np.save(stream, np.array([i, -i], np.float32))
    return {
        f"part/{i:04d}.png": png(pixels(i)),
        f"part/{i:04d}.cls": str(i % 3).encode(),
        f"part/{i:04d}.txt": f"picture {i}".encode(),
        f"part/{i:04d}.npy": stream.getvalue(),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for shard in range(-(-COUNT // PER_SHARD)):
        members: dict[str, bytes] = {}
        for i in range(shard * PER_SHARD, min((shard + 1) * PER_SHARD, COUNT)):
            members |= sample(i)
        write_tar(tmp_path / "set" / f"shard-{shard:03d}.tar", members)
    return tmp_path / "set"


@pytest.mark.parametrize("stream", [False, True])
def test_everything_of_a_sample_comes_with_its_picture(folder: Path, stream: bool) -> None:
    images = open_source(folder, progress=False, stream=stream)
    assert (len(images), images.shape, images.streams) == (COUNT, (3, 10, 12), stream)
    rows = np.array([29, 0, 7, 8])
    batch = images.batch(rows)
    for place, row in enumerate(rows):
        seen = ((batch.image[place] + 1) * 127.5).round().byte().numpy().transpose(1, 2, 0)
        np.testing.assert_array_equal(seen, pixels(row))
        assert batch.cond["label"][place] == row % 3
        assert batch.cond["caption"][place] == f"picture {row}"
        assert batch.cond["vector"][place].tolist() == [row, -row]
    assert images.classes == ("0", "1", "2")
    assert images.names[9] == "shard-001.tar/part/0009.png"


@pytest.mark.parametrize(
    "pattern", ["shard-{000..003}.tar", "shard-*.tar", "shard-{000,001,002,003}.tar", "s*-00?.tar"]
)
def test_patterns_name_the_same_shards(folder: Path, pattern: str) -> None:
    whole = open_source(folder, progress=False)
    assert open_source(folder / pattern, progress=False).fingerprint == whole.fingerprint
    assert len(open_source(str(folder / "shard-{001..002}.tar"), progress=False)) == 2 * PER_SHARD


def test_patterns_are_written_out_as_a_shell_does_it() -> None:
    assert braced("a-{08..11}.tar") == ["a-08.tar", "a-09.tar", "a-10.tar", "a-11.tar"]
    assert braced("{a,b}/{1..2}.tar") == ["a/1.tar", "a/2.tar", "b/1.tar", "b/2.tar"]
    assert braced("plain.tar") == ["plain.tar"]
    for many in ("{0..99999999999}.tar", "{0..9999}{0..9999}.tar"):
        with pytest.raises(UserError, match="more than 1,000,000 shards"):
            braced(many)


def test_a_shard_that_a_pattern_names_has_to_be_there(folder: Path) -> None:
    with pytest.raises(UserError, match=r"no file is called .*shard-004\.tar"):
        open_source(folder / "shard-{000..004}.tar", progress=False)


def test_the_index_is_read_the_second_time_and_made_anew_for_another_file(
    folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_source(folder, progress=False, stream=True)
    read = []
    real = shards.read_shard
    monkeypatch.setattr(shards, "read_shard", lambda shard: read.append(shard.name) or real(shard))
    again = open_source(folder, progress=False, stream=True)
    assert read == []
    assert again.fingerprint == first.fingerprint
    write_tar(folder / "shard-001.tar", sample(77))
    assert len(open_source(folder, progress=False, stream=True)) == COUNT - PER_SHARD + 1
    assert read == ["shard-001.tar"]
    (damaged,) = [file for file in (own_cache / "shards").iterdir() if "0077" in file.read_text()]
    damaged.write_text(damaged.read_text().replace("0077", "0078"))
    assert "shard-001.tar/part/0077.png" in open_source(folder, progress=False, stream=True).names


def test_metadata_and_texts_as_classes(tmp_path: Path) -> None:
    members = {
        "a.jpg": png(pixels(0)),
        "a.json": json.dumps({"label": "tulip", "caption": "red", "url": "http://x"}).encode(),
        "b.jpg": png(pixels(1)),
        "b.json": json.dumps({"label": "daisy"}).encode(),
    }
    write_tar(tmp_path / "flowers.tar", members)
    images = open_source(tmp_path / "flowers.tar", progress=False)
    assert images.classes == ("daisy", "tulip")
    assert images.labels.tolist() == [1, 0]
    assert images.captions == ["red", ""]


def test_maps_come_along_and_are_not_streamed(tmp_path: Path) -> None:
    mask = np.arange(120, dtype=np.uint8).reshape(10, 12)
    write_tar(tmp_path / "a.tar", {"0.png": png(pixels(0)), "0.cls": b"0", "0.mask.png": png(mask)})
    np.testing.assert_array_equal(open_source(tmp_path / "a.tar", progress=False).maps[0], mask)
    with pytest.raises(UserError, match="maps, which are not streamed"):
        open_source(tmp_path / "a.tar", progress=False, stream=True)


def test_what_is_no_sample_is_named_and_the_rest_counts(tmp_path: Path) -> None:
    members = {
        **sample(0),
        "two.png": png(pixels(1)),
        "two.jpg": png(pixels(1)),
        "none.cls": b"1",
        "bad.png": png(pixels(2)),
        "bad.json": b"{",
        "nolabel.png": png(pixels(3)),
        "huge.png": png(pixels(4)),
        "huge.cls": bytes(shards.MAX_BESIDE + 1),
        **sample(5),
    }
    for name in ("0000.txt", "0000.npy", "0005.txt", "0005.npy"):
        del members[f"part/{name}"]
    write_tar(tmp_path / "set" / "a.tar", members)
    images = open_source(tmp_path / "set", progress=False)
    assert [name.split("/")[-1] for name in images.names] == ["0000.png", "0005.png"]
    assert {item.name: item.reason for item in images.broken} == {
        "a.tar/two.png": "the sample two has more than one picture",
        "a.tar/none.cls": "the sample none has no picture",
        "a.tar/bad.png": "its .json is not JSON",
        "a.tar/huge.png": f"huge.cls has {shards.MAX_BESIDE + 1} bytes, more than the limit of {shards.MAX_BESIDE}",
        "a.tar/nolabel.png": "no label",
    }


def test_splits_by_name_and_by_folder(tmp_path: Path) -> None:
    for root, names in (("flat", ("train-0.tar", "val-0.tar")), ("deep", ("train/0.tar", "test/0.tar"))):
        for number, name in enumerate(names):
            members = {**sample(3 * number), f"x{number}.png": png(pixels(50)), f"x{number}.cls": b"7"}
            write_tar(tmp_path / root / name, {k: v for k, v in members.items() if k.endswith((".png", ".cls"))})
        train, test = (open_source(tmp_path / root, split=split, progress=False) for split in ("train", "test"))
        assert [len(part) for part in (train, test)] == [2, 2]
        assert train.names[0] != test.names[0]
        assert train.labels.tolist() == test.labels.tolist() == [0, 7]
        assert train.classes == test.classes
    with pytest.raises(NoSplit):
        open_source(tmp_path / "flat" / "train-0.tar", split="test", progress=False)


def test_a_shard_that_ends_early_gives_what_it_has(folder: Path) -> None:
    file = folder / "shard-002.tar"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    images = open_source(folder, progress=False)
    assert COUNT - PER_SHARD < len(images) < COUNT
    (broken,) = images.broken
    assert broken.name == "shard-002.tar/shard-002.tar"
    assert "ends early" in broken.reason


def test_a_compressed_shard_says_what_to_do(folder: Path) -> None:
    write_tar(folder / "shard-004.tar", sample(0), "w:gz")
    (broken,) = open_source(folder, progress=False).broken
    assert "unpack it" in broken.reason


def test_hostile_members_do_nothing(tmp_path: Path) -> None:
    members = {f"../../{name}": data for name, data in sample(0).items()}
    write_tar(tmp_path / "set" / "a.tar", members)
    with tarfile.open(tmp_path / "set" / "a.tar", "a") as archive:
        for kind, name in ((tarfile.SYMTYPE, "x.png"), (tarfile.FIFOTYPE, "y.png")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    images = open_source(tmp_path / "set", progress=False)
    assert images.names == ("a.tar/part/0000.png",)


def test_the_budget_counts_for_shards(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unnoise.io.budget.MAX_MEMBERS", 4 * PER_SHARD - 1)
    assert Budget("x", 1).members == 0
    with pytest.raises(UserError, match="has more than 31 members"):
        open_source(folder, progress=False)


def test_tars_beside_pictures_are_no_shards(tmp_path: Path, draw) -> None:
    draw("a.png", 8, 8, 3)
    write_tar(tmp_path / "set" / "old.tar", sample(0))
    assert open_source(tmp_path / "set", progress=False).names == ("a.png",)
