"""Vectors that come in for a sampling."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from unnoise.errors import UserError
from unnoise.studio.settings import Settings
from unnoise.studio.vectors import decode_vectors, vector_file


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b"1, 2.5 -3e1\n", [[1, 2.5, -30]]),
        (b"1;2\n\n3;4", [[1, 2], [3, 4]]),
        (b" [1, 2, 3]", [[1, 2, 3]]),
        (b"[[1, 2],\n [3, 4]]", [[1, 2], [3, 4]]),
        (npy(np.array([1.0, 2.0])), [[1, 2]]),
        (npy(np.array([[1], [2]], np.uint8)), [[1], [2]]),
    ],
)
def test_files_and_texts_become_rows(data: bytes, rows: list[list[float]]) -> None:
    found = decode_vectors(data)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array(rows, np.float32))


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"a b", b"1 2\n3", b"nan", b"1e999", b"[1, [2]]", b"[" * 5000, b"\xff\xfe", b"[[[1]]]", b'["1", {}]'),
        b"\x93NUMPY\x01\x00",
        npy(np.array(["x"])),
        npy(np.zeros((2, 2, 2))),
    ],
)
def test_anything_else_is_refused_in_a_line(data: bytes, client: TestClient) -> None:
    with pytest.raises(UserError):
        decode_vectors(data)
    answer = client.post("/api/vectors", content=data)
    assert answer.status_code == 400
    assert "\n" not in answer.json()["error"]


def test_what_is_kept_is_what_was_given(client: TestClient, settings: Settings) -> None:
    answer = client.post("/api/vectors", content=b"1 2 3\n4 5 6").json()
    assert (answer["rows"], answer["features"]) == (2, 3)
    file = vector_file(settings.vectors, answer["vector"])
    np.testing.assert_array_equal(np.load(file), [[1, 2, 3], [4, 5, 6]])
    asked = client.post("/api/sample", json={"run": "first", "vector": "0" * 16})
    assert asked.status_code == 404
    assert client.post("/api/sample", json={"run": "first", "vector": "../../etc"}).status_code == 404


def test_a_run_is_sampled_with_a_vector(tmp_path: Path) -> None:
    import unnoise
    from unnoise.studio.tasks.sample import sample

    data = np.random.default_rng(0)
    source = tmp_path / "set.npz"
    np.savez(source, images=data.integers(0, 256, (9, 8, 8, 1), dtype=np.uint8), vectors=data.normal(size=(9, 3)))
    tiny = {"model.network.channels": 8, "model.network.multipliers": [1], "model.network.attention": []}
    options = {**tiny, "train.batch_size": 4, "train.samples": 0}
    run = unnoise.train(source, "ddpm-vector", tmp_path / "run", steps=1, overrides=options, device="cpu")

    def drawn(rows: list[list[float]], number: int = 2) -> dict[str, object]:
        np.save(tmp_path / "rows.npy", np.array(rows))
        asked = {"conditions": {"vector": str(tmp_path / "rows.npy")}, "guidance": 1.0}
        how = {"run": str(run.folder), "seed": 0, "number": number, "sampler": {"kind": "ddim", "steps": 2}}
        return sample({**asked, **how}, lambda event: None)

    assert drawn([[1, 2, 3]])["tiles"] == drawn([[1, 2, 3], [1, 2, 3]])["tiles"]
    assert f"--vector {tmp_path / 'rows.npy'}" in str(drawn([[1, 2, 3]])["command"])
    with pytest.raises(UserError, match="has 3 numbers"):
        drawn([[1, 2]])
    with pytest.raises(UserError, match="has 2 rows, and image 3 has none"):
        drawn([[1, 2, 3]] * 2, number=3)
