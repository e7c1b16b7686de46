"""What of a training is compiled, and when: every shape of images before the first step, and nothing else.

The compiler itself stands aside: torch traces the blocks, and what it traced runs as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from unnoise.data import Images
from unnoise.networks import regions
from unnoise.runs.config import override, read_recipe
from unnoise.training.engine import OFF, REGIONS, _compiled, choose_engine
from unnoise.training.plan import _first_step
from unnoise.training.settings import TrainSettings
from unnoise.training.setup import prepare
from unnoise.training.trainer import Trainer

from .ranks import DIFFUSION, SMALL, cut

pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # torch's own, tracing
SHAPES = 3


class Compiler:
    """Counts what it is given; from number `most` on it fails."""

    def __init__(self) -> None:
        self.count, self.most = 0, 1000

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        self.count += 1
        if self.count > self.most:
            raise RuntimeError("no compiler is left")
        return graph.forward


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[Compiler]:
    made, compiling = Compiler(), nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda module, **how: compiling(module, backend=made, **how))
    with torch._dynamo.config.patch(recompile_limit=1, accumulated_recompile_limit=1):
        torch.compiler.reset()
        yield made
        torch.compiler.reset()


def trainer_on(shapes: int, compile: str) -> Trainer:
    config = override(read_recipe("ddpm-digits"), {**SMALL, **DIFFUSION, "train.compile": compile})
    setup = prepare("digits", "ddpm-digits", config, 0, None, "cpu")
    assert isinstance(setup.images, Images)
    if shapes > 1:
        setup = replace(setup, images=cut(setup.images), held=None)
    engine = choose_engine(setup.settings, "cpu", len(setup.images.buckets))
    return replace(setup, engine=engine).trainer(None)


def begin(trainer: Trainer) -> None:
    _first_step(trainer, trainer.loader.batch(0))


def losses(trainer: Trainer) -> list[float]:
    """Of as many steps as it takes to see every shape."""
    seen = {tuple(trainer.loader.batch(step).image.shape) for step in range(6)}
    assert len(seen) == trainer.engine.shapes
    return [float(trainer.advance()["model"].parts["loss"]) for _ in range(6)]


@pytest.mark.parametrize("compile", ["regions", "whole"])
def test_every_shape_is_compiled_before_the_first_step_and_nothing_later(
    compile: str, compiler: Compiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What later shapes are given was compiled in the midst of a training, up to torch's limit, which was that of one
    shape; beyond it, it ran as it is. Samples and validations were compiled by themselves."""
    alone = trainer_on(1, compile)
    begin(alone)
    of_one = compiler.count
    assert of_one > 0, alone.engine.notes
    torch.compiler.reset()
    torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = 1
    monkeypatch.setattr(regions, "KINDS", of_one)
    trainer = trainer_on(SHAPES, compile)
    begin(trainer)
    assert compiler.count == (1 + SHAPES) * of_one
    found = losses(trainer)
    trainer.validate([trainer.loader.batch(0, slice(5))])
    assert compiler.count == (1 + SHAPES) * of_one
    assert found == pytest.approx(losses(trainer_on(SHAPES, OFF)), rel=1e-5)


def test_a_compiler_that_fails_at_a_later_shape_is_done_without(compiler: Compiler) -> None:
    begin(trainer_on(1, REGIONS))
    compiler.most = 2 * compiler.count + 1
    torch.compiler.reset()
    trainer = trainer_on(SHAPES, REGIONS)
    begin(trainer)
    assert trainer.engine.compile == OFF
    assert "no compiler is left" in trainer.engine.notes[-1]
    assert all(parameter.grad is None for parameter in trainer.model.parameters())
    assert len(losses(trainer)) == 6


@pytest.mark.parametrize(
    ("steps", "minutes", "shapes", "expected"),
    [
        (5000, 0.0, 1, REGIONS),
        (4999, 0.0, 1, OFF),
        (5000, 0.0, 3, OFF),
        (15_000, 0.0, 3, REGIONS),
        (15_000, 29.0, 3, OFF),
        (15_000, 30.0, 3, REGIONS),
    ],
)
def test_compiling_pays_from_as_many_steps_for_each_shape(
    steps: int, minutes: float, shapes: int, expected: str
) -> None:
    assert _compiled(TrainSettings(steps=steps, minutes=minutes), "cuda", shapes) == expected


def test_the_plan_says_how_often_is_compiled() -> None:
    notes = choose_engine(TrainSettings(compile="on"), "cpu", 3).notes
    assert "everything is compiled 3 times, for each shape of the images, before the first step" in notes
    assert not any("times, for each shape" in note for note in choose_engine(TrainSettings(compile="on"), "cpu").notes)
