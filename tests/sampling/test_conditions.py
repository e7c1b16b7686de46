"""What a user asks for, as conditions of a model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from unnoise.models.assembly import build_model
from unnoise.sampling.conditions import SampleConditions, rows_of
from unnoise.sampling.generate import generate
from unnoise.training.train import train


def vector_model() -> torch.nn.Module:
    spec = {"network": {"kind": "unet", "channels": 8}, "conditioner": {"kind": "vector", "features": 3}}
    return build_model(spec, (1, 8, 8), 0)


def test_the_option_group_loads_no_torch() -> None:
    code = "import sys, unnoise.sampling.conditions; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_one_vector_is_for_all_images_and_rows_are_for_one_each(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.array([1.0, 2.0, 3.0]))
    np.save(tmp_path / "many.npy", np.arange(12).reshape(4, 3))
    one, many = (
        SampleConditions(vector=tmp_path / name).for_model(vector_model(), ()) for name in ("one.npy", "many.npy")
    )  # type: ignore[arg-type]
    assert rows_of(one, 2, 2)["vector"].tolist() == [[1, 2, 3], [1, 2, 3]]  # type: ignore[index]
    assert rows_of(many, 2, 2)["vector"].tolist() == [[6, 7, 8], [9, 10, 11]]  # type: ignore[index]
    with pytest.raises(ValueError, match="the vector has 4 rows, and image 5 has none"):
        rows_of(many, 3, 2)


def test_a_run_learns_from_vectors_and_draws_by_them(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    pixels, vectors = draws.integers(0, 256, (8, 8, 8), dtype=np.uint8), draws.standard_normal((8, 5))
    np.savez(tmp_path / "set.npz", images=pixels, vectors=vectors)
    small = {
        "model.network.channels": 8,
        "model.network.attention": [],
        "train.batch_size": 4,
        "train.learning_rate": 1e-2,
        "train.warmup": 0,
        "train.ema": 0.0,
        "train.samples": 0,
        "sampler.steps": 2,
    }
    run = train(tmp_path / "set.npz", "ddpm-vector", tmp_path / "run", steps=2, overrides=small, device="cpu")
    assert run.config["model"]["conditioner"]["features"] == 5
    again = train(tmp_path / "set.npz", "ddpm-vector", tmp_path / "run", steps=4, overrides=small, device="cpu")
    assert again.summary["resumed_from"] == 2  # type: ignore[index]
    np.save(tmp_path / "rows.npy", 10 * vectors[:2])
    np.save(tmp_path / "short.npy", vectors[0, :4])
    drawn = generate(
        run.folder, [0, 0], conditions=SampleConditions(vector=tmp_path / "rows.npy"), out=tmp_path / "a.npy"
    )
    first, second = np.load(drawn["out"]).astype(int)
    assert np.abs(first - second).mean() > 2, "one seed, two vectors"
    with pytest.raises(ValueError, match="a vector of this model has 5 numbers"):
        generate(run.folder, [0], conditions=SampleConditions(vector=tmp_path / "short.npy"), out=tmp_path / "b.npy")


def test_a_new_network_cannot_see_its_vector_yet() -> None:
    """The second convolutions of its blocks begin at zero, so what a vector does has to be learned first: after a
    step or two of warm-up, at a hundredth of the learning rate, two vectors differ by rounding alone."""
    model = vector_model()
    vectors = torch.tensor([[1.0, 2.0, 3.0], [-3.0, 0.0, 9.0]])
    first, second = model.sample([0, 0], cond={"vector": vectors}, steps=2)  # type: ignore[operator]
    torch.testing.assert_close(first, second, rtol=0, atol=1e-6)


def test_data_without_vectors_is_refused_with_the_page_that_explains_them(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"needs a vector for every image.*docs/data\.md"):
        train("digits", "ddpm-vector", tmp_path / "run", steps=1, device="cpu")


@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY"])
def test_a_vector_file_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "vector.npy").write_bytes(content)
    with pytest.raises(ValueError, match="cannot read the vector"):
        SampleConditions(vector=tmp_path / "vector.npy").for_model(vector_model(), ())  # type: ignore[arg-type]


def test_a_condition_that_the_run_does_not_take_is_refused() -> None:
    with pytest.raises(ValueError, match="takes no label: it takes vector"):
        SampleConditions(label="3").for_model(vector_model(), ("0", "3"))  # type: ignore[arg-type]
