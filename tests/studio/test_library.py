"""Runs read from their files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from starlette.testclient import TestClient

from unnoise.runs.curves import curves, newest, read_from
from unnoise.studio.holders import LOCKS, holder, locked_files
from unnoise.studio.library import Library


def test_all_runs_are_listed_newest_first(client: TestClient, runs: Path) -> None:
    os.utime(runs / "first" / "metrics.jsonl", (1, 1))
    found = client.get("/api/runs").json()
    assert [run["run"] for run in found["runs"]] == ["group/second", "first"]
    assert found["count"] == 2
    assert found["runs"][0]["state"] in ("stopped", "training")


def test_a_thousand_runs_are_read_once_each(client: TestClient, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(1000):
        shutil.copytree(runs / "first", runs / f"run{index}")
    from unnoise.studio import library

    reads: list[str] = []
    original: Callable[..., object] = library.read_toml
    monkeypatch.setattr(library, "read_toml", lambda path: (reads.append(str(path)), original(path))[1])
    assert len(client.get("/api/runs").json()["runs"]) == 1002
    page = client.get("/api/runs", params={"limit": 60, "query": "run"}).json()
    assert (len(page["runs"]), page["count"]) == (60, 1000)
    assert len(reads) == len(set(reads)) <= 1002


def test_what_a_card_shows(client: TestClient, runs: Path) -> None:
    run = client.get("/api/runs/first").json()
    assert (run["step"], run["loss"], run["shape"], run["grids"]) == (10, 0.1, [1, 8, 8], [10])
    assert run["left"] == (100 - 10) * 8 / 40
    assert run["config"]["train"]["steps"] == 100


def test_what_a_run_can_be_asked_for(client: TestClient, runs: Path) -> None:
    """Both conditioners of two side by side, but not what augmentation did, which nobody is asked for."""
    file = runs / "first" / "config.toml"
    told = "[model.conditioner]\nkind = 'combined'\nparts = {cluster = {}, class = {dim = 4}, augment = {}}\n"
    file.write_text(f"{file.read_text()}\n{told}")
    assert client.get("/api/runs/first").json()["conditions"] == ["cluster", "class"]


def test_a_damaged_run_is_shown_as_such(client: TestClient, runs: Path) -> None:
    for name, text in (("toml", "= ="), ("keys", "seed = 1"), ("types", "found = 3\nmodel = 1")):
        (runs / name).mkdir()
        (runs / name / "config.toml").write_text(text)
        found = client.get(f"/api/runs/{name}")
        assert (found.status_code, found.json()["state"]) == (200, "damaged"), name
    assert len(client.get("/api/runs").json()["runs"]) == 5


def test_runs_that_are_links_out_of_the_folder_are_not_there(client: TestClient, runs: Path) -> None:
    outside = runs.parent / "outside"
    shutil.copytree(runs / "first", outside)
    (runs / "link").symlink_to(outside)
    assert len(client.get("/api/runs").json()["runs"]) == 2
    assert client.get("/api/runs/link").status_code == 404
    (runs / "first" / "samples" / "11.png").symlink_to(outside / "samples" / "10.png")
    assert client.get("/api/runs/first/samples/11.png").status_code == 404
    assert client.get("/api/runs/first/samples/10.png").status_code == 200


def test_half_lines_and_other_rubbish_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    good = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0, "copies": 0.5}]
    lines = [*(json.dumps(line).encode() for line in good), b"[1]", b"{", b"\xff", b'{"loss": 3}', b'{"step": 3, "lo']
    file.write_bytes(b"\n".join(lines))
    assert newest(file) == {"step": 2, "loss": 1.0, "copies": 0.5}
    assert curves(file, 10)[0] == {"loss": [(1, 2.0), (2, 1.0)], "copies": [(2, 0.5)]}


def test_histograms_are_read_beside_the_curves(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    line = {"step": 2, "class_fractions": [1.0, 0.0], "class_fractions_data": [0.5, 0.5]}
    lines = [{"step": 1, "loss": 1.0}, {**line, "classes_vanished": 1}, {"step": 3, "class_fractions": "x"}]
    file.write_text("".join(json.dumps(item) + "\n" for item in lines))
    found, histograms, _ = curves(file, 10)
    assert histograms == [line]
    assert found == {"loss": [(1, 1.0)], "classes_vanished": [(2, 1.0)]}


def test_lists_and_tables_of_numbers_are_a_curve_for_each_entry(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    lines = [
        {"step": 1, "held_out_losses": [0.5, 0.25], "by_class": {"a": 1, "b": None}, "warning": "x", "on": True},
        {"step": 2, "held_out_losses": [0.4, "x"], "changed": {"train.clip": [1, 2]}},
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    levels = {"held_out_losses.1": [(1, 0.5), (2, 0.4)], "held_out_losses.2": [(1, 0.25)]}
    assert curves(file, 10)[0] == {**levels, "by_class.a": [(1, 1.0)]}


def test_the_newest_values_are_read_from_the_end_of_a_long_file(tmp_path: Path) -> None:
    """A thousand runs of a day each are listed without reading their logs whole."""
    file = tmp_path / "metrics.jsonl"
    lines = [{"step": step, "loss": 1.0, **({"early": 1} if step == 0 else {})} for step in range(10_000)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert newest(file) == {"step": 9999, "loss": 1.0}


def test_the_page_is_served_without_torch() -> None:
    heavy = ("torch", "scipy", "matplotlib", "safetensors")
    script = f"import sys, unnoise.studio.app; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip() == "[]"


def test_new_lines_are_read_from_where_the_last_look_ended(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"step": 1}\n{"step"')
    first, offset = read_from(file, 0)
    with file.open("a") as stream:
        stream.write(": 2}\n")
    second, offset = read_from(file, offset)
    assert (first, second) == ([{"step": 1}], [{"step": 2}])
    file.write_text('{"step": 1}\n')  # a resumed run wrote it anew
    assert read_from(file, offset)[0] == [{"step": 1}]


def test_curves_are_averaged(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_text("".join(json.dumps({"step": step, "loss": float(step)}) + "\n" for step in range(1, 9)))
    assert curves(file, 4)[0]["loss"] == [(2, 1.5), (4, 3.5), (6, 5.5), (8, 7.5)]


def test_events_follow_where_the_curves_ended(client: TestClient, runs: Path) -> None:
    found = client.get("/api/runs/first/metrics").json()
    assert found["offset"] == (runs / "first" / "metrics.jsonl").stat().st_size
    assert [step for step, _ in found["curves"]["loss"]] == list(range(1, 11))


def test_values_that_json_does_not_have_are_null(client: TestClient, runs: Path) -> None:
    with (runs / "first" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 11, "loss": NaN, "copies": Infinity}\n')
    answer = client.get("/api/runs/first")
    assert "NaN" not in answer.text
    assert "Infinity" not in answer.text
    assert answer.json()["loss"] is None


@pytest.mark.skipif(not LOCKS.exists(), reason="this system does not tell who holds a lock")
def test_the_process_that_trains_is_found_without_touching_its_lock(runs: Path) -> None:
    folder = runs / "first"
    assert holder(folder, locked_files()) is None
    with FileLock(folder / ".lock"):
        assert holder(folder, locked_files()) == os.getpid()
        assert Library(runs).summary(folder)["state"] == "training"
    assert holder(folder, locked_files()) is None
