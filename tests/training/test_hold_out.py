"""The part of a small set that is not trained on: which images, that they stay out, and who measures on them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from unnoise.data import Images, Loader
from unnoise.errors import UserError
from unnoise.evaluation.context import Settings
from unnoise.evaluation.evaluate import open_context
from unnoise.evaluation.target import open_target
from unnoise.runs.held_out import HELD_OUT_FILE, read_held_out
from unnoise.runs.run import Run
from unnoise.sources import open_source
from unnoise.training.hold_out import hold_out
from unnoise.training.train import train
from unnoise.training.trainer import Trainer

SMALL = {
    "model.network.channels": 8,
    "model.network.multipliers": [1],
    "model.network.attention": [],
    "model.schedule.T": 10,
    "sampler.steps": 2,
    "train.batch_size": 8,
    "train.samples": 0,
    "train.precision": "fp32",
}


def drawn(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)


def begun(out: Path, source: object, steps: int = 2, **overrides: object) -> Run:
    return train(source, "ddpm-digits", out, steps=steps, overrides={**SMALL, **overrides}, device="cpu")


def test_no_group_stands_on_both_sides() -> None:
    groups = [f"film {row // 4}" for row in range(120)]
    images = Images(drawn(120), {"groups": groups})
    held = hold_out(images, 0.1, seed=0)
    assert held is not None
    assert len(held.rows) == 12
    inside = {groups[row] for row in held.rows}
    assert inside.isdisjoint(groups[row] for row in held.training_rows(120))
    assert sorted([*held.rows, *held.training_rows(120)]) == list(range(120))


def test_the_choice_is_a_function_of_content_and_seed() -> None:
    images = Images(drawn(200))
    rows = [hold_out(Images(drawn(200)), 0.1, seed).rows.tolist() for seed in (0, 0, 1)]  # type: ignore[union-attr]
    assert rows[0] == rows[1] != rows[2]
    other = hold_out(Images(drawn(200, seed=1)), 0.1, 0)
    assert other is not None
    assert other.rows.tolist() != rows[0]
    assert hold_out(images, 0.5, 0) is not None


@pytest.mark.parametrize(("count", "fraction", "held"), [(80, 0.05, 10), (300, 0.1, 30), (9_999, 0.4, 1000)])
def test_a_part_has_ten_images_at_least_and_a_thousand_at_most(count: int, fraction: float, held: int) -> None:
    found = hold_out(Images(drawn(count)), fraction, 0)
    assert found is not None
    assert len(found.rows) == held


def test_what_cannot_be_divided_is_trained_on_whole(tmp_path: Path) -> None:
    """One film of a hundred frames: unasked nothing is held out, asked for it is refused."""
    file = tmp_path / "film.npz"
    np.savez(file, images=drawn(100)[:, 0], groups=np.array(["one"] * 100))
    run = begun(tmp_path / "run", file)
    assert run.config["data"]["hold_out"] == 0
    assert not (run.folder / HELD_OUT_FILE).exists()
    with pytest.raises(UserError, match="no 10 can be held out"):
        begun(tmp_path / "other", file, 2, **{"data.hold_out": 0.2})


def test_held_out_images_are_never_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    indices, validate = Loader.indices, Trainer.validate
    judged: list[torch.Tensor] = []

    def spied(self: Loader, step: int) -> np.ndarray:
        seen.extend(rows := indices(self, step))
        return rows

    def judging(self: Trainer, batches: list) -> float:
        judged.extend(batch.image for batch in batches)
        return validate(self, batches)

    monkeypatch.setattr(Loader, "indices", spied)
    monkeypatch.setattr(Trainer, "validate", judging)
    pixels = drawn(100)
    run = begun(tmp_path / "run", pixels, 30)
    held = run.held_out()
    assert held is not None
    assert run.config["data"]["hold_out"] == 0.1
    assert set(seen) == set(range(100)) - set(held.rows.tolist())
    real = open_source(pixels).batch(held.rows).image
    assert torch.equal(torch.cat(judged)[:10], real), "validation is on the held-out images"


def test_going_on_holds_out_the_same_images_whatever_would_be_chosen_today(tmp_path: Path) -> None:
    pixels = drawn(100)
    run = begun(tmp_path / "run", pixels, 1)
    file = run.folder / HELD_OUT_FILE
    written = json.loads(file.read_text())
    written["rows"] = list(range(10, 20))
    file.write_text(json.dumps(written))
    begun(tmp_path / "run", pixels, 2)
    assert json.loads(file.read_text())["rows"] == list(range(10, 20))
    file.write_text('{"rows": [3, 1]}')
    with pytest.raises(UserError, match="does not list the rows"):
        begun(tmp_path / "run", pixels, 3)


def test_a_run_from_before_goes_on_with_all_its_images(tmp_path: Path) -> None:
    pixels = drawn(100)
    run = begun(tmp_path / "run", pixels, 1, **{"data.hold_out": 0.0})
    config = run.folder / "config.toml"
    lines = config.read_text().splitlines(keepends=True)
    config.write_text("".join(line for line in lines if not line.startswith(("hold_out", "digest"))))
    again = begun(tmp_path / "run", pixels, 2)
    assert again.summary is not None
    assert again.summary["resumed_from"] == 1
    assert again.held_out() is None
    with pytest.raises(UserError, match=r"data.hold_out is 0\.0 there and 0\.3 here"):
        begun(tmp_path / "run", pixels, 3, **{"data.hold_out": 0.3})


def test_a_run_that_starts_from_another_on_the_same_images_holds_out_the_same(tmp_path: Path) -> None:
    pixels = drawn(100)
    base = begun(tmp_path / "base", pixels, 1)
    options = {"out": tmp_path / "next", "steps": 1, "seed": 5, "start": base, "device": "cpu"}
    after, held = train(pixels, **options).held_out(), base.held_out()  # type: ignore[arg-type]
    assert held is not None
    assert after is not None
    assert after.rows.tolist() == held.rows.tolist()


def test_images_in_memory_have_no_test_split(tmp_path: Path) -> None:
    """Asked for any split, they are opened as they are."""
    run = begun(tmp_path / "run", Images(drawn(100)))
    assert run.config["data"]["hold_out"] == 0.1
    assert run.held_out() is not None


def test_a_test_split_is_enough(tmp_path: Path) -> None:
    run = begun(tmp_path / "run", "digits")
    assert run.config["data"]["hold_out"] == 0
    assert run.held_out() is None


def test_what_measures_a_run_takes_the_held_out_images_for_its_test_split(tmp_path: Path) -> None:
    file = tmp_path / "set.npz"
    np.savez(file, images=drawn(100)[:, 0])
    run = begun(tmp_path / "run", file)
    held = read_held_out(run.folder)
    assert held is not None
    test, name = run.open_data("test")
    assert name == "test"
    assert np.array_equal(test.pixels[:, 0], drawn(100)[held.rows, 0])
    train_part, _ = run.open_data("train")
    assert np.array_equal(train_part.pixels[:, 0], drawn(100)[held.training_rows(100), 0])
    assert len(run.open_data("test", limit=4)[0]) == 4
    context, used = open_context(open_target(run.folder), None, "test", Settings())
    assert (used, len(context.likelihood_images), len(context.train)) == ("test", len(held.rows), 90)
    other = tmp_path / "other.npz"
    np.savez(other, images=drawn(100, seed=1)[:, 0])
    assert run.open_data("test", str(other))[1] == "train", "of other images nothing is held out"
