"""The process that computes: streams, cancelled within a step, ended and started anew."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unnoise
from unnoise.studio.worker import TaskFailed, Worker


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("runs") / "digits"
    unnoise.train(
        "digits", "ddpm-digits", folder, steps=2, overrides={"model.network.channels": 16, "train.samples": 4}
    )
    return str(folder)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker("device")
    yield worker
    worker.stop()


def asked(run: str, **changes: Any) -> dict[str, Any]:
    sampler = {"kind": "ddim", "steps": 4}
    return {"run": run, "seed": 3, "number": 2, "sampler": sampler, "conditions": {}, "guidance": 1.0, **changes}


def do(worker: Worker, task: str, request: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    return asyncio.run(worker.run(task, request, events.append)), events


def test_sampling_streams_the_noise_and_every_step(worker: Worker, run: str) -> None:
    result, events = do(worker, "sample", asked(run))
    assert [event["index"] for event in events] == [0, 1, 2, 3, 4]
    assert events[0]["x_0"] is None
    assert all(event["x"].startswith("data:image/png;base64,") for event in events)
    assert events[-1]["t"] == 0.0
    assert "--sampler ddim@4" in result["command"]


def test_the_command_line_gives_the_same_picture(worker: Worker, run: str, tmp_path: Path) -> None:
    import base64
    import shlex

    from unnoise.cli import app

    result, _ = do(worker, "sample", asked(run))
    words = shlex.split(result["command"])[1:]
    words[-1] = str(tmp_path / "samples.png")
    app(words, result_action="return_value")
    assert (tmp_path / "samples.png").read_bytes() == base64.b64decode(result["sheet"].partition(",")[2])


def test_cancelled_within_a_step_and_ready_for_the_next(worker: Worker, run: str) -> None:
    events: list[dict[str, Any]] = []

    def emit(event: dict[str, Any]) -> None:
        events.append(event)
        if len(events) == 3:
            worker.cancel()

    long = asked(run, sampler={"kind": "ddpm", "steps": 1000})
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(worker.run("sample", long, emit))
    assert events[-1]["index"] < 200
    assert len(do(worker, "sample", asked(run))[1]) == 5


def test_errors_speak_and_faults_do_not(worker: Worker, run: str) -> None:
    with pytest.raises(TaskFailed, match="unknown sampler 'dim'"):
        do(worker, "sample", asked(run, sampler={"kind": "dim"}))
    with pytest.raises(TaskFailed, match="takes no label"):
        do(worker, "sample", asked(run, conditions={"label": "z"}))
    with pytest.raises(TaskFailed, match="the terminal says more"):
        do(worker, "sample", {})


def test_a_process_that_dies_is_replaced(worker: Worker, run: str) -> None:
    do(worker, "sample", asked(run))
    os.kill(worker._process.pid, signal.SIGKILL)
    with pytest.raises(TaskFailed, match="memory is short"):
        do(worker, "sample", asked(run))
    assert len(do(worker, "sample", asked(run))[1]) == 5


def test_the_other_tasks(worker: Worker, run: str, tmp_path: Path) -> None:
    from PIL import Image

    picture, mask = tmp_path / "picture.png", tmp_path / "mask.png"
    Image.new("L", (8, 8), 128).save(picture)
    Image.fromarray(np.tile(np.uint8([0, 255]), (8, 4))).save(mask)
    given = {"run": run, "seed": 0, "number": 2, "conditions": {}, "guidance": 1.0, "image": str(picture)}
    result, events = do(worker, "edit", {**given, "task": "inpaint", "mask": str(mask), "options": {"steps": 3}})
    assert (len(result["pictures"]), [event["index"] for event in events]) == (2, [1, 2, 3])
    seeds = [{"seed": seed, "picture": None} for seed in (1, 2, 3)]
    result, events = do(worker, "interpolate", {"run": run, "givens": seeds[:2], "steps": 2, "count": 3})
    assert [event["index"] for event in events] == [0, 1, 2]
    assert do(worker, "arithmetic", {"run": run, "givens": seeds, "steps": 2})[0]["image"].startswith("data:")
    assert (
        do(worker, "invert", {"run": run, "givens": [{"seed": 0, "picture": str(picture)}], "steps": 2})[0]["psnr"] > 0
    )
    step = next(Path(run, "samples").glob("*.png"))
    found = do(worker, "nearest", {"run": run, "picture": str(step), "cell": 1})[0]["nearest"]
    assert [item["distance"] for item in found] == sorted(item["distance"] for item in found)
    kinds = {entry["kind"] for entry in do(worker, "describe", {})[0]["samplers"]}
    assert {"ddim", "ddpm", "heun"} <= kinds
    flow = {
        "mixture": "two",
        "schedule": {"kind": "vp"},
        "sampler": {"kind": "heun", "steps": 3},
        "number": 5,
        "seed": 0,
    }
    moments = do(worker, "flow", flow)[0]["steps"]
    assert [len(moment["x"]) for moment in moments] == [5] * 4
    game = {"mixture": "ring", "penalty": 1.0, "rate": 0.002, "steps": 10, "seed": 0}
    moments = do(worker, "collapse", game)[1]
    assert [event["step"] for event in moments] == [0, 10]
    assert [len(event.get("data", ())) for event in moments] == [400, 0]
    assert [len(event["x"]) for event in moments] == [256, 256]
    report = do(worker, "inspect", {"source": "digits"})[0]["report"]
    assert report["count"] == 1498
