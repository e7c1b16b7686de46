"""A diffusion model against a discriminator on its own activations: who learns what, from what."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unnoise.data.batch import Batch
from unnoise.data.images import Images
from unnoise.data.loader import Loader
from unnoise.models.assembly import build_model
from unnoise.models.diffusion import Diffusion
from unnoise.networks.activations import Heads
from unnoise.objectives.adversarial_diffusion import AdversarialDiffusion, squared_gradient
from unnoise.objectives.assembly import build_objective, objective_spec
from unnoise.objectives.few_calls import few_call_paths
from unnoise.process.gaussian import perturb
from unnoise.samplers import Renoise
from unnoise.seeding import SeededNoise, StepNoise
from unnoise.training.engine import choose_engine
from unnoise.training.settings import TrainSettings
from unnoise.training.trainer import Trainer

NETWORKS: dict[str, dict[str, Any]] = {
    "unet": {"kind": "unet", "channels": 8, "multipliers": [1, 2], "blocks": 1},
    "dit": {"kind": "dit", "dim": 16, "depth": 4, "heads": 2, "patch": 2},
}
every_network = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)


def make(network: dict[str, Any] | None = None, **options: Any) -> AdversarialDiffusion:
    torch.manual_seed(0)
    sentence = {"network": network or NETWORKS["unet"], "schedule": "cosine-betas", "parametrization": "v"}
    model = build_model(sentence, (1, 8, 8), classes=0)
    assert isinstance(model, Diffusion)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    made = build_objective({"kind": "adversarial-diffusion", **options}, model)
    assert isinstance(made, AdversarialDiffusion)
    return made


def images(n: int = 8, seed: int = 5) -> Batch:
    draws = torch.Generator().manual_seed(seed)
    return Batch(torch.where(torch.rand(n, 1, 8, 8, generator=draws) < 0.4, 1.0, -1.0), {})


@every_network
def test_each_phase_reaches_its_own_parameters_alone(network: dict[str, Any]) -> None:
    made = make(network)
    generator, discriminator = made.phases()
    assert {id(p) for p in generator.parameters} == {id(p) for p in made.model.parameters()}
    for phase, other in ((generator, discriminator), (discriminator, generator)):
        phase.loss(images(), StepNoise(0)).total.backward()
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in phase.parameters)
        assert all(p.grad is None for p in other.parameters)
        assert all(p.grad is None and not p.requires_grad for p in made.teacher.parameters())
        for parameter in phase.parameters:
            parameter.grad = None


@pytest.mark.parametrize("start", [0.75, 1.0])
def test_each_time_of_one_to_three_calls_has_the_way_there(start: float) -> None:
    schedule = make().model.schedule
    one, two, three = (Renoise(steps=steps, start=start).times(schedule)[:-1].tolist() for steps in (1, 2, 3))
    first = one[0]
    ways = [[first, first, first], [first, first, two[1]], [first, first, three[1]], three]
    falling = sorted(ways, key=lambda way: -way[-1])
    expected = [way for way in falling for _ in range({first: 1, two[1]: 2, three[1]: 2, three[2]: 3}[way[-1]])]
    assert few_call_paths(schedule, 3, start).tolist() == expected
    assert few_call_paths(schedule, 1, start).tolist() == [[first]]


class Drawn(StepNoise):
    """Noise that picks the time at a share of them, and begins where a sampler with these seeds begins."""

    def __init__(self, at: float, x_T: Tensor, seeds: range) -> None:
        super().__init__(0)
        self.at, self.first, self.later = at, x_T, SeededNoise(seeds, purpose=1)

    def uniform(self, count: int) -> Tensor:
        return torch.full((count,), self.at)

    def normal(self, like: Tensor) -> Tensor:
        drawn, self.first = self.first, None
        return self.later.normal(like) if drawn is None else drawn


@pytest.mark.parametrize("start", [0.75, 1.0])
@pytest.mark.parametrize(("calls", "steps", "at"), [(1, 1, 0.5), (2, 1, 0.3), (2, 2, 0.4), (3, 3, 0.9)])
def test_a_sample_is_what_the_student_draws_in_so_many_calls(start: float, calls: int, steps: int, at: float) -> None:
    """At the first time as in one call; at the last in the same noises as in all of them."""
    made, seeds = make(calls=calls, start=start), range(4)
    eps = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    sampled = made.samples(eps, Drawn(at, eps, seeds), None)
    drawn = Renoise(steps=steps, start=start).run(made.model.guided(), eps, seeds)
    torch.testing.assert_close(sampled, drawn)
    assert sampled.requires_grad


def test_image_and_sample_are_seen_by_the_network_before_the_first_step() -> None:
    made, seen = make(), []
    made.before_step(0)
    with torch.no_grad():
        for parameter in made.model.parameters():
            parameter.add_(1.0)
    kept = made.teacher.activations
    made.teacher.activations = lambda x, t, cond: seen.append((x, t)) or kept(x, t, cond)  # type: ignore[method-assign]
    image = images(1000).image
    found = made._seen(image, StepNoise(2), None)
    (x_t, t), schedule = seen[0], made.model.schedule
    noise = StepNoise(2)
    noise.uniform(1000)
    torch.testing.assert_close(x_t, perturb(schedule, image, noise.normal(image), t))
    angle = torch.atan2(schedule.sigma(t), schedule.alpha(t)) / (torch.pi / 2)
    assert float(angle.min()) == pytest.approx(0.05, abs=0.01)
    assert float(angle.max()) == pytest.approx(0.7, abs=0.01)
    assert float(angle.mean()) == pytest.approx(0.375, abs=0.02)
    assert len(found) == len(made.heads.heads)


def test_the_penalty_is_the_squared_gradient_of_the_logits() -> None:
    weights = torch.tensor([[2.0, -1.0], [0.5, 0.0]])
    h = torch.ones(3, 2, 1, 1, requires_grad=True)
    logits = h.flatten(1) @ weights.T
    torch.testing.assert_close(squared_gradient(logits, [h]), torch.full((3,), 2.5**2 + 1.0))


def test_heads_judge_every_position_of_every_layer() -> None:
    heads = Heads([4, 6], channels=8)
    logits = heads([torch.randn(2, 4, 5, 5), torch.randn(2, 6, 3, 3)])
    assert logits.shape == (2, 25 + 9)


@every_network
def test_activations_are_what_the_layers_answer_in_a_call(network: dict[str, Any]) -> None:
    model = make(network).model
    x, t, answers = images().image, torch.tensor(300.0, dtype=torch.float64), []
    shown = model.activations(x, t)
    for module in model.network.modules():
        module.register_forward_hook(lambda module, given, output: answers.append(output))
    model(x, t)
    tensors = [a for a in answers if isinstance(a, Tensor)]
    if network["kind"] == "dit":
        tensors = [a.transpose(1, 2).unflatten(2, (4, 4)) if a.ndim == 3 else a for a in tensors]
    assert len(shown) >= 3
    assert all(any(h.shape == a.shape and torch.equal(h, a) for a in tensors) for h in shown)


def test_a_network_that_shows_nothing_is_refused() -> None:
    made = make()
    made.model.network = nn.Identity()
    with pytest.raises(ValueError, match="does not show its layers"):
        AdversarialDiffusion(made.model)


def test_the_spec_round_trips_and_an_unknown_game_is_named() -> None:
    made = make(calls=3, game="non-saturating")
    spec = objective_spec(made)
    assert objective_spec(build_objective(spec, made.model)) == spec
    with pytest.raises(ValueError, match="did you mean 'hinge'"):
        make(game="hing")
    for least, most in ((0.0, 0.5), (0.5, 0.5), (0.1, 1.0)):
        with pytest.raises(ValueError, match=r"0 < objective\.least"):
            make(least=least, most=most)


def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(resumed_equals_uninterrupted: Any) -> None:
    def trainer() -> Trainer:
        pixels = np.random.default_rng(5).integers(0, 256, (16, 1, 8, 8), dtype=np.uint8)
        settings = TrainSettings(batch_size=8, learning_rate=1e-3, warmup=2, precision="fp32")
        return Trainer(make(), Loader(Images(pixels), 8, 0), settings, choose_engine(settings, "cpu"))

    expected = resumed_equals_uninterrupted(trainer, before=3, after=2)
    assert {"teacher", "heads"} <= set(expected)


def test_the_discriminator_is_told_the_conditions_that_the_student_is_told() -> None:
    """A sample whose condition was dropped, judged with it, would be told from an image by that alone."""
    torch.manual_seed(0)
    sentence = {"network": NETWORKS["unet"], "conditioner": {"kind": "class", "dropout": 0.5}}
    made = build_objective({"kind": "adversarial-diffusion"}, build_model(sentence, (1, 8, 8), classes=10))
    assert isinstance(made, AdversarialDiffusion)
    made.model.train()
    seen: list[Tensor] = []
    for model in (made.model, made.teacher):
        assert model.conditioner is not None
        kept = model.conditioner.drawn

        def drawn(count: int, dropped: Tensor | None = None, kept: Any = kept) -> Tensor:
            seen.append(kept(count, dropped))
            return seen[-1]

        model.conditioner.drawn = drawn  # type: ignore[method-assign]
    batch = Batch(images(64).image, {"label": torch.arange(64) % 10})
    made.discriminator_loss(batch, StepNoise(3))
    student, again, of_images, of_samples = seen  # in two calls
    assert 0 < int(student.sum()) < 64
    assert torch.equal(student, again)
    assert torch.equal(student, of_samples)
    assert torch.equal(of_images, of_samples)
