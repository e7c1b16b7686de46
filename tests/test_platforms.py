"""Nothing that only Linux has is needed: a process without it trains and samples all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import unnoise

CODE = """
import os, platform, sys
sys.modules["resource"] = None
for name in ("sched_getaffinity", "posix_fallocate", "sysconf", "getloadavg", "O_NOFOLLOW", "fork"):
    if hasattr(os, name):
        delattr(os, name)
platform.libc_ver = lambda *_, **__: ("", "")  # no mallopt
import ctypes
def refuse(*_): raise OSError("there is no C library to load")
import torch
ctypes.CDLL = refuse
import unnoise
limits = {"train.samples": 0, "train.batch_size": 4, "data.size": 8, "data.limit": 16, "model.network.channels": 8}
run = unnoise.train("glyphs:size=16,n=16", "ddpm", sys.argv[1], steps=1, overrides=limits, device="cpu")
assert unnoise.load(run, "cpu").sample(n=1, steps=2).shape[2:] == (8, 8)
"""


def test_without_what_only_linux_has(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(unnoise.__file__).parents[1]),
        "UNNOISE_CACHE": str(tmp_path / "cache"),
    }
    command = [sys.executable, "-c", CODE, str(tmp_path / "run")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
