"""FID statistics files as a reference: the mean and the covariance instead of images."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch

from unnoise.errors import DamagedSource, NotApplicable, UserError
from unnoise.evaluation import evaluate
from unnoise.evaluation.moments import read_moments
from unnoise.evaluation.summary import lines_of
from unnoise.features import FEATURES, FeatureExtractor, Pixels
from unnoise.metrics.frechet import frechet_distance
from unnoise.metrics.frechet_interval import frechet_to_moments


def images(seed: int, n: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 4, 4, 1), dtype=np.uint8)


def statistics(folder: Path, features: np.ndarray, **changed: np.ndarray) -> Path:
    """As pytorch-fid's `--save-stats` writes them: mu and sigma with np.savez_compressed."""
    arrays = {"mu": features.mean(axis=0), "sigma": np.cov(features, rowvar=False), **changed}
    np.savez_compressed(folder / "stats.npz", **arrays)
    return folder / "stats.npz"


def pixels_of(pictures: np.ndarray) -> np.ndarray:
    batch = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    return Pixels((1, 4, 4))(batch).double().numpy()


def test_the_distance_is_that_of_the_two_gaussians(tmp_path: Path) -> None:
    file, ours = statistics(tmp_path, pixels_of(images(0))), images(1)
    np.save(tmp_path / "ours.npy", ours)
    found = evaluate(tmp_path / "ours.npy", file, ("fid",), "pixels", device="cpu")
    mine, theirs = pixels_of(ours), pixels_of(images(0))
    expected = frechet_distance(mine.mean(0), np.cov(mine, rowvar=False), theirs.mean(0), np.cov(theirs, rowvar=False))
    assert found["fid"] == pytest.approx(expected, rel=1e-6)
    low, high = found["fid_interval"]
    assert low <= found["fid"] <= high
    assert ("reference", f"{file} (statistics)") in lines_of(found)


def test_the_error_is_that_of_repetitions() -> None:
    draws = np.random.default_rng(0)
    mean, covariance = np.full(3, 0.7), np.diag([1.0, 2.0, 0.5])
    found = [frechet_to_moments(draws.standard_normal((400, 3)), mean, covariance) for _ in range(60)]
    repeated = np.std([one.found.distance for one in found], ddof=1)
    assert np.mean([one.stderr for one in found]) == pytest.approx(repeated, rel=0.3)


class Wide(FeatureExtractor):
    """A stand-in for Inception: 256 fixed random projections."""

    name, dim, version = "inception", 256, "stand-in"

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        weights = torch.randn(16, 256, generator=torch.Generator().manual_seed(0))
        return pixels.flatten(1).float() @ weights / 255


def test_without_a_name_the_features_are_inceptions_and_the_distance_is_called_fid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FEATURES, "inception", Wide)
    features = Wide()(torch.from_numpy(images(0)).permute(0, 3, 1, 2)).double().numpy()
    file = statistics(tmp_path, features)
    np.save(tmp_path / "ours.npy", images(0))
    found = evaluate(tmp_path / "ours.npy", file, device="cpu")
    assert found["fid_name"] == "FID"
    assert found["fid"] < 1e-6 * np.trace(np.cov(features, rowvar=False))


def test_what_statistics_cannot_answer_is_refused(tmp_path: Path) -> None:
    file = statistics(tmp_path, pixels_of(images(0)))
    np.save(tmp_path / "ours.npy", images(1))
    with pytest.raises(NotApplicable, match="precision needs images"):
        evaluate(tmp_path / "ours.npy", file, ("fid", "precision"), "pixels", device="cpu")
    with pytest.raises(UserError, match="trained on the reference's images"):
        evaluate(tmp_path / "ours.npy", file, ("fid",), "classifier", device="cpu")
    np.save(tmp_path / "larger.npy", np.zeros((8, 5, 4, 1), np.uint8))
    with pytest.raises(UserError, match="statistics of 16 features; 'pixels' has 20"):
        evaluate(tmp_path / "larger.npy", file, ("fid",), "pixels", device="cpu")


@pytest.mark.parametrize(
    "changed",
    [
        {"sigma": np.eye(3)},
        {"mu": np.zeros((16, 1))},
        {"mu": np.full(16, np.nan)},
        {"mu": np.zeros(16, np.int64)},
        {"mu": np.array([None] * 16, dtype=object)},
    ],
)
def test_damaged_statistics_are_refused(changed: dict[str, np.ndarray], tmp_path: Path) -> None:
    with pytest.raises(DamagedSource):
        read_moments(statistics(tmp_path, pixels_of(images(0)), **changed))


def test_other_files_are_no_statistics(tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", images=images(0))
    (tmp_path / "text.npz").write_bytes(io.BytesIO(b"text").getvalue())
    assert read_moments(tmp_path / "images.npz") is None
    assert read_moments(tmp_path / "text.npz") is None
    assert read_moments("digits") is None
    assert read_moments(images(0)) is None
