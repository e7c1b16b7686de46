"""Publishing and fetching runs: by a folder, and by a hub that a test stands in for."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import unnoise
from unnoise.cli import app
from unnoise.errors import UserError
from unnoise.interop.new_run import new_run
from unnoise.models.assembly import build_model
from unnoise.publishing.push import push
from unnoise.runs.hub import pull, repository
from unnoise.runs.paths import PRIVATE, public_name, without_paths
from unnoise.runs.run import Run

from .topologies import randomised

TINY = {"kind": "unet", "channels": 8, "multipliers": [1], "blocks": 1, "attention": []}
SECRET = "/home/somebody/secret-project/faces"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run of private images, with evaluations that say where they lay."""
    monkeypatch.setattr("unnoise.interop.new_run.resolved", str)  # the folder is not here
    model = {"kind": "diffusion", "network": TINY, "conditioner": {"kind": "class", "dim": 8}}
    built = randomised(build_model(model, (1, 8, 8), 2))
    options: dict[str, Any] = {"classes": ["a: '", "b\n---"], "sampler": {"kind": "ddim", "steps": 2}}
    made = new_run(tmp_path / "run", model, built.state_dict(), shape=(1, 8, 8), source=SECRET, **options)
    result = {
        "target": str(made.folder),
        "step": 0,
        "data": {"source": SECRET, "fingerprint": "f", "split": "test"},
        "features": "inception",
        "feature_space": {"version": "1"},
        "n": 5000,
        "reference": {"source": SECRET, "split": "train", "n": 900, "fingerprint": "f"},
        "samples": {"sampler": "DDIM(steps=50)", "guidance": 1.0},
        "seed": 0,
        "fid": 12.5,
        "memorised": 0.02,
        "seconds": 3.5,
        "unnoise": unnoise.__version__,
    }
    (made.folder / "evaluations").mkdir()
    (made.folder / "evaluations" / "0-fid.json").write_text(json.dumps(result))
    stale = {**result, "step": 99, "fid": 1.0}
    (made.folder / "evaluations" / "99-fid.json").write_text(json.dumps(stale))
    return made


def front_matter(folder: Path) -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="the parser of the hub's front matter is not installed")
    parts = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert parts[0] == ""
    return yaml.safe_load(parts[1])


def test_a_run_goes_into_a_folder_and_comes_back_the_same(run: Run, tmp_path: Path) -> None:
    done = push(run, tmp_path / "out", license="cc-by-4.0", device="cpu")
    assert done["files"] == ["README.md", "config.json", "model.safetensors", "samples.png"]
    back = pull(tmp_path / "out", tmp_path / "back")
    before, after = unnoise.load(run, "cpu"), unnoise.load(back, "cpu")
    assert torch.equal(before.sample(seeds=range(2), label=1), after.sample(seeds=range(2), label=1))  # type: ignore[attr-defined]
    assert back.classes == run.classes
    assert back.config["sampler"] == run.config["sampler"]
    published = load_file(tmp_path / "out" / "model.safetensors")
    assert published.keys() == before.state_dict().keys()


def test_the_card_says_what_was_measured_and_how_and_nothing_of_where(run: Run, tmp_path: Path) -> None:
    push(run, tmp_path / "out", license="cc-by-4.0", device="cpu")
    front = front_matter(tmp_path / "out")
    assert front["license"] == "cc-by-4.0"
    assert front["library_name"] == "unnoise"
    (entry,) = front["model-index"]
    (result,) = entry["results"]
    numbers = {metric["type"]: metric for metric in result["metrics"]}
    assert numbers["fid"]["value"] == 12.5
    assert numbers["fid"]["args"]["n"] == 5000
    assert numbers["fid"]["args"]["reference"]["n"] == 900
    assert numbers["memorised"]["value"] == 0.02
    text = (tmp_path / "out" / "README.md").read_text()
    assert "2.00 % of the samples lie as near to a training image" in text
    assert "sampler DDIM(steps=50)" in text
    assert f"{PRIVATE}: 1 images of 8x8 pixels" in text
    for file in ("README.md", "config.json"):
        written = (tmp_path / "out" / file).read_text()
        assert "secret" not in written
        assert str(tmp_path) not in written


def test_the_hub_s_own_reader_takes_the_card(run: Run, tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    push(run, tmp_path / "out", license="mit", device="cpu")
    data = hub.ModelCard.load(tmp_path / "out" / "README.md").data
    assert data.license == "mit"
    assert {result.metric_type for result in data.eval_results} == {"fid", "memorised"}


def test_without_numbers_the_card_says_so(tmp_path: Path) -> None:
    model = {"kind": "autoencoder", "latent": 4, "channels": 4, "multipliers": [1], "blocks": 0}
    built = build_model(model, (1, 8, 8), 0)
    made = new_run(
        tmp_path / "ae", model, built.state_dict(), shape=(1, 8, 8), classes=[], sampler={"kind": "ddim"},
        objective={"kind": "reconstruction"},
    )  # fmt: skip
    assert push(made, tmp_path / "out", license="mit")["files"] == ["README.md", "config.json", "model.safetensors"]
    text = (tmp_path / "out" / "README.md").read_text()
    assert "Nothing has been measured of these weights" in text
    assert "Not measured. `unnoise evaluate RUN --metrics memorised`" in text


class FakeHub(ModuleType):
    """huggingface_hub with repositories in a folder: what is uploaded can be fetched, by branch or by commit."""

    def __init__(self, folder: Path) -> None:
        super().__init__("huggingface_hub")
        self.folder, self.calls = folder, list[tuple[str, Any]]()
        self.HfApi = lambda: self

    def create_repo(self, repo_id: str, **options: Any) -> None:
        self.calls.append(("create", {"repo_id": repo_id, **options}))

    def upload_folder(self, repo_id: str, folder_path: str, commit_message: str) -> Any:
        commit = f"{len([*self.folder.glob('**/snapshots/*')]):040x}"
        shutil.copytree(folder_path, self.folder / repo_id / "snapshots" / commit)
        (self.folder / repo_id / "main").write_text(commit)
        return SimpleNamespace(oid=commit)

    def snapshot_download(self, repo_id: str, revision: str | None, allow_patterns: list[str]) -> str:
        self.calls.append(("download", {"repo_id": repo_id, "revision": revision, "files": allow_patterns}))
        commit = revision or (self.folder / repo_id / "main").read_text()
        return str(self.folder / repo_id / "snapshots" / commit)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> FakeHub:
    fake = FakeHub(tmp_path / "hub")
    monkeypatch.setitem(sys.modules, "huggingface_hub", fake)
    return fake


def test_a_run_goes_to_the_hub_and_is_loaded_from_there(
    run: Run, hub: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app(
        ["push", str(run.folder), "hf://me/faces", "--license", "mit", "--private", "--device", "cpu", "--json"],
        exit_on_error=False,
        result_action="return_value",
    )
    first = json.loads(capsys.readouterr().out)["commit"]
    assert hub.calls == [("create", {"repo_id": "me/faces", "private": True, "exist_ok": True})]
    model = unnoise.load("hf://me/faces", "cpu")
    assert f"hf://me/faces@{first} stays what it is" in capsys.readouterr().err
    assert all(set(call["files"]) == {"config.json", "model.safetensors", "README.md", "samples.png"}
               for name, call in hub.calls if name == "download")  # fmt: skip
    expected = unnoise.load(run, "cpu")
    for (name, value), other in zip(expected.state_dict().items(), model.state_dict().values(), strict=True):
        assert torch.equal(value, other), name
    push(run, "hf://me/faces", license="mit", device="cpu")
    assert unnoise.load(f"hf://me/faces@{first}", "cpu").shape == (1, 8, 8)
    assert "stays what it is" not in capsys.readouterr().err
    app(
        ["pull", "hf://me/faces", "--out", str(tmp_path / "fetched"), "--json"],
        exit_on_error=False,
        result_action="return_value",
    )
    assert json.loads(capsys.readouterr().out)["classes"] == 2


def test_what_cannot_be_published_or_fetched_is_said(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="--license takes the hub's name of a licence"):
        push(run, tmp_path / "out", license="my own!")
    with pytest.raises(UserError, match="is no repository: write hf://USER/NAME"):
        repository("hf://faces")
    with pytest.raises(UserError, match="is no repository"):
        repository("hf://../faces")
    with pytest.raises(UserError, match="leave @v1 out"):
        push(run, "hf://me/faces@v1", license="mit")
    with pytest.raises(UserError, match=r"config\.json is missing"):
        pull(tmp_path / "nothing", tmp_path / "back")
    push(run, tmp_path / "out", license="mit", device="cpu")
    with pytest.raises(UserError, match="holds other files"):
        push(run, tmp_path / "out", license="mit")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    (tmp_path / "out" / "config.json").write_text(json.dumps({**config, "found": {"images": -1}}))
    with pytest.raises(UserError, match=r"found\.images in .* must be"):
        pull(tmp_path / "out", tmp_path / "back")
    config["model"]["network"]["channels"] = 16
    (tmp_path / "out" / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="do not fit the configuration"):
        pull(tmp_path / "out", tmp_path / "back")
    assert not (tmp_path / "back").exists()
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for act in (lambda: unnoise.load("hf://me/faces"), lambda: push(run, "hf://me/faces", license="mit")):
        with pytest.raises(UserError, match=r"pip install 'unnoise\[hub\]'"):
            act()


def test_paths_become_names_and_names_stay() -> None:
    config = {
        "source": "/data/x",
        "start": "../runs/a",
        "model": {"codec": {"run": "/models/sd"}, "conditioner": {"encoder": "transformers:org/name"}},
        "n": [1, "~/secret/b"],
    }
    assert without_paths(config) == {
        "source": PRIVATE,
        "start": "a",
        "model": {"codec": {"run": "sd"}, "conditioner": {"encoder": "transformers:org/name"}},
        "n": [1, "b"],
    }
    assert public_name("builtin:digits") == "builtin:digits"
    assert public_name("glyphs:16") == "glyphs:16"
