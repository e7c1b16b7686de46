from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from unnoise.runs import checkpoint as module
from unnoise.runs.checkpoint import UnsoundCheckpoint, checkpoints, newest_valid, prune, save_checkpoint, set_aside
from unnoise.runs.state import read_state, sealed


def save(root: Path, step: int, value: float = 1.0) -> None:
    weights = {"w": torch.full((3, 4), value).t(), "n": torch.tensor(5)}
    save_checkpoint(root, {"model": weights, "ema": weights}, [{"state": {}, "step": step}], {"step": step})


def test_round_trip(tmp_path: Path) -> None:
    save(tmp_path, 7, 2.5)
    checkpoint, refused = newest_valid(tmp_path)
    assert checkpoint is not None
    assert not refused
    assert checkpoint.step == 7
    assert torch.equal(checkpoint.tensors("ema")["w"], torch.full((4, 3), 2.5))
    assert checkpoint.optimizers() == [{"state": {}, "step": 7}]
    assert checkpoint.state()["step"] == 7


@pytest.mark.parametrize("name", ["model.safetensors", "ema.safetensors", "optimizers.pt", "state.json"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_corrupt_checkpoint_falls_back_to_the_one_before(tmp_path: Path, name: str, damage: str) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2)
    file = tmp_path / "2" / name
    data = bytearray(file.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 0xFF
        file.write_bytes(data)
    elif damage == "truncate":
        file.write_bytes(data[: len(data) // 2])
    else:
        file.unlink()
    checkpoint, refused = newest_valid(tmp_path)
    assert checkpoint is not None
    assert checkpoint.step == 1
    assert len(refused) == 1
    assert str(tmp_path / "2") in next(iter(refused.values()))


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 1)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.torch, "save", full)
    with pytest.raises(OSError, match=r"step 2 .* the disk is full; the last good checkpoint is step 1"):
        save(tmp_path, 2)
    assert [found.step for found in checkpoints(tmp_path)] == [1]
    assert not list(tmp_path.glob(".*"))


def test_a_half_written_checkpoint_is_none(tmp_path: Path) -> None:
    """What a process killed while writing leaves behind is not taken for a checkpoint, and the next save clears it."""
    partial = tmp_path / ".3.partial"
    partial.mkdir()
    (partial / "model.safetensors").write_bytes(b"half")
    assert newest_valid(tmp_path) == (None, {})
    save(tmp_path, 3)
    assert [found.step for found in checkpoints(tmp_path)] == [3]


def test_prune_keeps_the_last_and_the_best(tmp_path: Path) -> None:
    for step in range(1, 7):
        save(tmp_path, step)
    prune(tmp_path, keep=2, best=3)
    assert [found.step for found in checkpoints(tmp_path)] == [3, 5, 6]


def test_loading_runs_no_code(tmp_path: Path) -> None:
    """A pickle that would run code in optimizers.pt is refused by weights_only, even with a matching digest."""
    save(tmp_path, 1)

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (exec, ("raise SystemExit('ran')",))

    torch.save([Evil()], tmp_path / "1" / "optimizers.pt")
    state = read_state(tmp_path / "1" / "state.json")
    state["files"]["optimizers.pt"] = module.digest(tmp_path / "1" / "optimizers.pt")
    (tmp_path / "1" / "state.json").write_text(json.dumps(sealed(state)))
    checkpoint, _ = newest_valid(tmp_path)
    assert checkpoint is not None
    with pytest.raises(Exception, match=r"weights_only|Weights only"):
        checkpoint.optimizers()


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path) -> None:
    save(tmp_path, 1)
    for value in (float("nan"), float("inf")):
        with pytest.raises(UnsoundCheckpoint, match="not finite"):
            save(tmp_path, 2, value)
    assert [found.step for found in checkpoints(tmp_path)] == [1]
    assert not list(tmp_path.glob(".*"))


def test_a_checkpoint_of_nans_with_right_digests_is_passed_over(tmp_path: Path) -> None:
    """As versions before saved them."""
    save(tmp_path, 1)
    save(tmp_path, 2)
    file = tmp_path / "2" / "ema.safetensors"
    save_file({"w": torch.tensor([1.0, float("nan")])}, file)
    state = read_state(tmp_path / "2" / "state.json")
    state["files"][file.name] = module.digest(file)
    (tmp_path / "2" / "state.json").write_text(json.dumps(state))
    checkpoint, refused = newest_valid(tmp_path)
    assert checkpoint is not None
    assert checkpoint.step == 1
    assert "not finite" in next(iter(refused.values()))


def test_unsound_checkpoints_do_not_push_out_sound_ones(tmp_path: Path) -> None:
    """Two corrupt ones of later steps: what is saved after going back must stay."""
    for step in (5, 90, 91):
        save(tmp_path, step)
    for step in (90, 91):
        (tmp_path / str(step) / "model.safetensors").write_bytes(b"corrupt")
    checkpoint, refused = newest_valid(tmp_path)
    assert checkpoint is not None
    set_aside(refused)
    save(tmp_path, 6)
    prune(tmp_path, keep=2, best=None)
    assert [found.step for found in checkpoints(tmp_path)] == [5, 6]
    assert sorted(folder.name for folder in tmp_path.glob("*.unsound")) == ["90.unsound", "91.unsound"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"files": {"/dev/zero": "0" * 32}}, "no file of the checkpoint"),
        ({"files": {"../1/model.safetensors": "0" * 32}}, "no file of the checkpoint"),
        ({"files": {"pipe": "0" * 32}}, "no plain file"),
        ({"files": {"link": "0" * 32}}, "no plain file"),
        ({"files": ["model.safetensors"]}, "names no files"),
        ({"files": {"model.safetensors": 3}}, "no digest"),
        ({"step": "1"}, "no step"),
        ({"step": -1}, "no step"),
        ({"step": True}, "no step"),
        ({"step": 3}, "is of step 3"),
        ({"seconds": "long"}, "no number"),
        ({"best": 3}, "best"),
    ],
)
def test_a_state_file_of_a_strangers_making_is_refused_at_once(tmp_path: Path, change: dict, message: str) -> None:
    save(tmp_path, 1)
    os.mkfifo(tmp_path / "1" / "pipe")
    (tmp_path / "1" / "link").symlink_to("/dev/zero")
    state = read_state(tmp_path / "1" / "state.json")
    (tmp_path / "1" / "state.json").write_text(json.dumps(sealed({**state, **change})))
    checkpoint, refused = newest_valid(tmp_path)
    assert checkpoint is None
    assert message in next(iter(refused.values()))


def test_a_state_file_that_was_edited_is_noticed(tmp_path: Path) -> None:
    save(tmp_path, 1)
    file = tmp_path / "1" / "state.json"
    state = json.loads(file.read_text())
    file.write_text(json.dumps({**state, "seconds": 0.5}))
    _, refused = newest_valid(tmp_path)
    assert "changed after it was written" in next(iter(refused.values()))


def test_others_may_read_what_the_umask_lets_them(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        save(tmp_path, 1)
    finally:
        os.umask(before)
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "1").iterdir()} == {0o644}
