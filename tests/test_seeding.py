from __future__ import annotations

import torch

from unnoise.seeding import SeededNoise, StepNoise, fold


def test_near_keys_give_unrelated_seeds() -> None:
    seeds = {fold(a, b) for a in range(30) for b in range(30)}
    assert len(seeds) == 900
    rows = SeededNoise(range(200)).normal(torch.empty(200, 500))
    correlation = torch.corrcoef(rows) - torch.eye(200)
    assert correlation.abs().max() < 0.3


def test_rows_come_from_their_seed_alone() -> None:
    like = torch.empty(4, 3, 2, 2)
    together = SeededNoise([5, 6, 7, 8]).normal(like)
    alone = SeededNoise([7]).normal(like[:1])
    assert torch.equal(together[2], alone[0])


def test_purposes_and_draws_differ() -> None:
    like = torch.empty(1, 100)
    noise = SeededNoise([0])
    first, second = noise.normal(like), noise.normal(like)
    assert not torch.equal(first, second)
    assert not torch.equal(first, SeededNoise([0], purpose=1).normal(like))


def test_step_noise_is_a_function_of_its_keys() -> None:
    like = torch.empty(4, 8)
    assert torch.equal(StepNoise(1, 2).normal(like), StepNoise(1, 2).normal(like))
    assert not torch.equal(StepNoise(1, 2).normal(like), StepNoise(1, 3).normal(like))
    draws = StepNoise(1, 2).uniform(10_000)
    assert draws.dtype == torch.float64
    assert abs(draws.mean() - 0.5) < 0.02
