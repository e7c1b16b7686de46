"""Starting several processes on this machine, as torchrun does."""

from __future__ import annotations

import logging
import os
import signal
import sys
import uuid
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from unnoise.errors import UserError
from unnoise.progress import complain
from unnoise.runtime.threads import VARIABLE, usable_cpus

PATIENCE = 600
"""Seconds that processes have to finish a step and save when the command is stopped."""


def started_by_torchrun() -> bool:
    """Whether this process is one of several that torchrun, or what sets the same variables, has started."""
    return int(os.environ.get("WORLD_SIZE", 1)) > 1 and {"RANK", "MASTER_ADDR"} <= os.environ.keys()


def start_processes(count: int, arguments: Sequence[str]) -> int:
    """Runs `unnoise ARGUMENTS` in `count` processes that work together, and waits for them.

    Returns:
        The exit status: 0, or that of the process that failed first.

    Raises:
        UserError: for fewer than one process.
    """
    if count < 1:
        raise UserError(f"--processes must be at least 1; got {count}")
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch

    os.environ.setdefault(VARIABLE, str(max(1, usable_cpus() // count)))
    for name in ("torch.distributed.elastic", "torch.distributed.launcher"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # its tables of failures: there is one line about each
    try:
        elastic_launch(_configuration(count), sys.executable)("-m", "unnoise", *arguments)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:
            name = signal.Signals(-failure.exitcode).name
            complain(f"unnoise: process {rank} of {count} was ended by {name}; the same command goes on")
        return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    except SignalException as stopped:
        return 128 + stopped.sigval
    return 0


def _configuration(count: int) -> Any:
    from torch.distributed.launcher.api import LaunchConfig

    # Older versions of torch do not have it, and wait half a minute.
    waiting: dict[str, Any] = (
        {"shutdown_timeout": PATIENCE} if "shutdown_timeout" in {f.name for f in fields(LaunchConfig)} else {}
    )
    return LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.1,
        **waiting,
    )
