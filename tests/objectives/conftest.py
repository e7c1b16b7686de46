"""What objectives with more than a network to save are tested for alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from unnoise.runs.checkpoint import checkpoints, save_checkpoint
from unnoise.training.trainer import Trainer

Resumed = Callable[[Callable[[], Trainer], int, int], Mapping[str, Mapping[str, torch.Tensor]]]


@pytest.fixture
def resumed_equals_uninterrupted(tmp_path: Path) -> Resumed:
    """Trains `before` + `after` steps at once, and with a checkpoint between: the same bits. Returns what is saved."""

    def check(make: Callable[[], Trainer], before: int, after: int) -> Mapping[str, Mapping[str, torch.Tensor]]:
        whole, first, resumed = make(), make(), make()
        for _ in range(before + after):
            whole.advance()
        for _ in range(before):
            first.advance()
        save_checkpoint(tmp_path, first.tensors(), [o.state_dict() for o in first.optimizers], first.state())
        resumed.restore(checkpoints(tmp_path)[0])
        for _ in range(after):
            resumed.advance()
        expected = whole.tensors()
        assert set(resumed.tensors()) == set(expected)
        for name, tensors in resumed.tensors().items():
            assert all(torch.equal(expected[name][key], found) for key, found in tensors.items()), name
        return expected

    return check
