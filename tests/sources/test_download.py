from __future__ import annotations

import gzip
import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from unnoise.sources import download, open_source
from unnoise.sources.download import PublicSet, Remote, fetch


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder and the loopback address it is served under, which is trusted although it is not https."""
    monkeypatch.setattr(download, "SCHEMES", ("http", "https"))
    folder = tmp_path / "served"
    folder.mkdir()
    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{http.server_port}/"
    http.shutdown()
    thread.join()
    http.server_close()


def idx(array: np.ndarray) -> bytes:
    data = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()
    return gzip.compress(data, mtime=0)


def serve(folder: Path, address: str) -> tuple[Remote, ...]:
    arrays = {
        "train-images-idx3-ubyte.gz": np.arange(3 * 16, dtype=np.uint8).reshape(3, 4, 4),
        "train-labels-idx1-ubyte.gz": np.array([0, 9, 1], np.uint8),
    }
    remotes = []
    for name, array in arrays.items():
        (folder / name).write_bytes(idx(array))
        remotes.append(Remote(name, hashlib.md5(idx(array)).hexdigest(), (address + "gone/" + name, address + name)))
    return tuple(remotes)


def test_a_public_set_is_fetched_once(server, monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> None:
    names = tuple(f"class {i}" for i in range(10))
    monkeypatch.setitem(download.PUBLIC, "mnist", PublicSet(serve(*server), names))
    images = open_source("mnist", progress=False)
    assert images.classes == names
    assert images.labels.tolist() == [0, 9, 1]
    assert {path.name for path in (own_cache / "downloads" / "mnist").iterdir()} == {
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
    }
    for path in server[0].iterdir():
        path.unlink()
    assert open_source("mnist", progress=False).fingerprint == images.fingerprint


def test_a_wrong_checksum_leaves_nothing(server, tmp_path: Path) -> None:
    folder, address = server
    (folder / "file").write_bytes(b"not what was published")
    with pytest.raises(OSError, match="MD5"):
        fetch(Remote("file", "0" * 32, (address + "file",)), tmp_path / "to", shown=False)
    assert list((tmp_path / "to").iterdir()) == []


def test_offline_says_what_to_put_where(monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> None:
    remote = Remote("cifar-10-binary.tar.gz", "0" * 32, ("http://127.0.0.1:9/cifar",))
    monkeypatch.setitem(download.PUBLIC, "cifar10", PublicSet((remote,)))
    with pytest.raises(
        ValueError, match=r"cannot download cifar10 .*put cifar-10-binary.tar.gz into .*UNNOISE_DATA"
    ) as error:
        open_source("cifar10", progress=False)
    assert str(own_cache) in str(error.value)
    assert "\n" not in str(error.value)


def test_the_users_own_copy_goes_first(server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder, address = server
    serve(folder, address)
    folder.rename(tmp_path / "mnist")
    monkeypatch.setenv("UNNOISE_DATA", str(tmp_path))
    monkeypatch.setattr(download, "fetch", None)
    assert len(open_source("mnist", progress=False)) == 3
    (tmp_path / "mnist").rename(folder)


def test_only_https_is_downloaded_from(server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder, address = server
    (folder / "file").write_bytes(b"data")
    remote = Remote("file", hashlib.md5(b"data").hexdigest(), (address + "file",))
    monkeypatch.setattr(download, "SCHEMES", ("https",))
    with pytest.raises(OSError, match="only https"):
        fetch(remote, tmp_path / "to", shown=False)
    assert list((tmp_path / "to").iterdir()) == []
    assert all(url.startswith("https://") for one in download.PUBLIC.values() for f in one.files for url in f.urls)


def test_a_redirection_away_from_https_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "SCHEMES", ("https",))
    with pytest.raises(OSError, match="only https"):
        download._SecureRedirects().redirect_request(None, None, 302, "", {}, "http://elsewhere/file")


@pytest.mark.parametrize("announced", [True, False])
def test_downloads_have_a_size_limit(server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, announced: bool) -> None:
    folder, address = server
    (folder / "file").write_bytes(b"x" * 5000)
    monkeypatch.setattr(download, "MAX_DOWNLOAD", 4000)
    if not announced:
        monkeypatch.setattr(download, "_announced", lambda length: 0)
    with pytest.raises(OSError, match="more than 4000 bytes"):
        fetch(Remote("file", "", (address + "file",)), tmp_path / "to", shown=False)
    assert list((tmp_path / "to").iterdir()) == []
