"""Threads and memory: what is free is asked, and more is not taken."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from unnoise.errors import UserError
from unnoise.runtime import memory, threads
from unnoise.runtime.device import chosen_device
from unnoise.runtime.memory import within_memory
from unnoise.runtime.precision import chosen_precision


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Eight CPUs, no quota, no load, torch not imported yet."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 9.0, 9.0), raising=False)
    monkeypatch.setattr(threads, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(threads, "LOAD", tmp_path / "loadavg")
    for name in (threads.VARIABLE, threads.SPINNING, threads.WAITING):
        monkeypatch.setenv(name, "")  # so that what is set here is undone
        monkeypatch.delenv(name)
    monkeypatch.delitem(sys.modules, "torch")
    return tmp_path / "cpu.max"


@pytest.mark.parametrize(
    ("load", "quota", "expected"),
    [(0.0, None, 8), (0.4, None, 8), (2.6, None, 5), (40.0, None, 1), (0.0, "400000 100000", 4), (1, "max 100000", 7)],
)
def test_threads_are_the_cpus_that_are_free(
    machine: Path, monkeypatch: pytest.MonkeyPatch, load: float, quota: str | None, expected: int
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    if quota:
        machine.write_text(quota)
    line = threads.choose_threads()
    assert os.environ[threads.VARIABLE] == str(expected)
    assert (line is None) == (expected == threads.usable_cpus())


@pytest.mark.parametrize(("running", "expected"), [("1", 8), ("3", 6), ("30", 1)])
def test_what_runs_now_counts_and_not_what_ran_a_minute_ago(machine: Path, running: str, expected: int) -> None:
    (machine.parent / "loadavg").write_text(f"7.5 3.1 1.0 {running}/345 6789\n")
    assert threads.free_cpus() == expected


def test_waiting_threads_soon_sleep_unless_the_user_says_how_they_wait(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(threads.WAITING, "ACTIVE")
    threads.choose_threads()
    assert threads.SPINNING not in os.environ
    monkeypatch.delenv(threads.WAITING)
    threads.choose_threads()
    assert os.environ[threads.SPINNING] == threads.SPINS


def test_who_sets_the_threads_has_them(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(threads.VARIABLE, "3")
    assert threads.choose_threads() is None
    assert os.environ[threads.VARIABLE] == "3"


def test_a_container_has_the_memory_of_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:   4000 kB\n")
    assert memory.free_bytes("cpu") == 4000 * 1024
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    assert memory.free_bytes("cpu") == 2000000
    assert memory.total_bytes() == 3000000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_bytes("cpu") == 4000 * 1024


def test_a_model_larger_than_the_memory_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "total_bytes", lambda: 4000)
    with within_memory("the model"):
        nn.Linear(10, 10)
    for width in (100, 10**6, 2**40):
        with pytest.raises(UserError, match="the model has more parameters than"), within_memory("the model"):
            nn.Linear(width, width)


def test_a_device_that_is_not_here_is_one_line_that_names_those_that_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for asked in ("cuda", "cuda:1", "mps", "gpu"):
        with pytest.raises(UserError, match=rf"no device '{asked}' here.* have cpu$"):
            chosen_device(asked)
    assert (chosen_device(None), chosen_device("cpu")) == ("cpu", "cpu")


def test_one_of_several_gpus_is_chosen_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [chosen_device(asked) for asked in (None, "cuda", "cuda:1")] == ["cuda", "cuda", "cuda:1"]
    with pytest.raises(UserError, match=r"no device .cuda:2. here.*cuda:0, cuda:1"):
        chosen_device("cuda:2")


def test_mps_has_what_metal_recommends_less_what_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 5000)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 2000)
    assert memory.free_bytes("mps") == 3000
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 9000)
    assert memory.free_bytes("mps") == 0


@pytest.mark.parametrize(
    ("tiles", "vectors", "expected"), [(True, True, "bf16"), (False, True, "bf16"), (False, False, "fp32")]
)
def test_a_cpu_computes_in_bf16_where_it_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, tiles: bool, vectors: bool, expected: str
) -> None:
    """In vectors as well as in tiles: an EPYC of the fourth generation was taken for one that emulates it."""
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: vectors)
    assert chosen_precision("cpu") == expected
