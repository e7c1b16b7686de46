"""The bound in continuous time, and the schedule that is learned with it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import unnoise
from unnoise.data.batch import Batch
from unnoise.metrics.likelihood import variational_bound
from unnoise.models.assembly import build_model
from unnoise.models.diffusion import Diffusion
from unnoise.objectives import ContinuousBound
from unnoise.objectives.assembly import build_objective
from unnoise.process.learned_schedule import QUIET
from unnoise.process.schedule import LearnedSchedule
from unnoise.registry import spec_of
from unnoise.runs.checkpoint import checkpoints
from unnoise.samplers import SAMPLERS, Ancestral
from unnoise.seeding import StepNoise

NETWORK = {"kind": "unet", "channels": 8, "multipliers": [1, 2], "blocks": 1}
LEARNED = {"kind": "learned", "features": 5}
TINY = {
    "model.network.channels": 8,
    "model.network.multipliers": [1],
    "model.network.attention": [],
    "train.batch_size": 8,
    "data.limit": 64,
    "train.samples": 0,
    "train.warmup": 1,
    "train.precision": "fp32",
}


def make(schedule: object) -> ContinuousBound:
    torch.manual_seed(0)
    model = build_model({"network": NETWORK, "schedule": schedule, "parametrization": "v"}, (1, 4, 4), 0)
    assert isinstance(model, Diffusion)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape))
    return ContinuousBound(model.eval())


def learned(made: ContinuousBound) -> LearnedSchedule:
    assert isinstance(made.model.schedule, LearnedSchedule)
    return made.model.schedule


def images(count: int) -> Batch:
    draws = torch.Generator().manual_seed(1)
    return Batch(torch.randint(0, 256, (count, 1, 4, 4), generator=draws) / 127.5 - 1, {})


def test_the_decoder_is_asked_at_the_first_time_and_the_rest_between_it_and_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, asked = make({"kind": "cosine-betas", "T": 10}), []
    predict = made.model.predict
    monkeypatch.setattr(made.model, "predict", lambda x, t, cond: asked.append(t) or predict(x, t, cond))
    made.loss(images(32), StepNoise(0, 0))
    (times,) = asked
    decoded, rest = times[:4], times[4:]  # an eighth of the batch
    assert decoded.tolist() == [1.0] * 4
    assert 1 <= float(rest.min()) < 1.5 < 9.5 < float(rest.max()) <= 10


@pytest.mark.parametrize("schedule", ["cosine-betas", "vp", LEARNED], ids=str)
def test_its_expectation_is_the_bound_that_is_evaluated(schedule: object) -> None:
    made, batch = make(schedule), images(128)
    expected = variational_bound(made.model, batch.image, variance="continuous", steps=1000, sampled=40)
    with torch.no_grad():
        found = torch.stack([made.loss(batch, StepNoise(k)).total.double() for k in range(40)])
    error = math.hypot(float(found.std()) / math.sqrt(40), expected.stderr)
    # A thousand steps are a little coarser than ever more of them: the sum lies above its limit.
    assert -4 * error < expected.total - float(found.mean()) < 4 * error + 0.02 * expected.total


def difference(made: ContinuousBound, weight: torch.Tensor, value: Callable[[], float], width: float) -> float:
    """The central difference of a value in the one number of a weight that is looked at."""
    found = []
    for sign in (1, -1):
        with torch.no_grad():
            weight += sign * width
            found.append(value())
            weight -= sign * width
    return (found[0] - found[1]) / (2 * width)


@pytest.mark.parametrize("end", [0, 1])
def test_the_ends_are_trained_by_the_bound(end: int) -> None:
    made, batch = make(LEARNED), images(32)
    made.model.double()
    batch = Batch(batch.image.double(), {})
    ends = learned(made).ends
    made.loss(batch, StepNoise(3)).total.backward()

    def total() -> float:
        return float(made.loss(batch, StepNoise(3)).parts["loss"])

    assert ends.grad is not None
    expected = difference(made, ends.data[end : end + 1], total, 1e-4)
    assert float(ends.grad[end]) / QUIET == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(("part", "end"), [("prior", 1), ("decoder", 0)])
def test_the_prior_term_reaches_the_last_noise_and_the_decoder_the_first(part: str, end: int) -> None:
    made, batch = make(LEARNED), images(32)

    def value() -> float:
        return float(made.loss(batch, StepNoise(3)).parts[part])

    assert abs(difference(made, learned(made).ends.data[end : end + 1], value, 1e-2)) > 1e-4


@pytest.mark.parametrize("name", ["line", "heights", "slopes", "offsets"])
def test_the_shape_is_trained_by_the_square_of_the_loss(name: str) -> None:
    """Of two rows one is the decoder's, so the variance's gradient is that of the other one's loss squared."""
    made, batch = make(LEARNED), images(2)
    made.model.double()
    batch = Batch(batch.image.double(), {})
    weight = getattr(learned(made), name)
    made.loss(batch, StepNoise(5)).total.backward()

    def square() -> float:
        return float(made.loss(batch, StepNoise(5)).parts["denoising"]) ** 2

    number = weight.data.view(-1)[2:3] if weight.ndim else weight.data.view(1)
    expected = difference(made, number, square, 1e-4)
    assert abs(expected) > 1e-6
    # The features of the noise level are float32, which a difference feels and a gradient does not.
    assert float(weight.grad.view(-1)[2 if weight.ndim else 0]) / QUIET == pytest.approx(expected, rel=0.03)


def test_another_shape_has_the_same_bound_and_another_variance() -> None:
    made, batch = make(LEARNED), images(256)

    def values() -> torch.Tensor:
        with torch.no_grad():
            return torch.stack([made.loss(batch, StepNoise(k)).parts["denoising"] for k in range(60)])

    before = values()
    with torch.no_grad():
        learned(made).heights[1] += 0.8  # most of the way in one leap
        learned(made).slopes += 1.5
    after = values()
    assert abs(float(before.mean() - after.mean())) < 4 * math.hypot(float(before.std()), float(after.std())) / 60**0.5
    assert not 0.8 < float(before.var() / after.var()) < 1.25


@pytest.mark.parametrize("kind", ["denoising", "variational"])
def test_no_other_loss_takes_a_schedule_that_waits_to_be_learned(kind: str) -> None:
    model = make(LEARNED).model
    with pytest.raises(ValueError, match="--recipe vdm"):
        build_objective({"kind": kind}, model)


def trained(out: Path, steps: int) -> unnoise.Run:
    return unnoise.train("digits", "vdm", out, steps=steps, overrides=TINY, device="cpu")


def test_a_learned_schedule_is_trained_averaged_saved_and_resumed_to_the_bit(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", 4)
    trained(tmp_path / "parts", 2)
    parts = trained(tmp_path / "parts", 4)
    for name in ("model", "ema"):
        left, right = (checkpoints(run.folder / "checkpoints")[-1].tensors(name) for run in (whole, parts))
        of_schedule = [key for key in left if key.startswith("schedule.")]
        assert len(of_schedule) == 5
        assert all(torch.equal(left[key], right[key]) for key in left)
        assert left["schedule.ends"].abs().min() > 0
    checkpoint = checkpoints(whole.folder / "checkpoints")[-1]
    averaged, last = (checkpoint.tensors(name)["schedule.ends"] for name in ("ema", "model"))
    schedule = whole.diffusion("a test", "cpu").schedule
    assert isinstance(schedule, LearnedSchedule)
    assert torch.equal(schedule.ends, averaged)
    assert not torch.equal(averaged, last)


def test_every_sampler_draws_on_a_learned_schedule(tmp_path: Path) -> None:
    model = trained(tmp_path / "run", 2).diffusion("a test", "cpu")
    for name, kind in SAMPLERS.items():
        sampler = Ancestral(steps=3) if name == "ddpm" else kind(steps=3)
        drawn = model.sample(seeds=[0, 1], sampler=sampler)
        assert drawn.shape == (2, 1, 8, 8), name
        assert bool(drawn.isfinite().all()), name


def test_what_solvers_remember_of_a_schedule_follows_its_weights() -> None:
    schedule = LearnedSchedule()
    before = schedule.at(500.0).sigma
    with torch.no_grad():
        schedule.ends += 0.1
    assert schedule.at(500.0).sigma == pytest.approx(float(schedule.sigma(500.0)))
    assert schedule.at(500.0).sigma != before
    assert spec_of({"learned": LearnedSchedule}, schedule) == {
        "kind": "learned",
        "T": 1000,
        "gamma_min": -13.3,
        "gamma_max": 5.0,
        "features": 64,
    }
