from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from unnoise.data.batch import Batch
from unnoise.models.autoencoder import Autoencoder
from unnoise.objectives.reconstruction import CORRUPTIONS, Reconstruction, gaussian, masking, salt_pepper
from unnoise.seeding import StepNoise

AMOUNTS = {"none": 0.0, "gaussian": 0.3, "masking": 0.3, "salt-pepper": 0.3}
every_corruption = pytest.mark.parametrize(("corruption", "amount"), AMOUNTS.items())


def make(corruption: str = "none", amount: float = 0.0) -> Reconstruction:
    torch.manual_seed(0)
    return Reconstruction(Autoencoder((1, 8, 8), channels=16, latent=16), corruption, amount)


def images(n: int = 8) -> Batch:
    draws = torch.Generator().manual_seed(5)
    return Batch(torch.where(torch.rand(n, 1, 8, 8, generator=draws) < 0.4, 1.0, -1.0), {})


def test_every_corruption_is_tested() -> None:
    assert AMOUNTS.keys() == CORRUPTIONS.keys()


def test_gaussian_noise_has_its_standard_deviation() -> None:
    image = torch.full((64, 3, 32, 32), 0.25)
    difference = gaussian(image, 0.4, StepNoise(0)) - image
    assert float(difference.std()) == pytest.approx(0.4, rel=0.01)
    assert float(difference.mean()) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("corrupt", [masking, salt_pepper])
def test_a_share_of_the_positions_is_overwritten_over_all_channels(corrupt: object) -> None:
    image = torch.full((64, 3, 32, 32), 0.25)
    corrupted = corrupt(image, 0.3, StepNoise(0))  # type: ignore[operator]
    changed = corrupted != image
    assert torch.equal(changed.any(1), changed.all(1))
    assert float(changed.float().mean()) == pytest.approx(0.3, abs=0.01)
    values = sorted(corrupted[changed].unique().tolist())
    assert values == ([0.0] if corrupt is masking else [-1.0, 1.0])


def test_salt_and_pepper_are_as_frequent() -> None:
    corrupted = salt_pepper(torch.zeros(64, 1, 32, 32), 0.5, StepNoise(0))
    assert float(corrupted.mean()) == pytest.approx(0, abs=0.01)
    assert float((corrupted == 1).float().mean()) == pytest.approx(0.25, abs=0.01)


def test_the_target_is_the_clean_image() -> None:
    """A model that returns its input pays the corruption's power."""
    objective = make("gaussian", 0.5)
    objective.model.forward = lambda image: image  # type: ignore[method-assign]
    loss = objective.loss(images(256), StepNoise(0)).total
    assert float(loss) == pytest.approx(0.25, rel=0.03)


@every_corruption
def test_the_loss_is_a_function_of_batch_and_noise(corruption: str, amount: float) -> None:
    objective = make(corruption, amount)
    first, again, other = (objective.loss(images(), StepNoise(3, k)).total for k in (1, 1, 2))
    assert torch.equal(first, again)
    assert torch.equal(first, other) is (corruption == "none")


@every_corruption
def test_gradients_reach_the_phases_parameters_alone(corruption: str, amount: float) -> None:
    objective = make(corruption, amount)
    (phase,) = objective.phases()
    phase.loss(images(), StepNoise(0)).total.backward()
    assert {id(p) for p in phase.parameters} == {id(p) for p in objective.model.parameters()}
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in phase.parameters)


@every_corruption
@pytest.mark.slow
def test_memorises_eight_images(corruption: str, amount: float) -> None:
    objective, batch = make(corruption, amount), images()
    big = replace(batch, image=batch.image.repeat(4, 1, 1, 1))
    optimizer = torch.optim.AdamW(objective.model.parameters(), lr=3e-3)
    for step in range(400):
        objective.loss(big, StepNoise(0, step)).total.backward()
        optimizer.step()
        optimizer.zero_grad()
    corrupted = CORRUPTIONS[corruption](batch.image, amount, StepNoise(1))
    model = objective.model.eval()
    assert (model.decode(model.encode(corrupted)) - batch.image).abs().mean() < 0.1


@pytest.mark.parametrize(
    ("corruption", "amount", "message"),
    [
        ("gausian", 0.1, "did you mean 'gaussian'"),
        ("masking", 1.5, "from 0 to 1, got 1.5"),
        ("gaussian", -1.0, "from 0 to inf, got -1.0"),
        ("masking", 0.0, "give both, or neither"),
        ("none", 0.5, "give both, or neither"),
    ],
)
def test_impossible_corruptions_are_refused(corruption: str, amount: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(corruption, amount)
