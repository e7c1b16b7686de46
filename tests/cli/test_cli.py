"""The commands, as a user types them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Command = Callable[..., subprocess.CompletedProcess[str]]

SMALL = [
    "--set=model.network.channels=8",
    "--set=model.network.blocks=1",
    "--set=model.schedule.T=20",
    "--set=sampler.steps=5",
    "--set=train.batch_size=8",
]


def size_of(file: Path) -> tuple[int, int]:
    with Image.open(file) as image:
        return image.size


def fails(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode == 2, result.stderr
    assert result.stderr.splitlines()[-1].startswith("unnoise: ")
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


@pytest.fixture(scope="module")
def run(unnoise: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    result = unnoise(
        "train", "digits", "--recipe", "ddpm-digits", "--steps", 3, *SMALL, "--out", "run", "--json", cwd=folder
    )
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)
    assert {"run", "steps", "images", "seconds", "images_per_second", "loss", "resumed_from"} <= summary.keys()
    assert {path.name for path in folder.iterdir()} == {"run"}, "nothing outside the run's folder"
    return folder / "run"


def test_help_loads_no_torch(tmp_path: Path) -> None:
    check = "import sys; sys.argv = ['unnoise', '--help']\nfrom unnoise.cli import app\ntry: app()\nexcept SystemExit: pass\nassert not {'torch', 'numpy', 'matplotlib'} & set(sys.modules), sorted(sys.modules)"  # fmt: skip  # noqa: E501
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "sample" in result.stdout


@pytest.mark.parametrize("command", ["train", "distill", "sample", "data", "demo", "doctor"])
def test_every_command_explains_itself(unnoise: Command, command: str, tmp_path: Path) -> None:
    result = unnoise(command, "--help", cwd=tmp_path)
    assert result.returncode == 0
    assert "--json" in result.stdout


@pytest.mark.parametrize("out", ["grid.png", "images.npy", "images.npz", "folder"])
def test_samples_go_where_they_are_asked_to(unnoise: Command, run: Path, tmp_path: Path, out: str) -> None:
    result = unnoise("sample", run, "-n", 5, "--steps", 4, "--out", out, "--batch-size", 2, "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)
    assert summary["shape"] == [5, 1, 8, 8]
    assert summary["network_calls"] == 3 * 4
    assert {"images", "out", "seconds"} <= summary.keys()
    if out == "folder":
        assert [size_of(file) for file in sorted((tmp_path / out).iterdir())] == [(8, 8)] * 5
    elif out == "images.npy":
        assert np.load(tmp_path / out, allow_pickle=False).shape == (5, 1, 8, 8)
    else:
        assert (tmp_path / out).stat().st_size > 0


def test_nothing_is_written_over_in_silence(unnoise: Command, run: Path, tmp_path: Path) -> None:
    command = ("sample", run, "-n", 2, "--seed", 7, "--steps", 2)
    first = unnoise(*command, "--out", "folder", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert sorted(file.name for file in (tmp_path / "folder").iterdir()) == ["000007.png", "000008.png"]
    assert f"next: unnoise evaluate {run}" in first.stderr
    fails(unnoise(*command, "--out", "folder", cwd=tmp_path), "000007.png exists", "--overwrite")
    others = ("sample", run, "-n", 2, "--seed", 9, "--steps", 2, "--out", "folder")
    assert unnoise(*others, cwd=tmp_path).returncode == 0, "other seeds join them"
    assert unnoise(*command, "--out", "folder", "--overwrite", cwd=tmp_path).returncode == 0
    named = json.loads(unnoise(*command, "--sampler", "ddim:eta=0.5", "--json", cwd=tmp_path).stdout)["out"]
    assert Path(named).name == "ddim-2-eta-0.5-seeds7-8-step3.png"


def test_an_edit_and_a_sheet_never_replace_what_they_read(unnoise: Command, run: Path, tmp_path: Path) -> None:
    Image.new("L", (8, 8), 90).save(tmp_path / "mine.png")
    before = (tmp_path / "mine.png").read_bytes()
    edited = ("edit", "vary", run, "mine.png", "-n", 1, "--steps", 2, "--out", "mine.png", "--overwrite")
    fails(unnoise(*edited, cwd=tmp_path), "is what the result is made from")
    fails(unnoise("data", "mine.png", "--sheet", "mine.png", "--overwrite", cwd=tmp_path), "is what the result")
    assert (tmp_path / "mine.png").read_bytes() == before


def test_samplers_are_written_alike_in_every_command(unnoise: Command, run: Path, tmp_path: Path) -> None:
    drawn = json.loads(unnoise("sample", run, "-n", 1, "--sampler", "ddim@3:eta=0.5", "--json", cwd=tmp_path).stdout)
    assert "steps=3" in drawn["sampler"]
    assert "eta=0.5" in drawn["sampler"]
    Image.new("L", (8, 8), 90).save(tmp_path / "mine.png")
    edited = unnoise("edit", "vary", run, "mine.png", "-n", 1, "--sampler", "ddim@4", "--strength", 1, "--json", cwd=tmp_path)  # fmt: skip  # noqa: E501
    assert json.loads(edited.stdout)["network_calls"] == 4
    for command in (("sample", run), ("edit", "vary", run, "mine.png"), ("evaluate", run)):
        fails(unnoise(*command, "--sampler", "ddim@3:etta=1", cwd=tmp_path), "did you mean 'eta'")
    fails(unnoise("tune", run, "--samplers", "unpic", cwd=tmp_path), "did you mean 'unipc'")
    fails(unnoise("compare", run, "--samplers", "ddim@3:etta=1", "-n", 4, cwd=tmp_path), "did you mean 'eta'")


def test_the_old_name_of_an_option_is_understood() -> None:
    from unnoise.cli import renewed

    assert renewed(["sample", "--worse=run", "--worse", "x", "--out", "--worsen"]) == [
        "sample",
        "--autoguidance=run",
        "--autoguidance",
        "x",
        "--out",
        "--worsen",
    ]


def test_the_batch_size_changes_no_picture(unnoise: Command, run: Path, tmp_path: Path) -> None:
    for name, size in (("a", 1), ("b", 4)):
        unnoise("sample", run, "-n", 4, "--sampler", "ddpm", "--steps", 20, "--batch-size", size, "--out", f"{name}.npy", cwd=tmp_path)  # fmt: skip  # noqa: E501
    a, b = (np.load(tmp_path / f"{name}.npy").astype(int) for name in "ab")
    assert np.abs(a - b).max() <= 1


def test_arithmetic_is_written_either_way(unnoise: Command, run: Path, tmp_path: Path) -> None:
    plain = unnoise("edit", "arithmetic", run, 1, 2, 3, "--steps", 2, "--out", "plain.png", cwd=tmp_path)
    formula = ("edit", run, "arithmetic", 1, "-", 2, "+", 3)
    other = unnoise(*formula, "--steps", 2, "--out", "other.png", cwd=tmp_path)
    assert plain.returncode == other.returncode == 0, other.stderr
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "other.png").read_bytes()
    fails(unnoise("edit", "arithmetic", run, 1, "+", 2, "-", 3, cwd=tmp_path), "A - B + C, got 1 + 2 - 3")


def test_distilling_makes_a_run_of_few_calls_and_resumes(unnoise: Command, run: Path, tmp_path: Path) -> None:
    def distilled(steps: int) -> dict[str, object]:
        command = unnoise("distill", run, "--out", "student", "--steps", steps, "--json", cwd=tmp_path)
        assert command.returncode == 0, command.stderr
        return json.loads(command.stdout)

    assert distilled(1)["resumed_from"] is None
    assert distilled(2)["resumed_from"] == 1
    result = unnoise("sample", "student", "-n", 2, "--out", "two.npy", "--json", cwd=tmp_path)
    assert json.loads(result.stdout)["network_calls"] == 2
    fails(unnoise("distill", run, "--method", "consistancy", cwd=tmp_path), "did you mean 'consistency'")
    fails(unnoise("distill", "student", cwd=tmp_path), "student by distribution-matching already")


def test_data_reports_and_draws_a_contact_sheet(unnoise: Command, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for index in range(3):
            Image.new("RGB", (12, 10), (40 * index, 90, 30)).save(folder / label / f"{index}.png")
    (folder / "cat" / "text.png").write_text("not an image")
    result = unnoise("data", "mine", "--json", "--pack", "packed.npz", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["count"] == 6
    assert report["classes"] == {"cat": 3, "dog": 3}
    assert [broken["name"] for broken in report["broken"]] == ["cat/text.png"]
    assert size_of(tmp_path / report["sheet"])[0] > 12
    assert unnoise("data", "packed.npz", "--json", cwd=tmp_path).returncode == 0
    fails(unnoise("data", "mine", "--strict", "--overwrite", cwd=tmp_path), "cat/text.png")


def test_doctor_tells_versions_as_a_program_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "unnoise", "doctor", "--json"]
    report = json.loads(subprocess.run(command, stdout=subprocess.PIPE, cwd=tmp_path, check=True).stdout)
    assert report["torch"]
    assert report["device"] in ("cpu", "cuda", "mps")


def test_bad_input_gets_one_line_and_a_non_zero_exit(unnoise: Command, run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    fails(unnoise("train", "empty", cwd=tmp_path), "empty")
    fails(unnoise("train", "digits", "--recipe", "dppm", cwd=tmp_path), "did you mean 'ddpm'")
    fails(unnoise("train", "digits", "--set", "train.lr=3", cwd=tmp_path), "unknown key 'lr'")
    fails(unnoise("sample", tmp_path / "empty", cwd=tmp_path), "no run")
    fails(unnoise("sample", run, "--sampler", "dim", cwd=tmp_path), "did you mean 'ddim'")
    fails(unnoise("sample", run, "--steps", 21, cwd=tmp_path), "at most 20")
    fails(unnoise("sample", run, "--label", "3", cwd=tmp_path), "takes no label")
    fails(unnoise("sample", run, "--batch-size", 0, cwd=tmp_path), "batch_size must be a whole number at least 1")
    fails(unnoise("compare", run, "-n", 0, cwd=tmp_path), "n must be a whole number at least 1")
    fails(unnoise("sample", run, "--out", "x.jpeg", "--steps", 2, cwd=tmp_path), "--out takes")
    fails(unnoise("train", "digits", "--recipee", "ddpm", cwd=tmp_path), "--recipe")


def test_evaluate_takes_a_built_in_set_by_its_name_and_prints_valid_json(unnoise: Command, tmp_path: Path) -> None:
    result = unnoise(
        "evaluate", "digits", "--data", "digits", "--features", "pixels", "-n", 200, "--json", cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout, parse_constant=pytest.fail)
    assert found["n"] == 200
    assert found["fid_infinite"]["interval"][0] < found["fid_infinite"]["interval"][1]
    assert "plan: 200 images" in result.stderr
