"""Weights of others come in as tensors or as one line that says why not."""

from __future__ import annotations

import pickle
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from unnoise.errors import UserError
from unnoise.models.tensor_files import read_torch, read_weights, state_dict, whole


class Evil:
    def __reduce__(self) -> Any:
        return Path.write_text, (Path("evil.txt"), "run")


def test_what_torch_saved_is_read_and_optimizers_are_left_in_the_file(tmp_path: Path) -> None:
    weights = {"a": torch.randn(3, dtype=torch.float16), "b": torch.arange(3)}
    torch.save({"model": weights, "opt": {"state": {0: torch.ones(2)}}, "step": 3}, tmp_path / "a.pt")
    found = read_torch(tmp_path / "a.pt")
    assert found["step"] == 3
    read = whole(state_dict(found["model"], "model"), tmp_path / "a.pt")
    assert torch.equal(read["a"], weights["a"].float())
    assert torch.equal(read["b"], weights["b"])


def test_objects_old_formats_and_numbers_that_are_not_finite_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "a.pt"
    torch.save({"model": Evil()}, file)
    with pytest.raises(UserError, match="as tensors only, without running what is in it"):
        read_torch(file)
    assert not (tmp_path / "evil.txt").exists()
    file.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(UserError, match=r"no file of torch 1\.6 or later"):
        read_torch(file)
    torch.save([torch.ones(2)], file)
    with pytest.raises(UserError, match="holds a list"):
        read_torch(file)
    with pytest.raises(UserError, match="is no state dict"):
        state_dict({"a": 1}, "it")
    with pytest.raises(UserError, match="a holds numbers that are not finite"):
        whole({"a": torch.tensor([float("inf")])}, file)
    with pytest.raises(UserError, match="is missing"):
        read_torch(tmp_path / "b.pt")
    monkeypatch.setattr("unnoise.models.tensor_files.total_bytes", lambda: 10)
    with pytest.raises(UserError, match="larger than this machine's memory"):
        read_torch(file)


def test_damage_becomes_one_line(tmp_path: Path) -> None:
    good, bad, draws = tmp_path / "good.pt", tmp_path / "bad.pt", random.Random(0)
    torch.save({"model": {"a": torch.ones(3, 4)}, "step": 3}, good)
    with zipfile.ZipFile(good) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    refused = []
    for _ in range(200):
        name = draws.choice([*files])
        data = bytearray(files[name])
        data[draws.randrange(len(data))] = draws.randrange(256)
        with zipfile.ZipFile(bad, "w") as archive:
            for other, content in files.items():
                archive.writestr(other, bytes(data) if other == name else content)
        try:
            read_torch(bad)
        except UserError as error:
            refused.append(str(error))
    assert 20 < len(refused) < 200
    assert not any("\n" in message for message in refused)


def test_safetensors_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"cannot read the weights .* is no safetensors file"):
        read_weights(tmp_path / "a.safetensors")
