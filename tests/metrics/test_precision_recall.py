from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from unnoise.metrics import distances
from unnoise.metrics.precision_recall import PrecisionRecall, precision_recall


def sets(n: int = 150, m: int = 200, dim: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(0)
    return 1.3 * torch.randn(n, dim, generator=draws).double() + 0.4, torch.randn(m, dim, generator=draws).double()


def values(result: PrecisionRecall) -> list[float]:
    return [result.precision.value, result.recall.value, result.density.value, result.coverage.value]


def by_definition(x: np.ndarray, y: np.ndarray, k: int) -> list[float]:
    """Kynkaanniemi et al. 2019, equations 1-2, and Naeem et al. 2020, equations 4-5, over the whole matrix."""
    radius_x, radius_y = (np.sort(cdist(z, z), 1)[:, k] for z in (x, y))
    across = cdist(x, y)
    inside = across <= radius_y
    return [inside.any(1).mean(), (radius_x >= across.T).any(1).mean(), inside.sum(1).mean() / k, inside.any(0).mean()]


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("tile", [(512, 1024), (64, 48)], ids=str)
def test_equals_the_definitions(k: int, tile: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "TILE", tile)
    x, y = sets()
    np.testing.assert_allclose(
        values(precision_recall(x, y, k=k, density_k=k)), by_definition(x.numpy(), y.numpy(), k), rtol=1e-12
    )


def test_each_pair_of_metrics_has_its_own_k() -> None:
    x, y = sets()
    mixed = values(precision_recall(x, y))
    assert mixed[:2] == values(precision_recall(x, y, k=3, density_k=3))[:2]
    assert mixed[2:] == values(precision_recall(x, y, k=5, density_k=5))[2:]


@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e4])
def test_a_set_covers_itself_also_with_duplicates(scale: float) -> None:
    x = scale * torch.randn(90, 5, generator=torch.Generator().manual_seed(0)) + 3
    assert values(precision_recall(x, x.flip(0))) == pytest.approx([1, 1, 1, 1])
    twins = x[:9].repeat(10, 1)
    got = precision_recall(twins, twins)
    assert [got.precision.value, got.recall.value, got.coverage.value] == [1, 1, 1]


def test_order_changes_nothing() -> None:
    x, y = sets()
    assert values(precision_recall(x.flip(0), y.flip(0))) == values(precision_recall(x, y))


def test_what_the_four_tell_apart() -> None:
    x, y = sets(400, 400)
    collapsed = y[:5].repeat(80, 1) + 1e-3 * x
    dropped = values(precision_recall(collapsed, y))
    assert dropped[0] == 1
    assert dropped[1] < 0.1
    assert dropped[3] < 0.2
    assert values(precision_recall(y + 100, y)) == [0, 0, 0, 0]


def test_errors_are_those_of_repetitions_that_draw_both_sets() -> None:
    """Errors over the samples alone are a quarter to two fifths too small; 80 repetitions know theirs to 8 %."""
    found = []
    for seed in range(80):
        x, y = torch.randn(2, 300, 6, generator=torch.Generator().manual_seed(seed))
        found.append(precision_recall(x, y))
    ratios = {
        name: np.mean([getattr(each, name).stderr for each in found])
        / np.std([getattr(each, name).value for each in found])
        for name in ("precision", "recall", "density", "coverage")
    }
    density = ratios.pop("density")
    assert list(ratios.values()) == pytest.approx([1, 1, 1], abs=0.25)
    assert 0.8 < density < 1.7  # in few dimensions it is too large, see PARTS


def test_few_images_have_no_error() -> None:
    x, y = sets(90, 120)
    assert precision_recall(x, y).precision.stderr is None


def test_agrees_with_torch_fidelity(torch_fidelity) -> None:
    from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

    x, y = sets()
    for full in (True, False):
        want = prc_features_to_metric(x, y, save_cpu_ram=not full, verbose=False)
        got = precision_recall(x, y)
        assert got.precision.value == pytest.approx(want[KEY_METRIC_PRECISION], rel=1e-6)
        assert got.recall.value == pytest.approx(want[KEY_METRIC_RECALL], rel=1e-6)


def test_agrees_with_prdc(prdc) -> None:
    x, y = sets()
    want = prdc.compute_prdc(y.numpy(), x.numpy(), nearest_k=5)
    got = values(precision_recall(x, y, k=5))
    assert got == pytest.approx([want[name] for name in ("precision", "recall", "density", "coverage")], rel=1e-9)


def test_faults_are_named() -> None:
    x, y = sets()
    with pytest.raises(ValueError, match="at least 6 images for samples, got 1"):
        precision_recall(x[:1], y)
    with pytest.raises(ValueError, match="k must be at least 1, got 0 and 5"):
        precision_recall(x, y, k=0)
    with pytest.raises(ValueError, match="samples have 5 dimensions but references 6"):
        precision_recall(x[:, :5], y)
    with pytest.raises(ValueError, match="NaN"):
        precision_recall(x, y * torch.nan)
