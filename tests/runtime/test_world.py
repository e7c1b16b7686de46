"""Several processes exchange what they should, draw the same images and measure the same numbers as one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from unnoise.cli import _run
from unnoise.errors import ProcessLost, UserError
from unnoise.runs.run import Run
from unnoise.runtime.world import ALONE, Ranks, World, join
from unnoise.training.train import train

MEMBERS = Path(__file__).with_name("members.py")
TINY = {
    "model.network.channels": 8,
    "model.network.multipliers": [1],
    "model.network.attention": [],
    "model.schedule.T": 20,
    "sampler.steps": 2,
    "train.batch_size": 4,
    "train.samples": 0,
}


class Done(NamedTuple):
    """Where so many processes left what they found."""

    folder: Path
    found: dict[str, Any]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("runs") / "run"
    return train("digits", "ddpm-digits", folder, steps=2, overrides=TINY, device="cpu")


@pytest.fixture(scope="module")
def done(run: Run, together: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> dict[int, Done]:
    found = {}
    for count in (1, 2):
        folder = tmp_path_factory.mktemp(f"by {count}")
        together(count, MEMBERS, folder, run.folder)
        found[count] = Done(folder, json.loads((folder / "found.json").read_text()))
    return found


def test_what_processes_exchange(done: dict[int, Done]) -> None:
    first, second = done[2].found["exchanges"]
    for one in (first, second):
        assert one["agreed"] == [1, 0, 1]
        assert one["gathered"] == ["process 0", "process 1"]
        assert one["broadcast"] == {"of": 0}
        # (1 x + 2 x)^2 y at x = 3, y = 5: what each process adds to the slope of the sum of both losses.
        assert one["slopes"][1] == 81
    assert [first["slopes"][0], second["slopes"][0]] == [2 * 2 * 9 * 5, 2 * 2 * 9 * 5 * 2]
    assert [first["portion"], second["portion"]] == [[0, 4], [3, 7]]
    assert [first["found"], second["found"]] == [False, True]
    (alone,) = done[1].found["exchanges"]
    assert alone["slopes"] == [2 * 3 * 5, 9, 2 * 5]
    assert alone["agreed"] == [0, 0, 1]


@pytest.mark.parametrize("time", ["one", "rows"])
@pytest.mark.parametrize("of", ["x_0", "x", "t"])
def test_a_denoiser_whose_rows_are_divided_is_the_denoiser(done: dict[int, Done], time: str, of: str) -> None:
    found = torch.load(done[2].folder / "split.pt", weights_only=True)
    assert torch.allclose(found[f"{time} {of} split"], found[f"{time} {of} whole"], atol=1e-6)


@pytest.mark.parametrize("name", ["samples.npz", "few.npy"])
def test_the_images_are_the_same(done: dict[int, Done], name: str) -> None:
    one, two = (np.load(done[count].folder / name) for count in (1, 2))
    assert np.array_equal(*((one, two) if name.endswith("npy") else (one["images"], two["images"])))


def test_the_numbers_are_the_same(done: dict[int, Done]) -> None:
    one, two = (done[count].found["measured"] for count in (1, 2))
    for name in ("fid", "fid_interval", "precision", "recall", "n"):
        assert two[name] == one[name]
    for name in ("bits_per_dim", "bits_per_dim_ode"):
        assert two[name] == pytest.approx(one[name], rel=1e-5)
    assert two["samples"]["network_calls"] == one["samples"]["network_calls"]


def test_the_tuned_sampler_is_the_same(done: dict[int, Done]) -> None:
    one, two = (done[count].found["tuned"] for count in (1, 2))
    assert two["kept"] == one["kept"]
    assert two["held_out"] == pytest.approx(one["held_out"], rel=1e-4)
    assert two["network_calls"] == one["network_calls"]


def test_one_process_exchanges_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert join() is ALONE
    x = torch.ones(2)
    assert ALONE.sum(x) is x
    assert (ALONE.agree(3, 0), ALONE.gather(x), ALONE.portion(5, 2)) == ((3, 0), [x], slice(0, 5))
    assert ALONE.replicated([], max, lambda: x) is max


@pytest.mark.parametrize("count", [0, 1, 5, 64])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("size", [1, 2, 7])
def test_portions_are_whole_batches_and_all_rows(count: int, batch: int, size: int) -> None:
    portions = []
    for rank in range(size):
        world = World()
        world.rank, world.size = rank, size
        portions.append(range(count)[world.portion(count, batch)])
    assert [row for rows in portions for row in rows] == list(range(count))
    assert all(rows.start % batch == 0 for rows in portions if rows)


def rank_of(size: int) -> Ranks:
    world = Ranks.__new__(Ranks)
    world.rank, world.size, world.local_rank, world.local_size = 0, size, 0, size
    return world


def test_a_card_belongs_to_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert rank_of(2).device(None) == rank_of(2).device("cuda") == "cuda"
    assert chosen == [0, 0]
    assert rank_of(3).device("cpu") == "cpu"
    with pytest.raises(UserError, match=r"3 processes on .*, which has 2 GPUs"):
        rank_of(3).device(None)
    for one in ("cuda:1", "mps"):
        with pytest.raises(UserError, match="2 processes cannot share device"):
            rank_of(2).device(one)


def test_a_lost_connection_is_told_from_a_bug() -> None:
    with pytest.raises(ProcessLost, match="process 0 of 2 lost the connection"), rank_of(2).watched():
        raise RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:1234")
    with pytest.raises(RuntimeError, match="shapes"), rank_of(2).watched():
        raise RuntimeError("shapes do not match")


def test_commands_of_one_process_are_refused_under_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="unnoise doctor runs in one process; those that share work are train"):
        _run(["doctor"])
