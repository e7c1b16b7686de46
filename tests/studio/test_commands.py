"""Trainings as processes of their own, and what a studio that starts anew finds of them."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from unnoise.studio.commands import Command, Record, last_line, restore, runs
from unnoise.studio.settings import Settings


def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    job = Command("train", "x", ["studio", str(tmp_path), "--host", "0.0.0.0"], tmp_path)

    async def work() -> None:
        with pytest.raises(Exception, match="--password"):
            await job.work()

    asyncio.run(work())
    assert "--password" in job.log.read_text()
    assert "Traceback" not in last_line(job.log)


def test_a_process_that_lives_is_taken_up_and_dead_ones_forgotten(tmp_path: Path) -> None:
    marker = f"studio-{time.time_ns()}"
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", marker])
    try:
        while not runs(process.pid, [marker]):  # the system takes a moment to know its command line
            assert process.poll() is None
        for name, number, words in (
            ("alive", process.pid, [marker]),
            ("other", process.pid, ["train"]),
            ("dead", 2**22 - 7, ["x"]),
        ):
            record = Record(name, "train", name, name, words, number)
            (tmp_path / f"{name}.json").write_text(json.dumps(record.__dict__))
        (tmp_path / "waits.json").write_text(json.dumps(Record("waits", "train", "w", "w", ["train"]).__dict__))
        (tmp_path / "broken.json").write_text("{")
        assert [job.id for job in restore(tmp_path)] == ["alive", "waits"]
        assert sorted(file.stem for file in tmp_path.glob("*.json")) == ["alive", "waits"]
        job = restore(tmp_path)[0]
        assert job._status() is None
        job.stop()
        process.wait(20)
        assert job._status() == 0
    finally:
        process.kill()
        process.wait()
    assert not runs(process.pid, [marker])


def test_what_is_queued_is_kept_and_forgotten_when_it_ends(client: TestClient, settings: Settings) -> None:
    body = {"source": "digits", "recipe": "ddpm-digits", "name": "new", "minutes": 1.5, "set": ["train.batch_size=8"]}
    job = client.post("/api/train", json=body).json()
    record = settings.state / "jobs" / f"{job['id']}.json"
    arguments = json.loads(record.read_text())["arguments"]
    assert shlex.join(arguments) == (
        f"train builtin:digits --recipe ddpm-digits --out {settings.folder / 'new'} --minutes 1.5 --seed 0 "
        "--set=train.batch_size=8"
    )
    assert client.post("/api/train", json=body).status_code == 400  # it waits already
    assert client.delete(f"/api/jobs/{job['id']}").json()["state"] == "cancelled"
    assert not record.exists()


@pytest.mark.parametrize(
    "change",
    [
        *({"name": "../x"}, {"name": ".x"}, {"recipe": "/etc/passwd"}, {"recipe": "x.toml"}, {"source": "/etc"}),
        *({"source": "uploads/../.."}, {"source": ".."}, {"steps": 0}, {"minutes": -1}, {"set": ["x"]}),
        *({"set": ["model.codec.run=/etc"]}, {"set": ["model.codec.run=../.."]}, {"set": ['model.codec={run="/etc"}']}),
    ],
)
def test_trainings_stay_in_their_folders(client: TestClient, settings: Settings, change: dict[str, object]) -> None:
    answer = client.post("/api/train", json={"source": "digits", **change})
    assert 400 <= answer.status_code < 500
    assert not (settings.state / "jobs").exists()


def test_go_on_takes_the_runs_own_configuration(client: TestClient, settings: Settings) -> None:
    job = client.post("/api/runs/first/go-on", json={"steps": 1_000_000}).json()
    assert f"--recipe {settings.folder / 'first' / 'config.toml'}" in job["command"]
    assert "--steps 1000000 " in job["command"]


def test_only_what_trains_can_be_stopped(client: TestClient) -> None:
    assert client.post("/api/runs/first/stop").status_code == 400
    assert client.post("/api/runs/nothing/stop").status_code == 404
