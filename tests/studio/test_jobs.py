"""The queue: one at a time, in order, cancelled at any time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from unnoise.errors import UserError
from unnoise.studio import jobs
from unnoise.studio.jobs import Job, Queue
from unnoise.studio.paths import NotFound


class Held(Job):
    """Works until it is released or stopped."""

    def __init__(self, title: str, log: list[str], fault: BaseException | None = None) -> None:
        super().__init__(title)
        self.log, self.fault = log, fault
        self.released, self.stopped = asyncio.Event(), False

    async def work(self) -> dict[str, Any]:
        self.log.append(f"{self.title} begins")
        await self.released.wait()
        if self.stopped:
            raise asyncio.CancelledError
        if self.fault is not None:
            raise self.fault
        self.log.append(f"{self.title} ends")
        return {"title": self.title}

    def stop(self) -> None:
        self.stopped = True
        self.released.set()


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def run(scene: Any) -> None:
    async def whole() -> None:
        queue = Queue()
        queue.start()
        try:
            await scene(queue)
        finally:
            await queue.close()

    asyncio.run(whole())


def test_one_works_and_the_rest_wait_in_order() -> None:
    async def scene(queue: Queue) -> None:
        log: list[str] = []
        first, second, third = (Held(name, log) for name in "abc")
        for job in (first, second, third):
            queue.add(job)
        await until(lambda: first.state == "running")
        assert [job["before"] for job in queue.summaries()] == [1, 0, None]
        third.released.set()
        second.released.set()
        first.released.set()
        await until(lambda: third.state == "done")
        assert log == ["a begins", "a ends", "b begins", "b ends", "c begins", "c ends"]
        assert third.result == {"title": "c"}

    run(scene)


def test_lanes_do_not_wait_for_each_other() -> None:
    async def scene(queue: Queue) -> None:
        device, light = Held("a", []), Held("b", [])
        light.lane = "light"
        queue.add(device)
        queue.add(light)
        await until(lambda: device.state == light.state == "running")
        device.stop()
        light.stop()

    run(scene)


def test_what_waits_and_what_works_can_be_cancelled() -> None:
    async def scene(queue: Queue) -> None:
        log: list[str] = []
        first, second, third = (Held(name, log) for name in "abc")
        for job in (first, second, third):
            queue.add(job)
        await until(lambda: first.state == "running")
        queue.cancel(second)
        queue.cancel(first)
        await until(lambda: third.state == "running")
        assert (first.state, second.state) == ("cancelled", "cancelled")
        assert log == ["a begins", "c begins"]
        third.stop()

    run(scene)


def test_errors_are_shown_and_faults_do_not_end_the_lane(capsys: pytest.CaptureFixture[str]) -> None:
    async def scene(queue: Queue) -> None:
        known, fault, last = Held("a", [], UserError("no such run")), Held("b", [], KeyError("secret")), Held("c", [])
        for job in (known, fault, last):
            job.released.set()
            queue.add(job)
        await until(lambda: last.state == "done")
        assert (known.state, known.error) == ("failed", "no such run")
        assert fault.state == "failed"
        assert "secret" not in fault.error

    run(scene)
    assert "KeyError" in capsys.readouterr().err


def test_a_job_that_nobody_watches_any_longer_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "LEAVE", 0.0)

    async def scene(queue: Queue) -> None:
        watched, staying = Held("a", []), Held("b", [])
        staying.lane, staying.stays = "light", True
        for job in (watched, staying):
            queue.add(job)
        await until(lambda: watched.state == staying.state == "running")
        await queue.left(watched)
        await queue.left(staying)
        await until(lambda: watched.state == "cancelled")
        assert staying.state == "running"
        staying.stop()

    run(scene)


def test_whoever_comes_late_sees_everything() -> None:
    async def scene(queue: Queue) -> None:
        job = Held("a", [])
        queue.add(job)
        await until(lambda: job.state == "running")
        job.emit("frame", {"index": 0})
        job.emit("frame", {"index": 1})
        job.released.set()
        seen = [item async for item in job.watch()]
        again = [item async for item in job.watch()]
        frames = [item[1]["index"] for item in again if item and item[0] == "frame"]
        assert frames == [0, 1]
        assert seen[-1] is not None
        assert seen[-1][1]["state"] == again[-1][1]["state"] == "done"  # type: ignore[index]

    run(scene)


def test_finished_jobs_are_forgotten_and_too_many_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "KEPT", 2)
    monkeypatch.setattr(jobs, "WAITING", 3)

    async def scene(queue: Queue) -> None:
        done = [Held(str(index), []) for index in range(4)]
        for job in done:
            job.released.set()
            queue.add(job)
            await until(lambda job=job: job.state == "done")
        queue.add(held := Held("held", []))
        await until(lambda: held.state == "running")
        with pytest.raises(NotFound):
            queue.get(done[0].id)
        for _ in range(3):
            queue.add(Held("waits", []))
        with pytest.raises(UserError, match="wait already"):
            queue.add(Held("one too many", []))
        held.stop()

    run(scene)
