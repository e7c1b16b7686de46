"""An imported run is a run: what the other commands make of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import unnoise
from unnoise.cli import app
from unnoise.errors import UserError
from unnoise.interop.formats import export_run, import_run
from unnoise.sampling.tune import tune_run

from .conftest import Saved
from .topologies import ATTENDED

pytestmark = pytest.mark.filterwarnings("ignore")


def command(*words: object) -> None:
    app([str(word) for word in words], exit_on_error=False, result_action="return_value")


def test_a_folder_of_diffusers_is_sampled_measured_tuned_and_trained_on(
    saved: Saved, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, run = saved("DDIMScheduler", {"num_train_timesteps": 20, "beta_end": 0.4}, **ATTENDED), tmp_path / "run"
    command("import", folder, "--out", run, "--data", "glyphs:16", "--json")
    assert json.loads(capsys.readouterr().out) == {
        "run": str(run),
        "shape": [3, 16, 16],
        "classes": 0,
        "from": str(folder),
    }
    command("sample", run, "-n", "2", "--steps", "3", "--out", tmp_path / "images.npy", "--device", "cpu")
    assert np.load(tmp_path / "images.npy").shape == (2, 3, 16, 16)
    images = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    found = unnoise.evaluate(run, tmp_path / "images.npy", ("fid",), "pixels", 8, device="cpu", options={"steps": 2})
    assert found["fid"] > 0
    assert tune_run(run, 2, trajectories=2, device="cpu")["error"] >= 0
    limits = {"train.batch_size": 4, "train.samples": 0}
    more = unnoise.train(
        tmp_path / "images.npy", out=tmp_path / "more", start=run, steps=1, overrides=limits, device="cpu"
    )
    assert more.summary is not None
    assert more.summary["steps"] == 1
    command("export", tmp_path / "more", "--to", "diffusers", "--out", tmp_path / "out", "--json")
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["pipeline"] == "DDPMPipeline"


def test_unknown_formats_and_folders_are_refused(saved: Saved, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is nothing that can be imported"):
        import_run(tmp_path, tmp_path / "run")
    run = import_run(saved(), tmp_path / "run")
    with pytest.raises(UserError, match="unknown format of --to 'diffuser'; did you mean 'diffusers'"):
        export_run(run, "diffuser", tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="holds other files"):
        export_run(run, "diffusers", tmp_path / "full")
    with pytest.raises(UserError, match="holds other files"):
        import_run(tmp_path / "saved", tmp_path / "full")
