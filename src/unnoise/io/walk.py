"""Folders as trees: what lies below one, with no more than a look into each folder and one at each link."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from pathlib import Path

from unnoise.io.tree import NOT_DATA, Broken, DiskFile, FileRef, Tree, is_run_folder

FILE, FOLDER = "file", "folder"
PORTION = 4096  # files of a folder that are handed on at once


class FolderFiles(Mapping[str, FileRef]):
    """Files below a folder by relative name; a reference is made when it is asked for."""

    def __init__(self, folder: str, names: Iterable[str]) -> None:
        self._folder, self._names = folder, dict.fromkeys(names)

    def __getitem__(self, name: str) -> FileRef:
        if name not in self._names:
            raise KeyError(name)
        return DiskFile(os.path.join(self._folder, name))

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def folder_tree(folder: Path, seen: Callable[[str, list[os.DirEntry[str]]], None] = lambda prefix, files: None) -> Tree:
    """The visible files under a folder; links to folders are followed once.

    seen: called with each portion that `Walk.folders` gives.
    """
    walk, names = Walk(folder), list[str]()
    for prefix, files in walk.folders():
        names += [prefix + file.name for file in files]
        seen(prefix, files)
    return Tree(str(folder), FolderFiles(str(folder), names), tuple(walk.broken), tuple(walk.notes))


class Walk:
    """The visible regular files below a folder.

    What cannot be read (links that lead nowhere, closed folders, devices) joins `broken` on the way; run folders of
    unnoise join `notes`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.broken: list[Broken] = []
        self.notes: list[str] = []
        self._seen: set[tuple[int, int]] = set()

    def folders(self) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
        """For each folder what relative names in it begin with, and its files in order of name, at most PORTION at a
        time."""
        waiting = [("", str(self.folder))]
        while waiting:
            prefix, path = waiting.pop()
            files = []
            for entry in self._entries(prefix, path):
                kind = _kind(entry)
                if kind == FILE:
                    files.append(entry)
                elif kind == FOLDER:
                    waiting.append((f"{prefix}{entry.name}/", entry.path))
                else:
                    self.broken.append(Broken(prefix + entry.name, kind))
            for start in range(0, len(files), PORTION):
                yield prefix, files[start : start + PORTION]

    def _entries(self, prefix: str, path: str) -> list[os.DirEntry[str]]:
        """The visible entries of a folder that has not been seen yet and is data."""
        try:
            status = os.stat(path)
            with os.scandir(path) as found:
                entries = [entry for entry in found if entry.name[0] != "." and entry.name not in NOT_DATA]
        except OSError as error:
            if not prefix:
                raise
            self.broken.append(Broken(prefix, error.strerror or "cannot be read"))
            return []
        if (status.st_dev, status.st_ino) in self._seen:
            return []
        self._seen.add((status.st_dev, status.st_ino))
        if prefix and is_run_folder(path):
            self.notes.append(f"{prefix} is a run of unnoise and no data, so it is left out")
            return []
        entries.sort(key=attrgetter("name"))
        return entries


def _kind(entry: os.DirEntry[str]) -> str:
    """FILE, FOLDER, or why it is neither. What the folder says of an entry that is no link takes no system call."""
    try:
        if entry.is_file():
            return FILE
        if entry.is_dir():
            return FOLDER
        entry.stat()
    except OSError as error:
        return error.strerror or "cannot be read"
    return "not a regular file"
