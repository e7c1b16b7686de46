"""What goes wrong in a command: one line on standard error, and an exit status that tells whose fault it is."""

from __future__ import annotations

import os
import platform
import shlex
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from cyclopts import CycloptsError

import unnoise
from unnoise.errors import ProcessLost, UserError
from unnoise.progress import complain, shows

GIVEN, BUG, STOPPED = 2, 70, 130
"""Exit statuses: something that was given, a fault of unnoise (EX_SOFTWARE of sysexits.h), Ctrl-C."""


PATIENCE = 10.0
"""Seconds that another than the first of several processes waits before it complains."""


def status_of(action: Callable[[], object], tokens: list[str], debug: bool = False) -> int:
    """Runs a command; its exit status, after one line about what went wrong, if something did.

    tokens: the command line, for the report of a bug. debug: prints a bug's traceback instead of writing it to a file.
    """
    try:
        action()
    except CycloptsError as error:
        _complain(f"unnoise: {' '.join(str(error).split())} See: unnoise {_command(error)}--help")
        return GIVEN
    except ProcessLost as error:
        if shows():  # one line is enough
            complain(f"unnoise: {error}")
        _leave(GIVEN)
    except (UserError, OSError) as error:
        _complain(f"unnoise: {error}")
        return GIVEN
    except KeyboardInterrupt:
        _complain("unnoise: stopped")
        return STOPPED
    except Exception as error:
        if _out_of_memory(error):
            _complain("unnoise: not enough memory; make the batches smaller, or free some memory")
            return GIVEN
        _report(error, tokens, debug)
        return BUG
    return 0


def _leave(status: int) -> NoReturn:
    """Ends the process at once: torch's threads that wait for a lost process would abort it on its way out."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _complain(text: str) -> None:
    """One line, once for all processes: what the first complains of ends the others while they wait."""
    if not shows():
        time.sleep(PATIENCE)
    complain(text)


def _command(error: CycloptsError) -> str:
    return "".join(f"{word} " for word in error.command_chain or ())


def _out_of_memory(error: Exception) -> bool:
    """torch's error is known by its name: a command that fails before it needs torch does not load it."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def _report(error: Exception, tokens: list[str], debug: bool) -> None:
    trace = "".join(traceback.format_exception(error))
    what = f"unnoise: this is a bug in unnoise, not in what you gave: {type(error).__name__}: {_first_line(error)}"
    file = None if debug else _written(trace, tokens)
    if file is None:
        print(trace, file=sys.stderr)
        _complain(f"{what}; please report it with the traceback above and the output of 'unnoise doctor'")
    else:
        _complain(f"{what}; please report it with the file {file}, which holds the traceback (--debug prints it)")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]


def _written(trace: str, tokens: list[str]) -> Path | None:
    """The file of a report in the cache folder; None where it cannot be written."""
    from unnoise.data.cache import cache_folder
    from unnoise.files import write_atomic

    file = cache_folder() / "bugs" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    about = [
        f"unnoise {unnoise.__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"command: unnoise {shlex.join(tokens)}",
    ]
    try:
        write_atomic(file, "\n".join([*about, "", trace]).encode(errors="backslashreplace"))
    except OSError:
        return None
    return file
