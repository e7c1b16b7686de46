"""The dial fills in what is left open, by images, machine and minutes; what was given or chosen before stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from unnoise.errors import UserError
from unnoise.runs.config import override, read_recipe
from unnoise.training import dial
from unnoise.training.dial import LADDER, QUALITIES, Rung, choose_rung, dialled, forward_flops, images_per_second
from unnoise.training.engine import choose_engine
from unnoise.training.settings import TrainSettings
from unnoise.training.train import train

SHAPE = (1, 28, 28)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the FLOP/s of trainings, three times the forward pass's FLOPs a step."""

    def of(rate: float) -> None:
        def measured(engine: Any, shape: tuple[int, int, int], rung: Rung) -> float:
            return rate / (3 * forward_flops(shape, rung))

        monkeypatch.setattr(dial, "images_per_second", measured)

    return of


def config(**overrides: Any) -> Any:
    return override(read_recipe("auto"), {key.replace("__", "."): value for key, value in overrides.items()})


def flops_of(network: Any) -> float:
    rung = next(rung for rung in LADDER if rung.network(28) == {key: network[key] for key in rung.network(28)})
    return forward_flops(SHAPE, rung)


@pytest.mark.parametrize(
    ("channels", "drawn", "gamma"), [(1, False, 1.0), (1, True, 1.0), (3, False, 1.25), (3, True, 1.5)]
)
def test_pictures_in_colour_count_the_least_noise_less(machine: Any, channels: int, drawn: bool, gamma: float) -> None:
    machine(5e10)
    shape = (channels, *SHAPE[1:])
    made = dialled(config(), shape, "cpu", None, drawn=drawn)
    assert made.config["objective"]["weight"] == {"kind": "p2", "gamma": gamma}
    assert any("are drawn" in note for note in made.notes) == (gamma == 1.5)
    own = dialled(config(objective__weight__gamma=0.5), shape, "cpu", None, drawn=drawn)
    assert own.config["objective"]["weight"] == {"kind": "p2", "gamma": 0.5}
    assert not any("are drawn" in note for note in own.notes)
    assert dialled(config(objective__weight="flat"), shape, "cpu", None).config["objective"]["weight"] == "flat"


def test_rungs_cost_more_and_more() -> None:
    for shape in ((3, 32, 32), (3, 64, 64)):
        costs = [forward_flops(shape, rung) for rung in LADDER]
        assert costs == sorted(costs)


@pytest.mark.parametrize(("side", "patch"), [(8, 1), (16, 1), (28, 2), (32, 2), (64, 4), (100, 8), (128, 8)])
def test_patches_leave_about_sixteen_positions_a_side(side: int, patch: int) -> None:
    assert Rung(False, 32, (1, 2), 1).network(side)["patch"] == patch
    assert Rung(True, 32, (1, 2), 1).network(side)["patch"] == max(1, patch // 2)


def test_more_time_and_a_quicker_machine_choose_a_larger_network(machine: Any) -> None:
    costs = []
    for rate, minutes in ((5e9, 1), (5e10, 10), (5e10, 300), (5e12, 300)):
        machine(rate)
        made, notes, _ = dialled(config(train__minutes=minutes), SHAPE, "cpu", None)
        costs.append(flops_of(made["model"]["network"]))
        seen = rate * 60 * minutes / (3 * costs[-1])
        assert seen >= dial.SEEN or costs[-1] == min(forward_flops(SHAPE, rung) for rung in LADDER)
        assert f"{seen:,.0f} images are seen" in notes[0]
    assert costs == sorted(costs)
    assert costs[0] < costs[-1]


def test_a_network_that_is_slower_than_its_flops_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 channels, 2 blocks."""
    slow = LADDER[2]
    costs = {rung: forward_flops(SHAPE, rung) for rung in LADDER}
    engine, seconds = choose_engine(TrainSettings(), "cpu"), 1.001 * dial.SEEN * costs[slow] / 1e12
    for share, chosen in ((1, slow), (0.5, LADDER[3])):
        rates = {rung: 1e12 / cost * (share if rung == slow else 1) for rung, cost in costs.items()}
        monkeypatch.setattr(dial, "images_per_second", lambda engine, shape, rung, rates=rates: rates[rung])
        assert choose_rung(engine, SHAPE, seconds) == (chosen, rates[chosen])


def test_the_speed_counts_whole_steps_after_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that a step moves by a quarter of a second: two steps of 32 images in half a second."""
    clock = iter(number / 4 for number in range(100))
    monkeypatch.setattr(dial.time, "perf_counter", lambda: next(clock))
    rate = images_per_second(choose_engine(TrainSettings(), "cpu"), (1, 8, 8), Rung(False, 8, (1,), 1))
    assert rate == 2 * 32 / 0.5


def test_what_is_given_stays(machine: Any) -> None:
    machine(1e11)
    given = {"model__network__channels": 24, "train__batch_size": 7, "train__minutes": 3}
    made, _, _ = dialled(config(**given), SHAPE, "cpu", None)
    assert "dial" not in made
    assert made["model"]["network"]["channels"] == 24
    assert "patch" not in made["model"]["network"]
    assert (made["train"]["batch_size"], made["train"]["minutes"]) == (7, 3)
    assert made["train"]["decay"] > 0


@pytest.mark.parametrize("quality", QUALITIES)
def test_a_quality_is_a_time(quality: str, machine: Any) -> None:
    machine(1e11)
    made, _, _ = dialled(config(dial__quality=quality), SHAPE, "cpu", None)
    assert made["train"]["minutes"] == QUALITIES[quality]


def test_steps_are_no_time(machine: Any) -> None:
    machine(1e11)
    made, _, _ = dialled(config(train__steps=50), SHAPE, "cpu", None)
    assert made["train"]["minutes"] == 0


def test_what_to_expect_is_in_words_and_names_a_size_that_gets_there(machine: Any) -> None:
    machine(1e10)
    _, notes, _ = dialled(config(train__minutes=1), (3, 128, 128), "cpu", None)
    assert "blobs" in notes[1]
    # 500,000 images, or 60,000 of drawn ones, of 3 times 0.25 GFLOP at 10 GFLOP/s, by two digits
    assert "clear shapes need about 10 h 16 min here" in notes[1]
    _, notes, _ = dialled(config(train__minutes=1), (3, 128, 128), "cpu", None, drawn=True)
    assert "clear shapes need about 1 h 15 min here" in notes[1]
    assert "on patches of 8: --size 64 halves them" in notes[1]
    machine(1e14)
    assert dialled(config(train__minutes=60), (3, 64, 64), "cpu", None).notes[1].endswith("clear shapes")


def test_an_unknown_quality_and_a_recipe_without_a_dial_are_refused() -> None:
    with pytest.raises(UserError, match=r"dial.quality.*draft"):
        dialled(config(dial__quality="bad"), SHAPE, "cpu", None)
    with pytest.raises(UserError, match=r"the dial chooses U-Nets.*gan"):
        dialled(override(read_recipe("gan"), {"dial.quality": "good"}), SHAPE, "cpu", None)


def test_a_run_goes_on_with_what_was_chosen_however_quick_the_machine_is_now(tmp_path: Path, machine: Any) -> None:
    given = {"train.samples": 0, "train.batch_size": 4, "data.limit": 32}
    machine(1e6)
    first = train("builtin:digits", out=tmp_path / "run", steps=1, overrides=given, device="cpu")
    machine(1e15)
    again = train("builtin:digits", out=tmp_path / "run", steps=2, overrides=given, device="cpu")
    assert again.config["model"]["network"] == first.config["model"]["network"]
    assert again.summary is not None
    assert again.summary["resumed_from"] == 1
