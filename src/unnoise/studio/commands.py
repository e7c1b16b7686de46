"""Jobs that are the command line in a process of its own: they outlive the studio, and write only to files."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unnoise.errors import UserError
from unnoise.files import write_atomic
from unnoise.runs.curves import TAIL
from unnoise.studio.jobs import FINISHED, Job

EVERY = 0.3
"""Seconds between looks at a process."""


@dataclass(frozen=True)
class Record:
    """What is kept of a command, so that a studio started anew knows it. process: None while it waits."""

    id: str
    kind: str
    title: str
    run: str | None
    arguments: list[str]
    process: int | None = None


class Command(Job):
    """`unnoise ARGUMENTS`; its output goes to a log. state: the folder of records and logs."""

    stays = True

    def __init__(self, kind: str, title: str, arguments: Sequence[str], state: Path, run: str | None = None) -> None:
        super().__init__(title, run)
        self.kind, self.arguments, self.folder = kind, list(arguments), state
        self._process: subprocess.Popen[bytes] | None = None
        self._adopted: int | None = None
        self._asked = False

    @classmethod
    def restored(cls, record: Record, state: Path) -> Command:
        """The job of a record: it waits again, or goes on where its process still lives."""
        job = cls(record.kind, record.title, record.arguments, state, record.run)
        job.id, job._adopted = record.id, record.process
        return job

    @property
    def log(self) -> Path:
        return self.folder / f"{self.id}.log"

    @property
    def line(self) -> str:
        """As one would type it."""
        return shlex.join(["unnoise", *self.arguments])

    def summary(self) -> dict[str, Any]:
        return {**super().summary(), "command": self.line}

    def keep(self) -> None:
        """Writes the record."""
        process = self._process.pid if self._process is not None else self._adopted
        record = Record(self.id, self.kind, self.title, self.run, self.arguments, process)
        write_atomic(self.folder / f"{self.id}.json", json.dumps(record.__dict__))

    def set(self, state: str, error: str = "") -> None:
        super().set(state, error)
        if state in FINISHED:
            (self.folder / f"{self.id}.json").unlink(missing_ok=True)

    async def work(self) -> dict[str, Any]:
        if self._adopted is None:
            self._start()
        while (status := self._status()) is None:
            await asyncio.sleep(EVERY)
        if self._asked and self.kind != "train":
            raise asyncio.CancelledError
        if status:
            raise UserError(last_line(self.log) or f"it ended with status {status}")
        return {}

    def stop(self) -> None:
        """Politely: a training finishes its step and saves; a second time it is interrupted."""
        process = self._process.pid if self._process is not None else self._adopted
        if process is not None:
            os.kill(process, signal.SIGINT if self._asked else signal.SIGTERM)
        self._asked = True

    def _start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "unnoise", *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.keep()

    def _status(self) -> int | None:
        """The exit status, None while it runs; of an adopted process nobody knows how it ended."""
        if self._process is not None:
            return self._process.poll()
        assert self._adopted is not None
        return None if runs(self._adopted, self.arguments) else 0


def restore(state: Path) -> list[Command]:
    """The commands that another studio left behind: running ones first, then those that wait, in order."""
    jobs = []
    for file in sorted(state.glob("*.json"), key=lambda file: file.stat().st_mtime):
        record = _record(file)
        if record is None or (record.process is not None and not runs(record.process, record.arguments)):
            file.unlink(missing_ok=True)
        else:
            jobs.append(Command.restored(record, state))
    return sorted(jobs, key=lambda job: job._adopted is None)


def runs(process: int, arguments: Sequence[str]) -> bool:
    """Whether this process is that command: numbers of processes are used again."""
    found = _command_of(process)
    return bool(found) and all(argument in found for argument in arguments)


def last_line(log: Path) -> str:
    """What a command said last."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, 2) - TAIL))
            lines = stream.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1].removeprefix("unnoise: ") if lines else ""


def _record(file: Path) -> Record | None:
    try:
        return Record(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):  # written by a version that kept other things
        return None


def _command_of(process: int) -> str:
    listing = Path(f"/proc/{process}/cmdline")
    if listing.parent.parent.is_dir() and Path("/proc/self").exists():
        try:
            return listing.read_text().replace("\0", " ")
        except OSError:
            return ""
    asked = subprocess.run(["ps", "-p", str(process), "-o", "command="], capture_output=True, text=True, check=False)
    return asked.stdout
