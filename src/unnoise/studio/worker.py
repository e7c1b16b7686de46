"""The process that holds torch: one task at a time, its events streamed back, cancelled within a network call."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from unnoise.aliases import Record
from unnoise.errors import UserError

Emit = Callable[[Record], None]


class Cancelled(BaseException):
    """The page no longer wants what is being computed."""


class TaskFailed(UserError):
    """What a task says to the user."""


class Worker:
    """The server's side. The process starts with `start`, and anew with the first task after it ended."""

    def __init__(self, name: str, threads: bool = True) -> None:
        self.name, self.threads = name, threads
        self._context = multiprocessing.get_context("spawn")
        self._process: Any = None
        self._pipe: Connection | None = None
        self._cancelled = self._context.Value("q", -1)
        self._number = 0

    def start(self) -> None:
        if self._process is not None and self._process.is_alive():
            return
        self._pipe, other = self._context.Pipe()
        arguments = (other, self._cancelled, self.threads)
        self._process = self._context.Process(target=work, args=arguments, name=self.name, daemon=True)
        self._process.start()
        other.close()

    async def run(self, task: str, request: Record, emit: Emit) -> Record:
        """The task's result; emit: called with each of its events.

        Raises:
            TaskFailed: with a message for the user.
            asyncio.CancelledError: when `cancel` ended it.
        """
        self.start()
        assert self._pipe is not None
        self._number += 1
        self._pipe.send((self._number, task, request))
        while True:
            try:
                kind, content = await asyncio.to_thread(self._pipe.recv)
            except (EOFError, OSError):
                await asyncio.to_thread(self._process.join)
                raise self._ended() from None
            if kind == "event":
                emit(content)
            elif kind == "result":
                return content
            elif kind == "cancelled":
                raise asyncio.CancelledError
            else:
                raise TaskFailed(content)

    def cancel(self) -> None:
        """Ends the task that runs now."""
        self._cancelled.value = self._number
        if self._process is not None and self._process.is_alive():
            if hasattr(signal, "SIGUSR1"):
                os.kill(self._process.pid, signal.SIGUSR1)
            else:
                self._process.terminate()

    def stop(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()

    def _ended(self) -> BaseException:
        if self._cancelled.value == self._number:
            return asyncio.CancelledError()
        return TaskFailed(
            f"the process that computes ended with status {self._process.exitcode}, as it does where memory is short; "
            "ask for fewer images at once"
        )


class _Interrupter:
    """Turns the signal into `Cancelled`, never in the middle of a message."""

    def __init__(self, cancelled: Any) -> None:
        self.cancelled, self.number, self.sending = cancelled, -1, False

    def __call__(self, *_: object) -> None:
        if not self.sending:
            self.check()

    def check(self) -> None:
        if self.number >= 0 and self.cancelled.value == self.number:
            raise Cancelled


def work(pipe: Connection, cancelled: Any, threads: bool) -> None:
    """The process's side: tasks until the server closes the pipe. threads: whether torch may use all cores."""
    interrupter = _Interrupter(cancelled)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is for the server
    if hasattr(signal, "SIGUSR1"):
        signal.signal(signal.SIGUSR1, interrupter)
    import torch

    if not threads:
        torch.set_num_threads(1)

    while True:
        try:
            number, task, request = pipe.recv()
        except (EOFError, OSError):
            return
        _send(pipe, _outcome(pipe, interrupter, number, task, request))


def _outcome(pipe: Connection, interrupter: _Interrupter, number: int, task: str, request: Record) -> tuple[str, Any]:
    from unnoise.studio.tasks import find

    def emit(event: Record) -> None:
        interrupter.sending = True
        try:
            pipe.send(("event", event))
        finally:
            interrupter.sending = False
        interrupter.check()

    try:
        interrupter.number = number
        interrupter.check()
        result = find(task)(request, emit)
        interrupter.number = -1
        return "result", result
    except Cancelled:
        return "cancelled", None
    except (UserError, OSError) as error:
        return "failed", str(error)
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        return "failed", f"a fault of unnoise: {type(error).__name__}; the terminal says more"
    finally:
        interrupter.number = -1


def _send(pipe: Connection, outcome: tuple[str, Any]) -> None:
    try:
        pipe.send(outcome)
    except (BrokenPipeError, OSError):  # the server is gone
        sys.exit(0)
