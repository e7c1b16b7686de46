"""The contract of the consistency objective: where the consistency function is known, it is the optimum."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from unnoise.data.batch import Batch
from unnoise.data.images import Images
from unnoise.data.loader import Loader
from unnoise.models.assembly import build_model
from unnoise.models.diffusion import Diffusion
from unnoise.networks.conditioner import Conditioner
from unnoise.objectives.assembly import build_objective, objective_spec
from unnoise.objectives.consistency import Consistency, flow_step, path, pseudo_huber
from unnoise.process.analytic import GaussianMixture
from unnoise.process.gaussian import perturb
from unnoise.process.parametrization import EDM, Eps, X0Skip
from unnoise.process.schedule import VE, Cosine, CosineBetas, RectifiedFlow, Schedule
from unnoise.samplers import RK45, Renoise
from unnoise.seeding import StepNoise
from unnoise.training.engine import choose_engine
from unnoise.training.settings import TrainSettings
from unnoise.training.trainer import Trainer

from .exact import SCHEDULES, STD, OfTime, end_of_the_path, exact_model, mean_of_the_data

NETWORK = {"kind": "unet", "channels": 16, "multipliers": [1, 2], "blocks": 1, "time_injection": "adagn"}
SENTENCES = {
    "EDM": {"schedule": "ve", "parametrization": "edm"},
    "v": {"schedule": "cosine-betas", "parametrization": "v"},
    "rectified flow": {"schedule": "straight", "parametrization": "velocity"},
    "eps": {"schedule": "linear-betas", "parametrization": "eps"},
    "x0 with a skip": {"schedule": "vp", "parametrization": "x0-skip"},
}
every_sentence = pytest.mark.parametrize("sentence", SENTENCES.values(), ids=SENTENCES)
TEACHERS = pytest.mark.parametrize("teacher", [False, True], ids=["training", "distillation"])
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)


def make(sentence: dict[str, Any], **options: Any) -> Consistency:
    torch.manual_seed(0)
    model = build_model({"network": NETWORK, **sentence}, (1, 8, 8), classes=10)
    assert isinstance(model, Diffusion)
    made = build_objective({"kind": "consistency", **options}, model)
    assert isinstance(made, Consistency)
    return made


def stirred(made: Consistency) -> Consistency:
    """With weights all other than zero."""
    with torch.no_grad():
        for parameter in made.model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return made


def images(n: int = 8) -> Batch:
    draws = torch.Generator().manual_seed(5)
    return Batch(torch.where(torch.rand(n, 1, 8, 8, generator=draws) < 0.4, 1.0, -1.0), {})


def on_a_gaussian(schedule: Schedule, intervals: int, teacher: bool = True) -> Consistency:
    """The objective with the exact f, and the exact denoiser for a teacher, on N(0, STD^2)."""
    model = exact_model(schedule, end_of_the_path, X0Skip())
    made = Consistency(model, teacher, intervals, intervals)
    for part in made.modules().values():
        assert isinstance(part, Diffusion)
        part.network = OfTime(schedule, mean_of_the_data, X0Skip())
    return made


def gaussian(n: int = 512) -> Batch:
    return Batch(STD * torch.randn(n, 1, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64), {})


@every_schedule
def test_with_an_exact_teacher_the_exact_function_pays_almost_nothing(schedule: Schedule) -> None:
    """Heun's error of a step is of the third order in its length: eight times less where intervals are halved."""
    batch, noise = gaussian(), StepNoise(2)
    losses = [float(on_a_gaussian(schedule, n).loss(batch, noise).total.detach()) for n in (20, 80)]
    untaught = float(on_a_gaussian(schedule, 80, teacher=False).loss(batch, noise).total.detach())
    assert losses[1] < losses[0] / 8
    assert losses[1] < untaught / 100


@every_schedule
def test_heuns_step_is_of_second_order_and_eulers_at_the_end(schedule: Schedule) -> None:
    """Along the whole path of a mixture, against a fine solution."""
    mixture = GaussianMixture(torch.ones(2), torch.tensor([[0.6, -0.4], [-0.5, 0.3]]), 0.4)
    denoiser = mixture.denoiser(schedule)
    x_T = schedule.prior_std * torch.randn(16, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    exact = RK45(steps=40, rtol=1e-9, atol=1e-9).run(denoiser, x_T)
    errors = []
    for intervals in (40, 80):
        x, falling = x_T, path(schedule, intervals).flip(0)
        for t, s in pairwise(falling):
            x = flow_step(denoiser, x, t.expand(16), s.expand(16))
        errors.append(float((x - exact).square().mean().sqrt()))
    assert errors[1] < errors[0] / 2.5
    assert errors[1] < 0.01


@pytest.mark.parametrize("sentence", SENTENCES.values(), ids=SENTENCES)
def test_the_boundary_holds_to_the_bit(sentence: dict[str, Any]) -> None:
    made, x = stirred(make(sentence)), images().image
    t = torch.tensor([0.0, 1.0] * 4, dtype=torch.float64) * made.model.schedule.t_max
    ends = made.consistent(x, t)
    assert torch.equal(ends[::2], x[::2])
    assert not torch.isclose(ends[1::2], x[1::2]).all()


def test_edm_has_the_boundary_of_its_own() -> None:
    """c_skip(0) = 1 and c_out(0) = 0, so f is continuous where the objective sets it to x."""
    x, output = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(EDM().invert(VE(), output, x, torch.zeros(5, dtype=torch.float64)).x_0, x)


@every_sentence
@TEACHERS
def test_gradients_reach_the_student_alone(sentence: dict[str, Any], teacher: bool) -> None:
    made, batch = stirred(make(sentence, teacher=teacher)), images()
    (phase,) = made.phases()
    phase.loss(batch, StepNoise(0)).total.backward()
    assert {id(p) for p in phase.parameters} == {id(p) for p in made.model.parameters()}
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in phase.parameters)
    thrown_away = [p for module in made.modules().values() for p in module.parameters()]
    assert bool(thrown_away) == teacher
    assert all(p.grad is None and not p.requires_grad for p in thrown_away)


@pytest.mark.parametrize("intervals", [1, 10])
def test_no_gradient_flows_through_the_nearer_end(intervals: int) -> None:
    """The loss written out with the answer at s as a constant has the same gradient."""
    made, batch = make(SENTENCES["EDM"], intervals=intervals), images()
    made.loss(batch, StepNoise(0)).total.backward()
    gradients = [p.grad.clone() for p in made.model.parameters() if p.grad is not None]
    made.model.zero_grad()
    noise = StepNoise(0)
    t, s = made.pair(noise.uniform(8))
    eps = noise.normal(batch.image)
    constant = made.consistent(perturb(VE(), batch.image, eps, s), s).detach()
    distances = pseudo_huber(made.consistent(perturb(VE(), batch.image, eps, t), t), constant)
    (distances / (t - s).float()).mean().backward()
    for gradient, p in zip(gradients, (p for p in made.model.parameters() if p.grad is not None), strict=True):
        assert p.grad is not None
        torch.testing.assert_close(gradient, p.grad)


def test_both_ends_and_the_teacher_drop_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rows lose their labels, and dropout in the network takes the same units at both ends."""
    sentence = {"schedule": "vp", "parametrization": "v", "conditioner": {"kind": "class", "dropout": 0.5}}
    made = stirred(make({**sentence, "network": {**NETWORK, "dropout": 0.5}}, teacher=True))
    made.model.train()
    drawn, rows = Conditioner.drawn, []
    monkeypatch.setattr(Conditioner, "drawn", lambda *given: rows.append(drawn(*given)) or rows[-1])
    units = []
    made.model.network.register_forward_pre_hook(lambda *_: units.append(torch.random.get_rng_state()))
    made.loss(Batch(images(64).image, {"label": torch.arange(64) % 10}), StepNoise(0))
    assert len(rows) == 3
    assert 10 < int(rows[0].sum()) < 54
    assert all(torch.equal(rows[0], other) for other in rows)
    assert len(units) == 2
    assert torch.equal(*units)


def test_intervals_double_at_equal_distances_over_a_training() -> None:
    """Song & Dhariwal 2023, section 3.4: 20,000 steps have eight parts of 2,500, with 10 to 1,280 intervals."""
    made = make(SENTENCES["EDM"])
    counts = []
    for step in range(0, 20_000, 1_250):
        made.before_step(step, step / 20_000)
        counts.append(made.count())
    assert counts == [10 * 2 ** (part // 2) for part in range(16)]
    made.before_step(20_000, 1.0)
    assert made.count() == 1280


def test_intervals_double_and_stop() -> None:
    made = make(SENTENCES["EDM"], intervals=10, most_intervals=40, double_every=100)
    counts = []
    for step in (0, 99, 100, 199, 200, 10_000):
        made.before_step(step)
        counts.append(made.count())
    assert counts == [10, 10, 20, 20, 40, 40]


@every_schedule
@pytest.mark.parametrize("intervals", [1, 18, 1280])
def test_a_path_rises_from_0_to_t_max(schedule: Schedule, intervals: int) -> None:
    rising = path(schedule, intervals)
    assert rising[0] == 0
    assert rising[-1] == schedule.t_max
    assert (rising.diff() > 0).all()
    assert len(rising) <= intervals + 1
    ratios = (schedule.sigma(rising) / schedule.alpha(rising)).clamp(max=80)
    assert (ratios.diff() > 0).all()


def test_intervals_are_drawn_as_the_discretised_log_normal_says() -> None:
    """Song & Dhariwal 2023, section 3.5: p(sigma_i) is what the density holds between sigma_i and sigma_{i+1}."""
    made = make(SENTENCES["EDM"], intervals=12)
    u = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    t, s = made.pair(u)
    rising = path(VE(), 12)
    assert torch.equal(s, rising[torch.searchsorted(rising, t) - 1])
    inner = rising[2:-1]
    expected = torch.special.ndtr((inner.log() + 1.1) / 2.0).diff()
    found = torch.stack([(t == end).double().mean() for end in inner[1:]])
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-4)


def test_a_discrete_schedule_is_asked_on_native_steps_alone() -> None:
    made = make({"schedule": {"kind": "cosine-betas", "T": 50}, "parametrization": "v"}, intervals=1280)
    t, s = made.pair(torch.rand(500, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    assert torch.equal(t, t.round())
    assert torch.equal(s, s.round())
    assert (s < t).all()


def test_the_teacher_is_the_model_before_the_first_step() -> None:
    made = make(SENTENCES["v"], teacher=True)
    with torch.no_grad():
        for parameter in made.model.parameters():
            parameter.add_(1.0)
    made.before_step(0)
    taught = made.modules()["teacher"].state_dict()
    assert all(torch.equal(value, taught[name]) for name, value in made.model.state_dict().items())
    with torch.no_grad():
        for parameter in made.model.parameters():
            parameter.add_(1.0)
    made.before_step(1)
    kept = made.modules()["teacher"].state_dict()
    assert not any(torch.equal(p, kept[name]) for name, p in made.model.named_parameters())


def test_the_exact_function_draws_the_distribution_in_one_step_and_in_more() -> None:
    for schedule in SCHEDULES:
        exact = on_a_gaussian(schedule, 10).model
        exact.clip = False
        noise = schedule.prior_std * torch.randn(5_000, 1, 2, 2, generator=torch.Generator().manual_seed(3))
        for steps in (1, 2, 4):
            drawn = Renoise(steps=steps).run(exact, noise.double())
            assert abs(float(drawn.std()) / STD - 1) < 0.02
            assert abs(float(drawn.mean())) < 0.01


def trainer(teacher: bool) -> Trainer:
    pixels = np.random.default_rng(5).integers(0, 256, (16, 1, 8, 8), dtype=np.uint8)
    settings = TrainSettings(batch_size=8, learning_rate=1e-3, warmup=2, precision="fp32")
    made = make(SENTENCES["v"], teacher=teacher, intervals=4, most_intervals=16, double_every=2)
    return Trainer(made, Loader(Images(pixels), 8, 0), settings, choose_engine(settings, "cpu"))


@TEACHERS
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(resumed_equals_uninterrupted: Any, teacher: bool) -> None:
    expected = resumed_equals_uninterrupted(lambda: trainer(teacher), before=3, after=2)
    assert ("teacher" in expected) == teacher


@pytest.mark.slow
@pytest.mark.parametrize("sentence", [SENTENCES["EDM"], SENTENCES["v"]], ids=["EDM", "v"])
def test_memorises_eight_images(sentence: dict[str, Any]) -> None:
    made, batch = make(sentence, intervals=10, most_intervals=40, double_every=200), images()
    optimizer = torch.optim.AdamW(made.model.parameters(), lr=3e-3)
    big, steps = Batch(batch.image.repeat(4, 1, 1, 1), {}), 700
    for step in range(steps):
        made.before_step(step)
        optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / steps)
        made.loss(big, StepNoise(0, step)).total.backward()
        torch.nn.utils.clip_grad_norm_(made.model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    drawn = made.model.eval().sample(seeds=range(16), sampler=Renoise(steps=2))
    distance = (drawn[:, None] - batch.image).abs().mean((2, 3, 4)).min(1).values
    assert distance.median() < 0.1, distance


def test_impossible_requests_are_refused_and_the_spec_round_trips() -> None:
    for schedule in (Cosine(), RectifiedFlow(), CosineBetas()):
        model = Diffusion(nn.Identity(), schedule, Eps(), shape=(1, 4, 4))
        with pytest.raises(ValueError, match="enlarges the network's errors"):
            Consistency(model)
    with pytest.raises(ValueError, match="kind=x0-skip, which takes the weights of x0"):
        Consistency(exact_model(VE(), end_of_the_path))
    with pytest.raises(ValueError, match="intervals"):
        make(SENTENCES["EDM"], intervals=20, most_intervals=10)
    made = make(SENTENCES["EDM"], teacher=True)
    spec = objective_spec(made)
    assert spec["timesteps"] == {"kind": "log-normal-sigma", "mean": -1.1, "std": 2.0}
    assert objective_spec(build_objective(spec, made.model)) == spec


@pytest.mark.parametrize("shape", [(3,), (3, 4, 4), (1, 16, 16)], ids=str)
def test_pseudo_huber_bends_where_song_and_dhariwal_bend_it(shape: tuple[int, ...]) -> None:
    """c = 0.00054 sqrt(D): at a distance of c the value is (sqrt 2 - 1) c, far away it is the distance less c."""
    c = 0.00054 * np.sqrt(np.prod(shape))
    away = torch.ones(1, *shape, dtype=torch.float64) / np.sqrt(np.prod(shape))
    for distance, expected in ((0.0, 0.0), (c, (np.sqrt(2) - 1) * c), (1000 * c, 1000 * c - c)):
        value = pseudo_huber(0.3 + distance * away, torch.full_like(away, 0.3))
        assert value.item() == pytest.approx(expected, rel=1e-3, abs=1e-12)
