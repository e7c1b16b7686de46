"""One step is the same step on 1, 2, 3 and 4 processes; a run outlives any of them and goes on with any number."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from unnoise.aliases import Record
from unnoise.errors import UserError
from unnoise.networks.conv import ConvClassifier
from unnoise.runs.checkpoint import checkpoints
from unnoise.runs.config import parse_overrides
from unnoise.runs.metrics_file import read_metrics
from unnoise.runtime.world import World
from unnoise.training.interrupt import Interrupt
from unnoise.training.parts import divided, rows_in
from unnoise.training.session import Session
from unnoise.training.train import train
from unnoise.training.trainer import check_divisible

from .ranks import BATCH, CASES, found_in

RANKS = Path(__file__).with_name("ranks.py")
Found = dict[str, dict[str, Any]]
Together = Callable[..., None]


@pytest.fixture(scope="module")
def on_one() -> Callable[[str], dict[str, Any]]:
    known: Found = {}

    def found(case: str) -> dict[str, Any]:
        if case not in known:
            known[case] = found_in(case)
        return known[case]

    return found


def on_several(together: Together, count: int, out: Path, cases: Iterable[str]) -> Found:
    together(count, RANKS, out, *cases)
    return torch.load(out, weights_only=True)


@pytest.fixture(scope="module")
def on_three(together: Together, tmp_path_factory: pytest.TempPathFactory) -> Found:
    return on_several(together, 3, tmp_path_factory.mktemp("three") / "found.pt", CASES)


def relative(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    assert a.keys() == b.keys()
    return max(float((a[phase] - b[phase]).norm() / a[phase].norm()) for phase in a)


def assert_same(one: dict[str, Any], several: dict[str, Any]) -> None:
    assert relative(one["fp32"], several["fp32"]) < 1e-5
    assert relative(one["fp64"], several["fp64"]) < 1e-10
    assert several["losses"] == pytest.approx(one["losses"], rel=1e-4)
    assert several["again"] == several["last"], "what resumes goes on to the bit"
    for name, value in one["history"].items():
        assert torch.allclose(value, several["history"][name], rtol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_three_processes_compute_the_step_of_one(case: str, on_one: Any, on_three: Found) -> None:
    assert_same(on_one(case), on_three[case])


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_two_and_four_processes_compute_every_step_of_one(
    count: int, on_one: Any, together: Together, tmp_path: Path
) -> None:
    found = on_several(together, count, tmp_path / "found.pt", CASES)
    for case in CASES:
        assert_same(on_one(case), found[case])


@pytest.mark.parametrize("case", ["diffusion", "buckets", "bound"])
def test_a_batch_in_passes_is_the_batch_at_once(case: str, on_one: Any) -> None:
    """Noise and dropout were drawn anew for each pass, so that another number of them trained on other draws."""
    at_once, in_passes = on_one(case), on_one(f"{case} in passes")
    assert relative(at_once["fp32"], in_passes["fp32"]) < 1e-5
    assert relative(at_once["fp64"], in_passes["fp64"]) < 1e-10
    assert in_passes["losses"] == pytest.approx(at_once["losses"], rel=1e-4)


class Position(World):
    """A process of several, as far as rows go."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size


@pytest.mark.parametrize(("passes", "size"), [(1, 1), (1, 5), (3, 2), (4, 3)])
def test_every_row_is_computed_once_and_passes_do_not_depend_on_processes(passes: int, size: int) -> None:
    rows, alone = [], divided(BATCH, passes, World())
    for rank in range(size):
        parts = divided(BATCH, passes, Position(rank, size))
        assert [(p.first, p.last) for p in parts] == [(p.start, p.stop) for p in alone]
        rows += list(range(BATCH)[rows_in(parts)] if parts[0].whole else rows_in(parts))  # type: ignore[index, arg-type]
    assert sorted(rows) == list(range(BATCH))


class Listening(Position):
    """A process that is not the first, which has been at work for five seconds."""

    def agree(self, *values: int) -> tuple[int, ...]:
        assert values[1:] == (False, False, 0), "only the first looks at its guard and its clock"
        return (values[0], False, False, 5_000_000)


def test_learning_rates_follow_the_clock_of_the_first() -> None:
    """With minutes the rate falls with time, and the weights of processes with clocks of their own drifted apart."""
    session = Session.__new__(Session)
    session.world, session.trainer = Listening(1, 2), SimpleNamespace(seconds=9.0)  # type: ignore[assignment]
    session.validation = None
    with Interrupt() as interrupt:
        assert session._stops(interrupt) == ""
        assert session.trainer.seconds == 5.0
        interrupt.asked = "SIGTERM"
        assert session._stops(interrupt) == "SIGTERM"


class Normalising:
    """What is looked at of an objective."""

    model = ConvClassifier(1, (8, 8), 2)

    def modules(self) -> dict[str, Any]:
        return {}


def test_what_several_processes_cannot_compute_is_refused() -> None:
    with pytest.raises(UserError, match="batch normalisation takes its statistics"):
        check_divisible(Normalising(), 8, Position(0, 2))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="4 processes for 3 images at a time"):
        check_divisible(Normalising(), 3, Position(0, 4))  # type: ignore[arg-type]
    check_divisible(Normalising(), 1, World())  # type: ignore[arg-type]


SMALL = [
    *("model.network.channels=8", "model.network.blocks=1", "model.network.dropout=0.1", "model.schedule.T=20"),
    *("sampler.steps=5", "train.batch_size=8", "train.samples=4", "train.log_every=1", "train.precision=fp32"),
    *("data.limit=64", "train.keep=50"),
]


def command(out: Path, steps: int, *more: str, count: int = 1, source: str = "digits") -> list[str]:
    settings = [word for setting in SMALL for word in ("--set", setting)]
    train = ["train", source, "--recipe", "ddpm-digits", "--out", str(out), "--steps", str(steps), *settings, "--json"]
    several = ["--processes", str(count)] if count > 1 else []
    return [sys.executable, "-m", "unnoise", *train, "--device", "cpu", *several, *more]


def run(words: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(words, capture_output=True, text=True, timeout=300, env=environment, check=False)


def alone(out: Path, steps: int) -> Record:
    """The same in this process."""
    done = train("digits", "ddpm-digits", out, steps=steps, overrides=parse_overrides(SMALL), device="cpu")
    assert done.summary is not None
    return done.summary


def losses(out: Path) -> list[float]:
    return [line["loss"] for line in read_metrics(out) if "loss" in line]


def test_a_run_of_two_goes_on_alone_as_if_it_had_been_alone(tmp_path: Path) -> None:
    several = run(command(tmp_path / "run", 4, count=2))
    assert several.returncode == 0, several.stderr
    summary = json.loads(several.stdout)  # of one process alone
    assert (summary["steps"], summary["images"], summary["resumed_from"]) == (4, 32, None)
    assert (tmp_path / "run" / "samples" / "4.png").is_file()
    assert alone(tmp_path / "run", 8)["resumed_from"] == 4
    alone(tmp_path / "alone", 8)
    assert losses(tmp_path / "run") == pytest.approx(losses(tmp_path / "alone"), rel=1e-4)
    assert several.stderr.count("data    ") == 1


@pytest.mark.slow
def test_a_checkpoint_of_four_resumes_on_two_and_on_one(tmp_path: Path) -> None:
    out = tmp_path / "run"
    for steps, count in ((3, 4), (6, 2)):
        assert run(command(out, steps, count=count)).returncode == 0
    assert alone(out, 9)["resumed_from"] == 6
    alone(tmp_path / "alone", 9)
    assert losses(out) == pytest.approx(losses(tmp_path / "alone"), rel=1e-4)


def test_what_a_user_gets_wrong_is_reported_once(tmp_path: Path) -> None:
    found = run(command(tmp_path / "run", 4, count=2, source=str(tmp_path / "nothing")))
    assert found.returncode == 2
    assert found.stdout == ""
    assert found.stderr.count("there is no file or folder") == 1
    assert "Traceback" not in found.stderr


@pytest.mark.slow
def test_numbers_that_are_not_finite_send_all_processes_back(tmp_path: Path) -> None:
    broken = ["--set", "train.learning_rate=1e30", "--set", "train.warmup=0"]
    found = run(command(tmp_path / "run", 9, *broken, count=2))
    assert found.returncode == 2
    assert found.stderr.count("lower train.learning_rate") == 1


def started(words: list[str], out: Path, checkpoint: int) -> subprocess.Popen[str]:
    """The command, once the run's folder holds so many checkpoints."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    while len(checkpoints(out / "checkpoints")) < checkpoint:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    return process


def workers(parent: int) -> list[int]:
    """The process ids of its children by their ranks."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    ranks = {}
    for child in children:
        variables = dict(pair.split("=", 1) for pair in Path(f"/proc/{child}/environ").read_text().split("\0") if pair)
        if "RANK" in variables:
            ranks[int(variables["RANK"])] = int(child)
    return [ranks[rank] for rank in sorted(ranks)]


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes in /proc")


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_all_and_leaves_a_run_that_resumes(rank: int, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = started(command(out, 100_000, "--set", "train.save_every=0", count=2), out, 3)
    os.kill(workers(process.pid)[rank], signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGKILL
    assert f"process {rank} of 2 was ended by SIGKILL" in errors
    assert "Traceback" not in errors
    at = checkpoints(out / "checkpoints")[-1].step
    again = run(command(out, at + 2, count=2))
    assert json.loads(again.stdout)["resumed_from"] == at


@pytest.mark.slow
@needs_proc
def test_a_signal_to_one_process_stops_all_after_a_checkpoint(tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = started(command(out, 100_000, "--set", "train.save_every=0", count=2), out, 2)
    os.kill(workers(process.pid)[1], signal.SIGTERM)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    summary = json.loads(output)
    assert summary["stopped"] == "SIGTERM"
    assert checkpoints(out / "checkpoints")[-1].step == summary["steps"]


@pytest.mark.slow
@needs_proc
def test_torchrun_starts_again_from_the_last_checkpoint(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = command(out, 20, "--set", "train.save_every=0")
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=1"]
    process = started([sys.executable, *torchrun, *words[1:]], out, 3)
    os.kill(workers(process.pid)[1], signal.SIGKILL)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    summary = json.loads(output)
    assert summary["steps"] == 20
    assert summary["resumed_from"] >= 3
