"""What images carry, in every way a source brings it, through one table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from unnoise.data import Images
from unnoise.data.fields import FIELDS
from unnoise.io.tree import Broken
from unnoise.sources import open_source

VECTORS = np.arange(9, dtype=np.float32).reshape(3, 3) / 4


def opened(source: Path, **options) -> Images:
    return open_source(source, progress=False, **options)


@pytest.fixture
def folder(tmp_path: Path, draw) -> Path:
    for i in range(3):
        draw(f"{i}.png", 8, 8, seed=i)
    return tmp_path / "set"


def in_metadata(folder: Path) -> None:
    rows = [{"file_name": f"{i}.png", "vector": VECTORS[i].tolist()} for i in range(3)]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))


def in_csv(folder: Path) -> None:
    rows = [f'{i}.png,"{VECTORS[i].tolist()}"' for i in range(3)]
    (folder / "metadata.csv").write_text("\n".join(["file_name,vector", *rows]))


def beside(folder: Path) -> None:
    for i in range(3):
        np.save(folder / f"{i}.npy", VECTORS[i])


def in_one_array(folder: Path) -> None:
    np.save(folder / "vectors.npy", VECTORS)


@pytest.mark.parametrize("write", [in_metadata, in_csv, beside, in_one_array])
def test_vectors_are_read_wherever_they_stand(folder: Path, write) -> None:
    write(folder)
    images = opened(folder)
    np.testing.assert_array_equal(images.fields["vectors"], VECTORS)
    again = opened(folder)  # from the cache
    np.testing.assert_array_equal(again.fields["vectors"], VECTORS)
    cond = again.subset([2, 0]).batch([0, 1]).cond
    assert cond["vector"].tolist() == VECTORS[[2, 0]].tolist()
    assert images.fingerprint == again.fingerprint


def test_vectors_of_an_array_file_and_of_what_is_packed_from_it(tmp_path: Path) -> None:
    from unnoise.sources.inspect import write_npz

    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", images=pixels, vectors=VECTORS, labels=np.array(["b", "a", "b"]))
    first = opened(tmp_path / "a.npz")
    second = opened(write_npz(first, tmp_path / "b.npz"))
    assert first.fingerprint == second.fingerprint
    assert second.classes == ("a", "b")
    np.testing.assert_array_equal(second.fields["vectors"], VECTORS)


def test_vectors_change_the_fingerprint(tmp_path: Path) -> None:
    pixels = np.zeros((3, 1, 8, 8), np.uint8)
    plain, one, two = Images(pixels), Images(pixels, {"vectors": VECTORS}), Images(pixels, {"vectors": VECTORS + 1})
    assert len({plain.fingerprint, one.fingerprint, two.fingerprint}) == 3


def test_an_image_without_a_vector_is_named(folder: Path) -> None:
    beside(folder)
    (folder / "1.npy").unlink()
    np.save(folder / "2.npy", np.array([1.0, np.nan]))
    images = opened(folder)
    assert images.names == ("0.png",)
    assert images.broken == (Broken("1.png", "no vector"), Broken("2.png", "its vector is no list of finite numbers"))


@pytest.mark.parametrize("rows", [2, 4])
def test_rows_that_do_not_match_the_images_are_refused(folder: Path, rows: int) -> None:
    np.save(folder / "vectors.npy", np.zeros((rows, 3)))
    with pytest.raises(ValueError, match=f"has {rows} rows for the 3 images"):
        opened(folder)


def test_vectors_of_two_lengths_are_refused(folder: Path) -> None:
    beside(folder)
    np.save(folder / "2.npy", np.zeros(5))
    with pytest.raises(ValueError, match="these have 3, 5"):
        opened(folder)


def test_captions_beside_images(folder: Path) -> None:
    (folder / "0.txt").write_text("\ufeffa grey\nsquare ", "utf-8")
    (folder / "README.txt").write_text("about the set")
    assert opened(folder).captions == ["a grey square", "", ""]


def test_metadata_csv(folder: Path) -> None:
    (folder / "metadata.csv").write_text('file_name,text,label\n0.png,"one, two",3\n1.png,b,1\n2.png,,3\nx.png,,0\n')
    images = opened(folder)
    assert images.captions == ["one, two", "b", ""]
    assert images.labels is not None
    assert images.labels.tolist() == [3, 1, 3]
    assert [item.name for item in images.broken] == ["metadata.csv:5"]


KNOWN = {
    "digits": "02dffefc7ea74bb539ac23f5f87486fdd4a103e5f6faf8bd68bb2f14fb234303",
    "arrays": "6e14103104ecba814507c63ce4af415932a39be11ff6fd7331056093457850c5",
}
"""Of the code before fields had a table: runs keep the fingerprint of their data."""


def arrays(folder: Path) -> Path:
    draws = np.random.default_rng(0)
    images, labels = draws.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8), draws.integers(0, 3, 20)
    captions, maps = np.array([f"t{i}" for i in range(20)]), draws.integers(0, 9, (20, 8, 8)).astype(np.uint8)
    np.savez(folder / "arrays.npz", images=images, labels=labels, captions=captions, maps=maps)
    return folder / "arrays.npz"


def test_fingerprints_stay_what_they_were(tmp_path: Path) -> None:
    assert open_source("digits", progress=False).fingerprint == KNOWN["digits"]
    assert opened(arrays(tmp_path)).fingerprint == KNOWN["arrays"]


def test_every_field_is_named_as_the_table_names_it() -> None:
    assert all(field.name == name for name, field in FIELDS.items())
    conditions = [field.condition for field in FIELDS.values()]
    assert len(set(conditions)) == len(conditions)


def test_groups_come_from_metadata_and_leave_the_fingerprint_as_it_was(folder: Path) -> None:
    before = opened(folder).fingerprint
    rows = [{"file_name": "0.png", "group": 7}, {"file_name": "2.png", "group": "seven"}]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    images = opened(folder)
    assert images.fields["groups"] == ["7", "", "seven"]
    assert images.fingerprint == before
    (folder / "metadata.jsonl").write_text('{"file_name": "0.png", "group": [7]}')
    assert any("its group is neither text" in broken.reason for broken in opened(folder).broken)
