"""Samplings in parts: bounded memory, the same images, and nothing drawn twice after a kill."""

from __future__ import annotations

import weakref
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unnoise.runs.run import Run
from unnoise.sampling.generate import generate
from unnoise.sampling.outputs import write_images
from unnoise.sampling.parts import Parts
from unnoise.training.train import train

TINY = {
    "model.network.channels": 8,
    "model.network.multipliers": [1],
    "model.network.attention": [],
    "model.schedule.T": 20,
    "sampler.steps": 2,
    "train.batch_size": 4,
    "train.samples": 0,
    "data.limit": 16,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "run"
    return train("digits", "ddpm-digits", out, steps=1, overrides=TINY, device="cpu")


def images_in(out: Path) -> np.ndarray:
    if out.suffix == ".npz":
        return np.load(out)["images"]
    return np.load(out)


@pytest.mark.parametrize("name", ["a.npz", "a.npy"])
def test_arrays_in_parts_are_arrays_at_once(run: Run, tmp_path: Path, name: str) -> None:
    whole, parts = tmp_path / "whole.npy", tmp_path / name
    generate(run.folder, range(5), batch_size=5, out=whole, device="cpu")
    result = generate(run.folder, range(5), batch_size=2, out=parts, device="cpu")
    assert result["images"] == 5
    assert result["network_calls"] == 3 * 2
    assert "resumed" not in result
    assert images_in(parts).dtype == np.uint8
    assert np.abs(images_in(parts).astype(int) - np.load(whole).astype(int)).max() <= 1
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([name, "whole.npy"])


def test_a_folder_and_a_grid_are_made_of_parts(run: Run, tmp_path: Path) -> None:
    generate(run.folder, range(7, 10), batch_size=2, out=tmp_path / "pictures", device="cpu")
    assert sorted(f.name for f in (tmp_path / "pictures").iterdir()) == ["000007.png", "000008.png", "000009.png"]
    generate(run.folder, range(3), batch_size=2, out=tmp_path / "grid.png", device="cpu")
    assert (tmp_path / "grid.png").is_file()


class Killed(BaseException):
    """What stops a test's sampling."""


def killed_after(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    write, written = Parts.write, []

    def dying(self: Parts, span: slice, images: np.ndarray) -> None:
        if len(written) == count:
            raise Killed
        written.append(span)
        write(self, span, images)

    monkeypatch.setattr(Parts, "write", dying)


def test_the_same_call_goes_on_where_it_was_killed(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "samples.npz"
    with monkeypatch.context() as patch:
        killed_after(2, patch)
        with pytest.raises(Killed):
            generate(run.folder, range(7), batch_size=2, out=out, device="cpu")
    assert not out.exists()
    result = generate(run.folder, range(7), batch_size=2, out=out, device="cpu")
    assert (result["resumed"], result["network_calls"]) == (4, 2 * 2)
    generate(run.folder, range(7), batch_size=2, out=tmp_path / "again.npz", device="cpu")
    assert np.array_equal(images_in(out), images_in(tmp_path / "again.npz"))


@pytest.mark.parametrize("change", [{"seeds": range(1, 8)}, {"sampler": "euler@3"}, {"batch_size": 3}])
def test_parts_of_other_images_are_not_taken(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    given: dict[str, Any] = {"seeds": range(7), "batch_size": 2, "out": tmp_path / "samples.npz", "device": "cpu"}
    with monkeypatch.context() as patch:
        killed_after(2, patch)
        with pytest.raises(Killed):
            generate(run.folder, **given)
    assert "resumed" not in generate(run.folder, **{**given, **change})


def test_an_array_is_written_batch_by_batch(tmp_path: Path) -> None:
    """All images were held together before they were written."""
    drawn: list[weakref.ref[np.ndarray]] = []

    def batches() -> Iterator[np.ndarray]:
        for number in range(6):
            assert [ref() is None for ref in drawn[:-1]] == [True] * len(drawn[:-1])
            batch = np.full((2, 1, 2, 2), number, np.uint8)
            drawn.append(weakref.ref(batch))
            yield batch
            del batch

    write_images(batches(), (12, 1, 2, 2), range(12), tmp_path / "a.npz")
    assert images_in(tmp_path / "a.npz")[::2, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert archive.testzip() is None
