from __future__ import annotations

import torch

from unnoise.objectives.importance import LossHistory


def filled(sizes: torch.Tensor, uniform: float = 0.0) -> LossHistory:
    history = LossHistory(len(sizes), kept=4, uniform=uniform)
    for _ in range(4):
        history.record(torch.arange(1, len(sizes) + 1).double(), sizes)
    return history


def test_times_are_uniform_until_every_one_has_its_losses() -> None:
    history = LossHistory(5, kept=2)
    history.record(torch.tensor([1.0, 1.0, 2.0, 3.0, 4.0]), torch.arange(5.0))
    torch.testing.assert_close(history.probabilities(), torch.full((5,), 0.2, dtype=torch.float64))
    t, factor = history.draw(torch.tensor([0.0, 0.19, 0.2, 0.999], dtype=torch.float64))
    assert t.tolist() == [1, 1, 2, 5]
    torch.testing.assert_close(factor, torch.ones(4, dtype=torch.float64))


def test_probabilities_follow_the_root_mean_square_of_the_last_losses() -> None:
    history = filled(torch.tensor([1.0, 3.0, 4.0]))
    torch.testing.assert_close(history.probabilities(), torch.tensor([1.0, 3.0, 4.0], dtype=torch.float64) / 8)
    for loss in (0.0, 0.0, 6.0, 8.0, 0.0, 0.0):  # the last four of t = 1: 6, 8, 0, 0
        history.record(torch.tensor([1.0]), torch.tensor([loss]))
    expected = torch.tensor([5.0, 3.0, 4.0], dtype=torch.float64) / 12
    torch.testing.assert_close(history.probabilities(), expected)


def test_the_weighted_mean_is_that_of_uniform_times_and_varies_less() -> None:
    sizes = torch.tensor([0.1, 0.1, 0.2, 5.0])
    history = filled(sizes, uniform=0.1)
    u = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    t, factor = history.draw(u)
    weighted = sizes.double()[t.long() - 1] * factor
    assert abs(float(weighted.mean()) - float(sizes.mean())) < 1e-3
    assert float(weighted.var()) < 0.2 * float(sizes.double().repeat(1000).var())


def test_a_saved_history_draws_the_same_times() -> None:
    history = filled(torch.tensor([1.0, 3.0, 4.0]))
    again = LossHistory(3, kept=4, uniform=0.0)
    history.record_later(torch.tensor([2.0]), torch.tensor([9.0]))
    again.load_state_dict(history.state_dict())
    for one in (history, again):
        one.record_later(torch.tensor([1.0]), torch.tensor([0.0]))
    u = torch.rand(50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.equal(again.draw(u)[0], history.draw(u)[0])


def test_what_is_recorded_later_counts_from_the_next_time_on() -> None:
    history, at_once = (filled(torch.tensor([1.0, 3.0, 4.0])) for _ in range(2))
    flat = history.probabilities()
    history.record_later(torch.tensor([1.0, 2.0]), torch.tensor([6.0, 8.0]))
    assert torch.equal(history.probabilities(), flat)
    history.record_later(torch.tensor([3.0]), torch.tensor([1.0]))
    at_once.record(torch.tensor([1.0, 2.0]), torch.tensor([6.0, 8.0]))
    assert torch.equal(history.probabilities(), at_once.probabilities())
    assert not torch.equal(history.probabilities(), flat)


def test_a_history_of_an_earlier_version_loads() -> None:
    """It had no losses that wait."""
    history, again = filled(torch.tensor([1.0, 3.0, 4.0])), LossHistory(3, kept=4, uniform=0.0)
    again.record_later(torch.tensor([1.0]), torch.tensor([5.0]))
    again.load_state_dict({name: history.state_dict()[name] for name in ("losses", "seen")})
    again.record_later(torch.tensor([1.0]), torch.tensor([5.0]))
    assert torch.equal(again.probabilities(), history.probabilities())
