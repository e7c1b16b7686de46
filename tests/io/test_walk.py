"""What lies below a folder: regular files alone, each once, in order, and what cannot be read by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from unnoise.io import walk as module
from unnoise.io.tree import DiskFile
from unnoise.io.walk import FolderFiles, Walk, folder_tree


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "set"
    for name in ("b.png", "a.png", "cat/2.png", "cat/1.png", ".hidden/x.png", ".y.png", "@eaDir/z.png", "dog/3.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"data")
    return root


def test_visible_files_are_found_once_and_in_order_within_a_folder(folder: Path) -> None:
    (folder / "cat" / "again").symlink_to(folder)
    (folder / "linked.png").symlink_to(folder / "cat" / "1.png")
    tree = folder_tree(folder)
    assert list(tree.files) == ["a.png", "b.png", "linked.png", "dog/3.png", "cat/1.png", "cat/2.png"]
    assert tree.broken == ()
    assert tree.files["cat/1.png"] == DiskFile(str(folder / "cat" / "1.png"))
    assert tree.read("linked.png") == b"data"


def test_what_is_no_regular_file_is_named_and_left_out(folder: Path) -> None:
    os.mkfifo(folder / "pipe.png")
    (folder / "nowhere.png").symlink_to(folder / "missing")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "device.png").symlink_to("/dev/null")
    tree = folder_tree(folder)
    assert {item.name: item.reason for item in tree.broken} == {
        "pipe.png": "not a regular file",
        "nowhere.png": "No such file or directory",
        "loop.png": "Too many levels of symbolic links",
        "device.png": "not a regular file",
    }
    assert not any("pipe" in name or "device" in name for name in tree.files)


def test_large_folders_come_in_portions_in_the_same_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(folder_tree(folder).files)
    monkeypatch.setattr(module, "PORTION", 1)
    counts: list[int] = []
    assert list(folder_tree(folder, lambda prefix, files: counts.append(len(files))).files) == whole
    assert counts == [1] * len(whole)
    assert [(prefix, [entry.name for entry in part]) for prefix, part in Walk(folder).folders()][:2] == [
        ("", ["a.png"]),
        ("", ["b.png"]),
    ]


def test_files_of_a_folder_are_a_mapping_of_names(tmp_path: Path) -> None:
    files = FolderFiles(str(tmp_path), ["a.png", "b/c.png"])
    assert dict(files) == {name: DiskFile(str(tmp_path / name)) for name in ("a.png", "b/c.png")}
    assert ("a.png" in files, "c.png" in files, len(files)) == (True, False, 2)
    with pytest.raises(KeyError):
        files["c.png"]
