"""The page of a run: index.html in its folder, written anew while it trains. Opened as a file, without a server."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from unnoise.files import write_atomic
from unnoise.progress import printable
from unnoise.runs.html import render
from unnoise.runs.run import Run, is_run
from unnoise.training.log import TrainLog
from unnoise.training.page_content import PAGE, Standing, content

EVERY = 20.0
"""Seconds after which a page is out of date though nothing was saved or drawn."""
FRACTION = 0.01
"""Of the time of a training that its page may take."""


class LivePage:
    """Writes a run's page whenever it is due: after news, and every so often, at most FRACTION of the time.

    A page that cannot be written costs itself alone: that is said once, and the training goes on.

    Args:
        run: whose page it is; its plan is shown.
        log: where a failure is said.
        clock: seconds.
    """

    def __init__(self, run: Run, log: TrainLog, clock: Callable[[], float] = time.monotonic) -> None:
        self.file, self.cost = page_file(run.folder), 0.0
        self._run, self._log, self._clock = run, log, clock
        self._news, self._failed = True, False
        self._written = self._allowed = clock()

    def announce(self) -> None:
        """Something was saved or drawn that the next page shows."""
        self._news = True

    def due(self) -> bool:
        now = self._clock()
        return now >= self._allowed and (self._news or now >= self._written + EVERY)

    def write(self, standing: Standing) -> None:
        """Writes the page as the training stands; nothing where the run's folder is gone."""
        begun = self._clock()
        if is_run(self._run.folder):
            self._try_to_write(standing)
        self._news, self._written = False, self._clock()
        self.cost = self._written - begun
        self._allowed = self._written + self.cost / FRACTION

    def _try_to_write(self, standing: Standing) -> None:
        again = max(EVERY, self.cost / FRACTION) if standing.going_on else None
        try:
            write_atomic(self.file, render("run.html", refresh=again, **content(self._run, standing)))
        except Exception as error:  # whatever it is, a page is not worth a training; it is said, and not hidden
            if not self._failed:
                what = printable(f"{type(error).__name__}: {error}")
                self._log.say(f"the run's page cannot be written ({what}); the training goes on without it")
            self._failed = True


def page_file(folder: Path) -> Path:
    """The page of a run."""
    return folder / PAGE
