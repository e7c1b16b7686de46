"""Public sets by name: found where the user keeps data, or fetched once, checked, into the cache."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit

from unnoise.aliases import Value
from unnoise.errors import UserError
from unnoise.progress import progress

TIMEOUT = 30.0  # seconds without a byte
BLOCK = 1 << 18
MAX_DOWNLOAD = 1 << 30  # bytes of one file
SCHEMES = ("https",)


@dataclass(frozen=True)
class Remote:
    """A file, its published MD5, and the addresses to try in turn, all https."""

    file: str
    md5: str
    urls: tuple[str, ...]


@dataclass(frozen=True)
class PublicSet:
    """The files of a public set, and its class names where the files carry none."""

    files: tuple[Remote, ...]
    classes: tuple[str, ...] = ()


def _idx_files(mirrors: Sequence[str], md5s: Sequence[str]) -> tuple[Remote, ...]:
    names = [f"{split}-{kind}-ubyte.gz" for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
    return tuple(Remote(n, md5, tuple(m + n for m in mirrors)) for n, md5 in zip(names, md5s, strict=True))


PUBLIC = {
    "mnist": PublicSet(
        _idx_files(
            ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
            (
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "d53e105ee54ea40749a09fcbcd1e9432",
                "9fb629c4189551a2d022fa330f9573f3",
                "ec29112dd5afa0611ce80d1b7f02629c",
            ),
        )
    ),
    "fashion-mnist": PublicSet(
        _idx_files(
            ("https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",),
            (
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "25c81989df183df01b3e8a0aad5dffbe",
                "bef4ecab320f06d8554ea6380940ec79",
                "bb300cfdad3c16e7a12a480ee83cd310",
            ),
        ),
        (
            "T-shirt/top",
            "trouser",
            "pullover",
            "dress",
            "coat",
            "sandal",
            "shirt",
            "sneaker",
            "bag",
            "ankle boot",
        ),
    ),
    "cifar10": PublicSet(
        (
            Remote(
                "cifar-10-binary.tar.gz",
                "c32a1d4ab5d03f1284b67883e8d87530",
                ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
            ),
        )
    ),
}


def locate(name: str, cache: Path, shown: bool) -> Path:
    """The folder, or the single file, of a public set.

    $UNNOISE_DATA/NAME (or the set's single file in $UNNOISE_DATA) is taken as it is; otherwise what is missing is
    fetched into `cache`/downloads/NAME. Raises UserError that says what to put where when that fails.
    """
    files = PUBLIC[name].files
    for path in _own_paths(name):
        if path.exists():
            return path
    folder = cache / "downloads" / name
    try:
        for remote in files:
            fetch(remote, folder, shown)
    except OSError as error:
        raise UserError(
            f"cannot download {name} ({error}); put {', '.join(remote.file for remote in files)} into {folder}, "
            f"or set UNNOISE_DATA to a folder that holds {name}/"
        ) from None
    names = [remote.file for remote in files]
    return folder / names[0] if len(names) == 1 else folder


def _own_paths(name: str) -> list[Path]:
    own, files = os.environ.get("UNNOISE_DATA"), PUBLIC[name].files
    if not own:
        return []
    folder = Path(own).expanduser()
    return [folder / name, *(folder / remote.file for remote in files if len(files) == 1)]


def fetch(remote: Remote, folder: Path, shown: bool) -> Path:
    """The file in `folder`, downloaded when it is not there; it appears whole and checked, or not at all.

    Raises OSError (the last address's) when no address gives the file with the right MD5.
    """
    path = folder / remote.file
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{remote.file}.{os.getpid()}.part"
    failure = OSError(f"{remote.file} has no address")
    for url in remote.urls:
        try:
            md5 = _stream(url, part, remote.file, shown)
            if md5 != remote.md5:
                raise OSError(f"it gave MD5 {md5}, not {remote.md5}")
            part.replace(path)
            return path
        except (OSError, HTTPException) as error:
            failure = OSError(f"{url}: {error.reason if isinstance(error, URLError) else error}")
        finally:
            part.unlink(missing_ok=True)
    raise failure


class _SecureRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections to addresses of `SCHEMES` alone."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Value:
        _check_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_scheme(url: str) -> None:
    if urlsplit(url).scheme not in SCHEMES:
        raise OSError(f"only {', '.join(SCHEMES)} addresses are downloaded from")


def _check_length(size: int) -> None:
    if size > MAX_DOWNLOAD:
        raise OSError(f"it is more than {MAX_DOWNLOAD} bytes")


def _announced(length: str | None) -> int:
    size = int(length) if length and length.isdecimal() else 0
    _check_length(size)
    return size


def _stream(url: str, path: Path, title: str, shown: bool) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    _check_scheme(url)
    opener = urllib.request.build_opener(_SecureRedirects)
    with opener.open(url, timeout=TIMEOUT) as response, path.open("wb") as out:
        total, received = _announced(response.headers.get("Content-Length")), 0
        with progress(f"downloading {title}", total, shown, unit="bytes") as advance:
            while block := response.read(BLOCK):
                received += len(block)
                _check_length(received)
                out.write(block)
                digest.update(block)
                advance(len(block))
    return digest.hexdigest()
