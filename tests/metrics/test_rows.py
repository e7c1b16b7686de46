from __future__ import annotations

import pytest
import torch

from unnoise.metrics.rows import CHUNK, batch_rows, blocks, row_normal, stderr, take


def test_a_rows_noise_depends_on_its_number_alone() -> None:
    x = torch.zeros(3 * CHUNK, 2, 3)
    whole = row_normal(x, range(3 * CHUNK), 5, 1)
    for rows in (range(1), range(CHUNK - 1, CHUNK + 1), range(7, 2 * CHUNK + 3), range(2 * CHUNK, 3 * CHUNK)):
        assert torch.equal(row_normal(x, rows, 5, 1), whole[rows.start : rows.stop])
    assert not torch.equal(row_normal(x, range(CHUNK), 5, 2), whole[:CHUNK])
    assert abs(float(whole.mean())) < 4 / whole.numel() ** 0.5
    assert float(whole.std()) == pytest.approx(1, abs=0.1)


def test_blocks_cover_all_rows() -> None:
    assert [list(block) for block in blocks(5, 2)] == [[0, 1], [2, 3], [4]]


def test_batches_shrink_with_the_images() -> None:
    sizes = [batch_rows(torch.empty(1, *shape), None) for shape in ((2,), (3, 32, 32), (3, 1024, 1024))]
    assert sizes == [4096, 170, 1]
    assert [batch_rows(torch.empty(1, 2), size) for size in (1, 7)] == [1, 7]
    with pytest.raises(ValueError, match="at least 1, got 0"):
        batch_rows(torch.empty(1, 2), 0)


def test_take_reads_every_kind_of_condition() -> None:
    index = torch.tensor([2, 0, 2])
    got = take({"label": torch.tensor([5, 6, 7]), "caption": ["a", "b", "c"]}, index)
    assert got["label"].tolist() == [7, 5, 7]
    assert got["caption"] == ["c", "a", "c"]
    assert take(None, index) is None


def test_stderr() -> None:
    assert stderr(torch.tensor([1.0, 3.0])) == pytest.approx(1.0)
    assert stderr(torch.ones(1)) != stderr(torch.ones(1))  # nan
