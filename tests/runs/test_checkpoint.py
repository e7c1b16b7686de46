from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
import torch

from unnoise.runs import checkpoint as module
from unnoise.runs.checkpoint import checkpoints, newest_valid, prune, save_checkpoint


def save(root: Path, step: int, value: float = 1.0) -> None:
    weights = {"w": torch.full((3, 4), value).t(), "n": torch.tensor(5)}
    save_checkpoint(root, {"model": weights, "ema": weights}, [{"state": {}, "step": step}], {"step": step})


def test_round_trip(tmp_path: Path) -> None:
    save(tmp_path, 7, 2.5)
    checkpoint, refused = newest_valid(tmp_path)
    assert checkpoint is not None
    assert refused == []
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
    assert str(tmp_path / "2") in refused[0]


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
    assert newest_valid(tmp_path) == (None, [])
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
    state = json.loads((tmp_path / "1" / "state.json").read_text())
    state["files"]["optimizers.pt"] = module.digest(tmp_path / "1" / "optimizers.pt")
    (tmp_path / "1" / "state.json").write_text(json.dumps(state))
    checkpoint, _ = newest_valid(tmp_path)
    assert checkpoint is not None
    with pytest.raises(Exception, match=r"weights_only|Weights only"):
        checkpoint.optimizers()
