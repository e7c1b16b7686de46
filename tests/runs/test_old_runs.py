"""Run folders that version 0.1.0 wrote (a rectified flow and a GAN on the digits, two steps each) are read as before.

NAME-samples.npy: what that version drew from seeds 0 and 1 on a CPU, in fp32.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import unnoise
from unnoise.sampling.generate import generate

FOLDER = Path(__file__).parent / "written_by_0_1"


@pytest.mark.parametrize("name", ["flow", "gan"])
def test_an_old_run_draws_what_it_drew(name: str, tmp_path: Path) -> None:
    run = tmp_path / name
    shutil.copytree(FOLDER / name, run)
    generate(run, range(2), out=tmp_path / "images.npy", precision="fp32", device="cpu")
    ours, theirs = np.load(tmp_path / "images.npy").astype(int), np.load(FOLDER / f"{name}-samples.npy").astype(int)
    assert np.abs(ours - theirs).max() <= 1  # one level: another processor rounds otherwise


@pytest.mark.parametrize(("name", "recipe"), [("flow", "rectified-flow"), ("gan", "gan")])
def test_an_old_run_goes_on(name: str, recipe: str, tmp_path: Path) -> None:
    """The same command resumes, although names in the configuration have changed since."""
    run = tmp_path / name
    shutil.copytree(FOLDER / name, run)
    small = {"flow": {"model.network.channels": 8, "model.network.multipliers": [1], "model.network.attention": []}}
    options = small.get(name, {"model.channels": 8, "objective.channels": 8})
    options |= {"train.batch_size": 8, "train.samples": 4, "train.keep": 1}
    done = unnoise.train("digits", recipe, run, steps=3, overrides=options, device="cpu")
    assert done.summary is not None
    assert (done.summary["resumed_from"], done.summary["steps"]) == (2, 3)


def test_the_source_of_an_old_run_is_the_built_in_one_whatever_lies_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That version wrote `digits` and meant the built-in set, also beside a folder of that name."""
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    run = unnoise.Run.open(FOLDER / "gan")
    assert run.config["source"] == "builtin:digits"
    assert run.open_data("test")[0].shape == (1, 8, 8)
