"""Damaged files and odd settings are opened or refused with a line, never a traceback: a little of `make fuzz`."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).resolve().parents[1] / "tools" / "fuzz.py"


def _tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz"] = module
    spec.loader.exec_module(module)
    return module


fuzz = _tool()
SOUND = {
    "pictures": fuzz.pictures,
    "zip": fuzz.zips,
    "tar": fuzz.tars,
    "npz": fuzz.archives_of_arrays,
    "npy": fuzz.arrays,
    "idx": fuzz.idx,
    "cifar": fuzz.cifar,
    "metadata": fuzz.metadata,
    "csv": fuzz.tables,
    "caption": lambda: fuzz.captions()[:1],
    "map": lambda: fuzz.pictures()[9:10],
    "mask": lambda: fuzz.pictures()[:1],
    "statistics": fuzz.statistics,
    "cache file": lambda: (fuzz.cache_file(),),
}
FILES = {
    "run": fuzz.run_files,
    "tuned": fuzz.tuned_files,
    "diffusers": fuzz.pipeline_files,
    "autoencoder": fuzz.autoencoder_files,
    "taesd": fuzz.tiny_autoencoder_files,
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNNOISE_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", SOUND)
def test_what_is_damaged_was_sound(name: str, tmp_path: Path) -> None:
    for index, data in enumerate(SOUND[name]()):
        folder = tmp_path / str(index)
        folder.mkdir()
        fuzz.JOBS[name].attempt(folder, data)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FILES)
def test_what_is_damaged_in_a_folder_was_sound(name: str, tmp_path: Path) -> None:
    fuzz.JOBS[name].attempt(tmp_path, next(iter(FILES[name]().items())))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", fuzz.JOBS)
def test_nothing_crashes(name: str) -> None:
    tally = fuzz.Tally()
    fuzz.fuzzed(fuzz.JOBS[name], 30, 0, tally)
    assert tally.crashes == Counter(), tally.kept
    assert tally.inputs >= 30
    assert tally.opened + tally.refused == tally.inputs


def test_a_crash_is_seen_and_its_input_kept(tmp_path: Path) -> None:
    """The harness itself: an error that is no user's, and one that is."""

    def attempt(folder: Path, data: bytes) -> None:
        if data:
            raise KeyError("a fault of ours")
        raise OSError("a fault of the disk")

    tally = fuzz.Tally()
    fuzz.fuzzed(fuzz.Job(lambda: fuzz.st.sampled_from((b"", b"1")), attempt), 10, 0, tally)
    assert (tally.inputs, tally.refused, tally.opened) == (2, 1, 0)
    assert tally.crashes == Counter({"KeyError in test_fuzz.py, attempt": 1})
    assert list(tally.kept.values()) == [b"1"]
