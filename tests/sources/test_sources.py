"""One battery for every kind of source: a new kind joins by one line in SOURCES."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unnoise.data import Images
from unnoise.sources import open_source

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
COUNT, SIDE = 12, 32
LABELS = np.repeat(np.arange(3), 4)
COLOUR = np.random.default_rng(1).integers(0, 256, (COUNT, SIDE, SIDE, 3), dtype=np.uint8)
GREY = COLOUR[..., 0]


def png(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, format="PNG")
    return stream.getvalue()


def files(pixels: np.ndarray) -> dict[str, bytes]:
    return {f"class{label}/{i:02d}.png": png(pixels[i]) for i, label in enumerate(LABELS)}


def write_files(folder: Path, content: dict[str, bytes]) -> Path:
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def colour_folder(tmp: Path) -> Path:
    return write_files(tmp / "colour", files(COLOUR))


def grey_folder(tmp: Path) -> Path:
    return write_files(tmp / "grey", files(GREY))


def zip_file(tmp: Path) -> Path:
    with zipfile.ZipFile(tmp / "set.zip", "w") as archive:
        for name, data in files(COLOUR).items():
            archive.writestr("top/" + name, data)
    return tmp / "set.zip"


def tar_file(tmp: Path, name: str = "set.tar", content: dict[str, bytes] | None = None) -> Path:
    mode = "w:gz" if name.endswith("gz") else "w"
    with tarfile.open(tmp / name, mode) as archive:
        for member, data in (content or files(COLOUR)).items():
            info = tarfile.TarInfo("./top/" + member)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return tmp / name


def tar_gz_file(tmp: Path) -> Path:
    return tar_file(tmp, "set.tar.gz")


def npz_file(tmp: Path) -> Path:
    np.savez(tmp / "set.npz", images=COLOUR, labels=LABELS)
    return tmp / "set.npz"


def keras_npz_file(tmp: Path) -> Path:
    np.savez(tmp / "keras.npz", x_train=COLOUR, y_train=LABELS[:, None], x_test=COLOUR[:3], y_test=LABELS[:3])
    return tmp / "keras.npz"


def npy_file(tmp: Path) -> Path:
    np.save(tmp / "set.npy", COLOUR)
    return tmp / "set.npy"


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.astype(np.uint8).tobytes()


def idx_folder(tmp: Path) -> Path:
    content = {
        "train-images-idx3-ubyte": idx(GREY),
        "train-labels-idx1-ubyte": idx(LABELS),
        "t10k-images-idx3-ubyte.gz": gzip.compress(idx(GREY[:3])),
        "t10k-labels-idx1-ubyte.gz": gzip.compress(idx(LABELS[:3])),
    }
    return write_files(tmp / "idx", content)


def idx_file(tmp: Path) -> Path:
    return idx_folder(tmp) / "train-images-idx3-ubyte"


def cifar_files() -> dict[str, bytes]:
    rows = np.concatenate([LABELS[:, None].astype(np.uint8), COLOUR.transpose(0, 3, 1, 2).reshape(COUNT, -1)], 1)
    return {
        "data_batch_1.bin": rows[:5].tobytes(),
        "data_batch_2.bin": rows[5:].tobytes(),
        "test_batch.bin": rows[:3].tobytes(),
    }


def cifar_folder(tmp: Path) -> Path:
    return write_files(tmp / "cifar", cifar_files())


def cifar_archive(tmp: Path) -> Path:
    return tar_file(tmp, "cifar.tar.gz", cifar_files())


def channels_last(tmp: Path) -> np.ndarray:
    return COLOUR


def channels_first(tmp: Path) -> torch.Tensor:
    return torch.from_numpy(COLOUR.transpose(0, 3, 1, 2).copy())


def split_folder(tmp: Path) -> Path:
    test = {f"test/{name}": data for name, data in list(files(COLOUR).items())[:3]}
    return write_files(tmp / "split", {f"train/{n}": d for n, d in files(COLOUR).items()} | test)


# name: (makes it, its pixels, has labels, has a test split of three images)
SOURCES = {
    "folder": (colour_folder, COLOUR, True, False),
    "grey folder": (grey_folder, GREY, True, False),
    "folder with splits": (split_folder, COLOUR, True, True),
    "zip": (zip_file, COLOUR, True, False),
    "tar": (tar_file, COLOUR, True, False),
    "tar.gz": (tar_gz_file, COLOUR, True, False),
    "npz": (npz_file, COLOUR, True, False),
    "npz with splits": (keras_npz_file, COLOUR, True, True),
    "npy": (npy_file, COLOUR, False, False),
    "idx folder": (idx_folder, GREY, True, True),
    "idx file": (idx_file, GREY, True, False),
    "cifar folder": (cifar_folder, COLOUR, True, True),
    "cifar tar.gz": (cifar_archive, COLOUR, True, True),
    "array": (channels_last, COLOUR, False, False),
    "tensor": (channels_first, COLOUR, False, False),
}


@pytest.fixture(params=SOURCES)
def case(request: pytest.FixtureRequest, tmp_path: Path):
    make, pixels, labelled, own_split = SOURCES[request.param]
    planar = pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)
    return make(tmp_path), planar, labelled, own_split


def test_every_source_gives_its_pixels_and_labels(case) -> None:
    source, pixels, labelled, _ = case
    images = open_source(source, progress=False)
    assert images.pixels.dtype == np.uint8
    assert images.shape == pixels.shape[1:]
    assert images.sizes == {(SIDE, SIDE): COUNT}
    np.testing.assert_array_equal(images.pixels, pixels)
    assert images.broken == ()
    if labelled:
        assert images.labels is not None
        assert images.labels.dtype == np.int64
        np.testing.assert_array_equal(images.labels, LABELS)
        assert len(images.classes) >= 3
    else:
        assert (images.labels, images.classes) == (None, ())


def test_every_source_gives_batches_in_range(case) -> None:
    source, pixels, labelled, _ = case
    batch = open_source(source, progress=False).batch([5, 0, 5])
    expected = torch.from_numpy(pixels[[5, 0, 5]].copy()).double() / 127.5 - 1
    assert batch.image.dtype == torch.float32
    assert batch.image.min() >= -1
    assert batch.image.max() <= 1
    torch.testing.assert_close(batch.image.double(), expected, atol=1e-6, rtol=0)
    assert set(batch.cond) == ({"label"} if labelled else set())
    if labelled:
        assert batch.cond["label"].tolist() == LABELS[[5, 0, 5]].tolist()


def test_every_source_honours_or_refuses_the_test_split(case) -> None:
    source, pixels, _, own_split = case
    if own_split:
        images = open_source(source, split="test", progress=False)
        np.testing.assert_array_equal(images.pixels, pixels[:3])
    else:
        with pytest.raises(ValueError, match="no split of its own"):
            open_source(source, split="test", progress=False)


def test_every_source_can_be_resized_recoloured_and_limited(case) -> None:
    source, _, _, _ = case
    images = open_source(source, size=(8, 12), channels=4, limit=5, progress=False)
    assert images.pixels.shape == (5, 4, 8, 12)
    assert (images.pixels[:, 3] == 255).all()


def test_the_fingerprint_is_the_contents_not_the_places(tmp_path: Path) -> None:
    prints = {
        open_source(make(tmp_path), progress=False).fingerprint for make in (colour_folder, zip_file, tar_gz_file)
    }
    assert len(prints) == 1
    assert open_source(grey_folder(tmp_path), progress=False).fingerprint not in prints


def test_images_are_returned_as_they_are() -> None:
    images = open_source(COLOUR)
    assert open_source(images) is images
    with pytest.raises(ValueError, match="read-only"):
        images.pixels[0] = 0


def test_the_digits_are_split_evenly() -> None:
    train, test = (open_source("digits", split=split, progress=False) for split in ("train", "test"))
    assert len(train) + len(test) == 1797
    assert train.shape == (1, 8, 8)
    assert (train.pixels.min(), train.pixels.max()) == (0, 255)
    fractions = np.bincount(test.labels) / (np.bincount(test.labels) + np.bincount(train.labels))
    np.testing.assert_allclose(fractions, 1 / 6, atol=0.004)
    seen = {row.tobytes() for row in train.pixels}
    assert not any(row.tobytes() in seen for row in test.pixels)


WRONG = {
    "nothing there": ("/no/such/place", {}, "there is no file or folder"),
    "a near name": ("digit", {}, "did you mean 'digits'"),
    "options of digits": ("digits:3", {}, "takes no options"),
    "an unknown option": ("glyphs:sizes=3", {}, "did you mean 'size'"),
    "a size of text": ("glyphs:size=big", {}, "whole number"),
    "a split": ("digits", {"split": "val"}, "allowed: test, train"),
    "two channels": ("digits", {"channels": 2}, "1, 3 or 4"),
    "no size": ("digits", {"size": 0}, "1 to"),
    "three sizes": ("digits", {"size": (1, 2, 3)}, "1 to"),
    "no limit": ("digits", {"limit": 0}, "at least 1"),
    "floats": (np.zeros((2, 4, 4), np.float32), {}, "must be uint8"),
    "a single picture": (np.zeros((4, 4), np.uint8), {}, "shape"),
    "two-channel arrays": (np.zeros((2, 5, 5, 2), np.uint8), {}, "C 1, 3 or 4"),
    "no images": (np.zeros((0, 4, 4), np.uint8), {}, "no images"),
    "a number": (7, {}, "got int"),
}


@pytest.mark.parametrize("name", WRONG)
def test_bad_input_gets_one_clear_line(name: str) -> None:
    source, options, message = WRONG[name]
    with pytest.raises(ValueError, match=message) as error:
        open_source(source, progress=False, **options)
    assert "\n" not in str(error.value)


def test_files_of_other_kinds_are_refused(tmp_path: Path, draw) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    draw("one.png", 4, 4)
    with pytest.raises(ValueError, match="none of: zip"):
        open_source(tmp_path / "notes.txt", progress=False)
    with pytest.raises(ValueError, match="give the folder"):
        open_source(tmp_path / "set" / "one.png", progress=False)


def test_pickles_in_numpy_files_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{}, []], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="cannot be read"):
        open_source(tmp_path / "objects.npy", progress=False)


def test_sixteen_bit_and_boolean_arrays() -> None:
    wide = np.array([[[0, 257, 128, 129, 65535]]], np.uint16)
    assert open_source(wide).pixels.ravel().tolist() == [0, 1, 0, 1, 255]
    assert open_source(np.array([[[False, True]]])).pixels.ravel().tolist() == [0, 255]


def test_captions_and_maps_in_numpy_files(tmp_path: Path) -> None:
    maps = np.arange(COUNT)[:, None, None] * np.ones((1, SIDE, SIDE), int)
    np.savez(tmp_path / "set.npz", x=COLOUR, masks=maps, captions=[f"no {i}" for i in range(COUNT)])
    images = open_source(tmp_path / "set.npz", size=8, progress=False)
    assert images.captions is not None
    assert images.maps is not None
    assert images.captions[3] == "no 3"
    np.testing.assert_array_equal(images.maps, maps[:, :8, :8])
    np.savez(tmp_path / "set.npz", x=COLOUR, masks=maps[:, :5])
    with pytest.raises(ValueError, match="as large as the images"):
        open_source(tmp_path / "set.npz", progress=False)
    np.savez(tmp_path / "set.npz", x=COLOUR, y=LABELS[:5])
    with pytest.raises(ValueError, match="12 images, but 5 y"):
        open_source(tmp_path / "set.npz", progress=False)
    np.savez(tmp_path / "set.npz", weights=COLOUR)
    with pytest.raises(ValueError, match="holds weights; images are looked for under"):
        open_source(tmp_path / "set.npz", progress=False)


def test_grey_and_transparency_in_arrays() -> None:
    same = np.repeat(GREY[..., None], 3, axis=3)
    np.testing.assert_array_equal(open_source(same).pixels[:, 0], GREY)
    assert open_source(same, channels=3).shape == (3, SIDE, SIDE)
    clear = np.concatenate([COLOUR, np.zeros_like(COLOUR[..., :1])], axis=3)
    assert open_source(clear, channels=3).pixels.min() == 255
    luma = np.asarray(Image.fromarray(COLOUR[0]).convert("L"))
    np.testing.assert_array_equal(open_source(COLOUR, channels=1).pixels[0, 0], luma)


def test_truncated_binary_files_are_told(tmp_path: Path) -> None:
    folder = idx_folder(tmp_path)
    (folder / "train-images-idx3-ubyte").write_bytes(idx(GREY)[:-1])
    with pytest.raises(ValueError, match="announces 12x32x32 = 12288 bytes but holds 12287"):
        open_source(folder, progress=False)
    packed = folder / "t10k-images-idx3-ubyte.gz"
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(ValueError, match="damaged"):
        open_source(folder, split="test", progress=False)
    batches = cifar_folder(tmp_path)
    (batches / "test_batch.bin").write_bytes(b"abc")
    with pytest.raises(ValueError, match="whole number"):
        open_source(batches, split="test", progress=False)


def test_opening_a_set_does_not_load_torch(tmp_path: Path) -> None:
    folder = str(colour_folder(tmp_path))
    code = f"import sys, unnoise.sources as d; d.open_source({folder!r}); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not on this machine")
@pytest.mark.parametrize(
    ("name", "shape", "counts"), [("mnist", (1, 28, 28), (60000, 10000)), ("cifar10", (3, 32, 32), (50000, 10000))]
)
def test_the_published_sets(name: str, shape, counts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNNOISE_DATA", str(SHARED))
    for split, count in zip(("train", "test"), counts, strict=True):
        images: Images = open_source(name, split=split, progress=False)
        assert (images.shape, len(images), len(images.classes)) == (shape, count, 10)
