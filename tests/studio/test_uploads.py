"""Pictures and data sets that come in."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from unnoise.studio import api_uploads, uploads
from unnoise.studio.settings import Settings
from unnoise.studio.sources import resolve


def png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return stream.getvalue()


def bomb(width: int, height: int) -> bytes:
    """The header of a huge PNG: a few bytes that would be gigabytes of pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 999)) + chunk(b"IEND", b"")
    )


def test_a_picture_is_fitted_to_the_run(client: TestClient, settings: Settings) -> None:
    answer = client.post("/api/pictures?run=first", content=png(Image.new("RGB", (40, 20), "white"))).json()
    assert (answer["width"], answer["height"]) == (8, 8)
    kept = client.get(f"/api/pictures/{answer['picture']}.png")
    picture = Image.open(io.BytesIO(kept.content))
    assert (picture.size, picture.mode, picture.getpixel((3, 3))) == ((8, 8), "L", 255)


def test_a_mask_becomes_black_and_white(client: TestClient) -> None:
    grey = Image.fromarray(np.array([[0, 100, 160, 255]] * 4, np.uint8)).resize((8, 8), Image.Resampling.NEAREST)
    answer = client.post("/api/pictures?run=first&mask=1", content=png(grey)).json()
    pixels = np.asarray(Image.open(io.BytesIO(client.get(f"/api/pictures/{answer['picture']}.png").content)))
    assert (np.unique(pixels) == [0, 255]).all()
    assert (pixels[:, 4:] == 255).all()


@pytest.mark.parametrize("size", [(50_000, 50_000), (9000, 9000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_unopened(client: TestClient, size: tuple[int, int]) -> None:
    answer = client.post("/api/pictures", content=bomb(*size))
    assert answer.status_code == 400
    assert "more than 40000000 pixels" in answer.json()["error"]


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"<svg onload=alert(1)>", b"\x89PNG\r\n\x1a\n", bomb(100, 100)])
def test_a_broken_file_is_named_as_such(client: TestClient, data: bytes) -> None:
    answer = client.post("/api/pictures", content=data)
    assert answer.status_code == 400
    assert "cannot read the picture" in answer.json()["error"]


def test_more_bytes_than_are_taken_are_refused(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_uploads, "PICTURE_BYTES", 1000)
    assert client.post("/api/pictures", content=b"x" * 1001).status_code == 413
    monkeypatch.setattr(uploads, "SET_BYTES", 1500)
    assert client.put("/api/uploads/set/a.png", content=b"x" * 1000).status_code == 200
    assert client.put("/api/uploads/set/b.png", content=b"x" * 1000).status_code == 413


def test_nothing_is_left_of_a_refused_file(
    client: TestClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "SET_BYTES", 10)
    assert client.put("/api/uploads/set/a.png", content=b"x" * 1000).status_code == 413
    assert [file for file in settings.uploads.rglob("*") if file.is_file()] == []


@pytest.mark.parametrize(
    "path",
    [
        *("..%2f..%2fx.png", ".hidden.png", "a/%2e%2e/x.png", "a//x.png", "x.exe", "x.html", "config.toml", "a%00.png"),
        *("a%5cb.png", "/".join("a" * 20) + ".png", "x" * 300 + ".png"),
    ],
)
def test_files_that_no_data_set_has_are_refused(client: TestClient, settings: Settings, path: str) -> None:
    answer = client.put(f"/api/uploads/set/{path}", content=b"x")
    assert 400 <= answer.status_code < 500, path
    assert not settings.uploads.exists() or not [file for file in settings.uploads.rglob("*") if file.is_file()]


def test_uploads_do_not_follow_links(client: TestClient, settings: Settings) -> None:
    outside = settings.folder.parent / "outside"
    outside.mkdir()
    settings.uploads.mkdir(parents=True)
    (settings.uploads / "set").symlink_to(outside)
    assert client.put("/api/uploads/set/a.png", content=b"x").status_code == 400
    assert list(outside.iterdir()) == []


def test_an_uploaded_archive_is_a_source_by_itself(client: TestClient, settings: Settings) -> None:
    assert client.put("/api/uploads/cats/cats.zip", content=b"x").json()["source"] == "uploads/cats"
    assert resolve(settings, "uploads/cats") == str((settings.uploads / "cats" / "cats.zip").resolve())
    assert {"source": "uploads/cats", "kind": "upload"} in client.get("/api/sources").json()["sources"]


def test_pictures_are_forgotten_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "KEPT", 3)
    names = [uploads.keep_picture(tmp_path, Image.new("L", (2, 2)), None) for _ in range(5)]
    assert len(list(tmp_path.glob("*.png"))) == 3
    assert (tmp_path / f"{names[-1]}.png").is_file()
