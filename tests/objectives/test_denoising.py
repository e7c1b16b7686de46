"""The contract of the denoising objective, on several sentences."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from unnoise.data.batch import Batch
from unnoise.metrics.bound import transition_kl
from unnoise.models.assembly import build_model
from unnoise.models.diffusion import Diffusion
from unnoise.objectives import Denoising
from unnoise.objectives.assembly import build_objective, objective_spec
from unnoise.objectives.clipped import BEYOND, clipped_answer
from unnoise.process.gaussian import perturb
from unnoise.process.parametrization import PARAMETRIZATIONS, X0
from unnoise.process.schedule import Cosine, LinearBetas, RectifiedFlow
from unnoise.process.timesteps import TIMESTEP_DISTRIBUTIONS, OnGrid
from unnoise.process.variance import BetaTilde
from unnoise.process.weight import WEIGHTS
from unnoise.samplers import DDIM
from unnoise.seeding import StepNoise

NETWORK = {"kind": "unet", "channels": 16, "multipliers": [1, 2], "blocks": 1, "time_injection": "adagn"}
SENTENCES = {
    "DDPM": ({"schedule": "linear-betas", "parametrization": "eps"}, {}),
    "v, min-SNR": ({"schedule": "cosine-betas", "parametrization": "v"}, {"weight": "min-snr"}),
    "EDM": ({"schedule": "ve", "parametrization": "edm"}, {"timesteps": "log-normal-sigma"}),
    "rectified flow": ({"schedule": "straight", "parametrization": "velocity"}, {"timesteps": "logit-normal"}),
}
every_sentence = pytest.mark.parametrize(("model", "objective"), SENTENCES.values(), ids=SENTENCES)


def make(model: dict[str, object], objective: dict[str, object]) -> Denoising:
    torch.manual_seed(0)
    built = build_model({"network": NETWORK, **model}, (1, 8, 8), classes=0)
    assert isinstance(built, Diffusion)
    made = build_objective(objective, built)
    assert isinstance(made, Denoising)
    return made


def images(n: int = 8) -> Batch:
    draws = torch.Generator().manual_seed(5)
    return Batch(torch.where(torch.rand(n, 1, 8, 8, generator=draws) < 0.4, 1.0, -1.0), {})


@every_sentence
def test_gradients_reach_the_phases_parameters_alone(model: dict[str, object], objective: dict[str, object]) -> None:
    made, batch = make(model, objective), images()
    batch.image.requires_grad_()
    (phase,) = made.phases()
    phase.loss(batch, StepNoise(0)).total.backward()
    assert {id(p) for p in phase.parameters} == {id(p) for p in made.model.parameters()}
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in phase.parameters)


@every_sentence
def test_the_loss_is_a_function_of_batch_and_noise(model: dict[str, object], objective: dict[str, object]) -> None:
    made = make(model, objective)
    first, again = (made.loss(images(), StepNoise(3, 1)).total for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, made.loss(images(), StepNoise(3, 2)).total)


@every_sentence
def test_an_untrained_network_answers_zero_and_pays_the_targets_power(
    model: dict[str, object], objective: dict[str, object]
) -> None:
    """With output 0 the loss is E w |target|^2, computed here by hand from the rows."""
    made, batch = make(model, objective), images(4096)
    noise = StepNoise(1)
    t = made.timesteps.quantile(made.model.schedule, noise.uniform(4096))
    a, b = made.model.parametrization.row(made.model.schedule, t)
    expected = (made.weight(made.model.schedule, made.model.parametrization, t) * (a**2 + b**2)).mean()
    got = made.loss(batch, StepNoise(1)).total
    torch.testing.assert_close(got.double(), expected, rtol=0.03, atol=0.0)


@every_sentence
@pytest.mark.slow
def test_memorises_eight_images(model: dict[str, object], objective: dict[str, object]) -> None:
    made, batch = make(model, objective), images()
    optimizer = torch.optim.AdamW(made.model.parameters(), lr=3e-3)
    big = replace(batch, image=batch.image.repeat(8, 1, 1, 1))
    for step in range(1500):
        optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / 1500)
        made.loss(big, StepNoise(0, step)).total.backward()
        optimizer.step()
        optimizer.zero_grad()
    drawn = made.model.eval().sample(seeds=range(16), sampler=DDIM(steps=100))
    distance = (drawn[:, None] - batch.image).abs().mean((2, 3, 4)).min(1).values
    assert distance.median() < 0.1, distance


@pytest.mark.parametrize("name", TIMESTEP_DISTRIBUTIONS)
def test_densities_stay_on_the_schedule_and_rise(name: str) -> None:
    schedule = LinearBetas() if name == "grid" else RectifiedFlow()
    u = torch.linspace(0, 1 - 1e-9, 1001, dtype=torch.float64)
    t = TIMESTEP_DISTRIBUTIONS[name]().quantile(schedule, u)
    t = t.flip(0) if t[0] > t[-1] else t
    assert (t.diff() >= 0).all()
    assert t.min() > 0
    assert t.max() <= schedule.t_max


def test_the_grid_density_is_uniform_on_native_steps() -> None:
    u = (torch.arange(5000, dtype=torch.float64) + 0.5) / 5000
    counts = OnGrid().quantile(LinearBetas(), u).long().bincount()
    assert counts[0] == 0
    assert (counts[1:] == 5).all()
    with pytest.raises(ValueError, match="no native steps"):
        OnGrid().quantile(RectifiedFlow(), u)


def test_spec_round_trips() -> None:
    for weight in WEIGHTS:
        made = make(SENTENCES["DDPM"][0], {"timesteps": "grid", "weight": weight})
        spec = objective_spec(made)
        assert spec["weight"]["kind"] == weight
        assert objective_spec(build_objective(spec, made.model)) == spec


@pytest.mark.parametrize("parametrization", ["eps", "x0", "v"])
def test_with_the_bounds_weight_the_simple_loss_is_the_sum_of_the_bounds_terms(parametrization: str) -> None:
    """T times the mean of KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) over the same times and noise."""
    model: dict[str, object] = {"schedule": "cosine-betas", "parametrization": parametrization}
    made, x_0 = make(model, {"weight": "bound"}), images(64).image
    noise = StepNoise(8)
    t = made.timesteps.quantile(made.model.schedule, noise.uniform(64))
    assert t.min() > 1  # t = 1 has the decoder's term
    x_t = perturb(made.model.schedule, x_0, noise.normal(x_0), t)
    with torch.no_grad():
        kl = transition_kl(made.model.schedule, made.model(x_t, t), BetaTilde(), x_0, t, t - 1)
        found = made.loss(Batch(x_0, {}), StepNoise(8)).total
    torch.testing.assert_close(found.double(), 1000 * kl.mean(), rtol=1e-3, atol=0)


class Answering(nn.Module):
    """Answers its parameter, a picture (1, 1, 8, 8), wherever it is asked."""

    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.answer = nn.Parameter(answer)

    def forward(self, x: Tensor, noise_level: Tensor) -> Tensor:
        return self.answer.expand_as(x)


@pytest.mark.parametrize("clipped", [True, False])
def test_clipped_an_answer_beyond_the_range_errs_by_as_much_as_its_end_does(clipped: bool) -> None:
    """Of -1.5, -1 is drawn; left the image is -1, right 0.25. That the answer lies beyond counts little."""
    made = Denoising(
        Diffusion(Answering(torch.full((1, 1, 8, 8), -1.5)), Cosine(), X0(), shape=(1, 8, 8)), clipped=clipped
    )
    image = torch.full((4, 1, 8, 8), -1.0)
    image[..., 4:] = 0.25
    made.loss(Batch(image, {}), StepNoise(0)).total.backward()
    network = made.model.network
    assert isinstance(network, Answering)
    assert network.answer.grad is not None
    heard = network.answer.grad.flatten(0, 2)[0] * 64
    errors = ((0.0, -1.25), BEYOND) if clipped else ((-0.5, -1.75), 0.0)
    (left, right), little = errors
    slopes = [2 * error + 2 * little * -0.5 for error in (left, right)]
    torch.testing.assert_close(heard, torch.tensor(slopes).repeat_interleave(4))
    expected = (left**2 + right**2) / 2 + little * 0.25
    assert made.loss(Batch(image, {}), StepNoise(0)).total.item() == pytest.approx(expected)


@pytest.mark.parametrize("name", [name for name in PARAMETRIZATIONS if name != "mean"])
def test_a_clipped_answer_is_the_target_of_the_image_that_sampling_uses(name: str) -> None:
    schedule, parametrization = Cosine(), PARAMETRIZATIONS[name]()
    network = Answering(torch.linspace(-3, 3, 64).reshape(1, 1, 8, 8))
    model = Diffusion(network, schedule, parametrization, shape=(1, 8, 8))
    x_t, t = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.linspace(0.1, 0.9, 5).double()
    used = model.guided()(x_t, t)
    assert used.x_0.detach().abs().max() == 1
    expected = parametrization.target(schedule, used.x_0, used.eps, t)
    torch.testing.assert_close(clipped_answer(model, network(x_t, t), x_t, t), expected, rtol=1e-4, atol=1e-4)
