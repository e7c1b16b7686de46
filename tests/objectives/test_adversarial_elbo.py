from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from unnoise.data.batch import Batch
from unnoise.data.images import Images
from unnoise.data.loader import Loader
from unnoise.models.vae import VAE
from unnoise.objectives.adversarial_elbo import AdversarialElbo
from unnoise.objectives.elbo import Elbo
from unnoise.seeding import StepNoise
from unnoise.training.engine import choose_engine
from unnoise.training.settings import TrainSettings
from unnoise.training.trainer import Trainer

PIXELS = np.random.default_rng(5).integers(0, 256, (16, 3, 16, 16), dtype=np.uint8)


def make(perceptual: float = 1.0, adversarial: float = 0.1) -> AdversarialElbo:
    torch.manual_seed(0)
    model = VAE((3, 16, 16), latent=2, likelihood="gaussian", spatial=True, channels=8)
    return AdversarialElbo(model, perceptual=perceptual, adversarial=adversarial, channels=8)


def images() -> Batch:
    return Images(PIXELS).batch(range(8))


def test_without_its_terms_it_is_the_bound() -> None:
    objective = make(0.0, 0.0)
    expected = Elbo(objective.model).loss(images(), StepNoise(0))
    loss = objective.loss(images(), StepNoise(0))
    torch.testing.assert_close(loss.total, expected.total)
    assert {name: float(loss.parts[name]) for name in expected.parts} == pytest.approx(
        {name: float(value) for name, value in expected.parts.items()}
    )


@pytest.mark.parametrize(("perceptual", "adversarial"), [(2.0, 0.0), (0.0, 3.0), (0.5, 0.25)])
def test_the_total_is_the_bound_and_each_term_by_its_weight(perceptual: float, adversarial: float) -> None:
    made = make(perceptual, adversarial)
    found = made.loss(images(), StepNoise(0))
    bound = Elbo(made.model).loss(images(), StepNoise(0)).total
    expected = bound + perceptual * found.parts["perceptual"] + adversarial * found.parts["adversarial"]
    assert float(found.parts["perceptual"]) > 0
    assert abs(float(found.parts["adversarial"])) not in (0.0, 1.0)
    torch.testing.assert_close(found.total, expected)


def test_a_perfect_reconstruction_has_no_perceptual_distance() -> None:
    objective, batch = make(), images()
    objective.model.pixels.mean = lambda output: batch.image  # type: ignore[method-assign]
    assert float(objective.loss(batch, StepNoise(0)).parts["perceptual"]) == 0
    objective.model.pixels.mean = lambda output: batch.image.flip(0)  # type: ignore[method-assign]
    assert float(objective.loss(batch, StepNoise(0)).parts["perceptual"]) > 0.01


def test_the_discriminator_judges_patches() -> None:
    """A change in one corner moves the logits near it alone."""
    torch.manual_seed(0)
    discriminator = AdversarialElbo(VAE((1, 64, 64), channels=8), channels=8).discriminator
    image = torch.zeros(1, 1, 64, 64)
    changed = image.clone()
    changed[..., :4, :4] = 1
    moved = (discriminator(image) - discriminator(changed)).reshape(16, 16).abs() > 1e-6
    assert moved[0, 0]
    assert not moved[6:].any()
    assert not moved[:, 6:].any()


def test_gradients_reach_the_phases_parameters_alone() -> None:
    objective = make()
    phases = objective.phases()
    everything = [parameter for phase in phases for parameter in phase.parameters]
    for phase in phases:
        phase.loss(images(), StepNoise(0)).total.backward()
        own = {id(p) for p in phase.parameters}
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in phase.parameters)
        assert all(p.grad is None for p in everything if id(p) not in own)
        for parameter in everything:
            parameter.grad = None


def trainer() -> Trainer:
    settings = TrainSettings(batch_size=8, learning_rate=1e-3, warmup=2, precision="fp32")
    return Trainer(make(), Loader(Images(PIXELS), 8, 0), settings, choose_engine(settings, "cpu"))


def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(resumed_equals_uninterrupted: Any) -> None:
    resumed_equals_uninterrupted(trainer, before=2, after=2)


@pytest.mark.slow
def test_memorises_eight_images() -> None:
    torch.manual_seed(0)
    model = VAE((1, 8, 8), latent=6, likelihood="gaussian", channels=16)
    draws = torch.Generator().manual_seed(5)
    batch = Batch(torch.where(torch.rand(8, 1, 8, 8, generator=draws) < 0.4, 1.0, -1.0), {})
    phases = AdversarialElbo(model, channels=16).phases()
    optimizers = [torch.optim.AdamW(phase.parameters) for phase in phases]
    for step in range(800):
        for phase, optimizer in zip(phases, optimizers, strict=True):
            optimizer.param_groups[0]["lr"] = 3e-3 * min(1, (step + 1) / 50)
            phase.loss(batch, StepNoise(0, step)).total.backward()
            torch.nn.utils.clip_grad_norm_(phase.parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad()
    model.eval()
    assert (model.decode(model.encode(batch.image)) - batch.image).abs().mean() < 0.15


@pytest.mark.parametrize("wrong", [{"perceptual": -1.0}, {"adversarial": -0.5}])
def test_negative_weights_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"objective.{next(iter(wrong))} must be at least 0"):
        make(**wrong)
