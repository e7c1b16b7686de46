"""Writing: atomic, exclusive, by name, and never over what is somebody's."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from unnoise import files
from unnoise.errors import UserError
from unnoise.files import claim, new_folder, open_to_append, read_tensors, remove_partial, write_atomic, write_tensors


def plant(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A victim's file, and links to it wherever a writer of `folder/out` could put its temporary one."""
    victim = folder / "victim"
    victim.write_text("precious")
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: "guessed")
    for name in (".out.partial", ".out.guessed.partial"):
        (folder / name).symlink_to(victim)
    return victim


def test_a_planted_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = plant(tmp_path, monkeypatch)
    with pytest.raises(FileExistsError):
        write_atomic(tmp_path / "out", "ours")
    assert victim.read_text() == "precious"


def test_temporary_names_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(Path, "replace", lambda self, target: seen.append(self.name))
    write_atomic(tmp_path / "out", "1")
    write_atomic(tmp_path / "out", "2")
    assert len(set(seen)) == 2


def test_a_link_at_the_destination_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    victim, out = tmp_path / "victim", tmp_path / "out"
    victim.write_text("precious")
    out.symlink_to(victim)
    write_atomic(out, "ours")
    assert (victim.read_text(), out.read_text(), out.is_symlink()) == ("precious", "ours", False)
    (tmp_path / "log").symlink_to(victim)
    with pytest.raises(OSError, match="log"):
        open_to_append(tmp_path / "log")


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o007, 0o660), (0o077, 0o600)])
def test_files_get_the_mode_that_the_umask_leaves(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_atomic(tmp_path / "file", "x")
        with new_folder(tmp_path / "folder") as partial:
            (partial / "private").touch(0o600)
    finally:
        os.umask(before)
    for file in (tmp_path / "file", tmp_path / "folder" / "private"):
        assert file.stat().st_mode & 0o777 == mode


def test_a_full_disk_is_named_with_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for write in (lambda: write_atomic(tmp_path / "out", "x"), lambda: _fill(tmp_path / "out")):
        with pytest.raises(OSError, match=r"the disk is full.*out"):
            write()
    assert list(tmp_path.iterdir()) == []


def _fill(path: Path) -> None:
    with new_folder(path) as partial:
        (partial / "file").write_text("x")


def test_a_folder_that_is_replaced_is_never_half_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the new one is written, and when writing fails, the old one stands."""
    path = tmp_path / "folder"
    _fill(path)
    with pytest.raises(ZeroDivisionError):
        _fail_to_fill(path)
    assert (path / "file").read_text() == "x"
    with new_folder(path) as partial:
        (partial / "file").write_text("new")
    assert (path / "file").read_text() == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]


def _fail_to_fill(path: Path) -> None:
    with new_folder(path) as partial:
        (partial / "file").write_text("new")
        assert (path / "file").read_text() == "x"
        raise ZeroDivisionError


def test_what_is_there_is_claimed_with_permission_only(tmp_path: Path) -> None:
    out, source = tmp_path / "out.png", tmp_path / "in.png"
    assert claim(out) == out
    for file in (out, source):
        file.write_text("x")
    with pytest.raises(UserError, match=r"out\.png exists.*--overwrite"):
        claim(out)
    assert claim(out, overwrite=True) == out
    (tmp_path / "again.png").hardlink_to(source)
    for same in (source, tmp_path / "again.png"):
        with pytest.raises(UserError, match="is what the result is made from"):
            claim(same, overwrite=True, inputs=[source])
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="exists"):
        claim(tmp_path / "dangling")
    (tmp_path / "empty").mkdir()
    assert claim(tmp_path / "empty") == tmp_path / "empty"
    with pytest.raises(UserError, match="holds other files"):
        claim(tmp_path)


def test_cached_tensors_are_what_was_written_or_nothing(tmp_path: Path) -> None:
    file = tmp_path / "cache.bin"
    assert read_tensors(file) is None
    write_tensors(file, {"a": torch.arange(5.0)})
    stored = read_tensors(file)
    assert stored is not None
    assert torch.equal(stored["a"], torch.arange(5.0))
    data = file.read_bytes()
    for damaged in (data[:-1], data[:-1] + bytes([data[-1] ^ 1]), b"", b"old" * 40):
        file.write_bytes(damaged)
        assert read_tensors(file) is None


def test_leftovers_of_killed_processes_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".7.abc.partial").mkdir()
    (tmp_path / ".7.abc.partial" / "half").touch()
    (tmp_path / ".file.partial").touch()
    (tmp_path / "kept.partial").touch()
    remove_partial(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["kept.partial"]
