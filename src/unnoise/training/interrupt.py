"""Stopping politely."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class Interrupt:
    """Within, SIGINT, SIGTERM and SIGHUP set `asked` instead of ending the process; a second SIGINT ends it as usual.

    SIGHUP is what a terminal that closes, or a lost connection, sends.
    """

    SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

    def __init__(self) -> None:
        self.asked = ""

    def __enter__(self) -> Interrupt:
        # Only the main thread may set handlers; elsewhere (a notebook server, a web page) the caller stops the run.
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            # Who ignores a signal, as nohup does SIGHUP, wants the training to go on.
            heard = [n for n in self.SIGNALS if n == signal.SIGINT or signal.getsignal(n) != signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._ask) for number in heard}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._main:
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = signal.Signals(number).name
