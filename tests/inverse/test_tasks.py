"""The tasks, with an exact denoiser and with a network of random weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from unnoise.data import to_uint8
from unnoise.inverse import (
    METHODS,
    Blur,
    Grey,
    Inpainting,
    RePaint,
    colourise,
    deblur,
    inpaint,
    outpaint,
    repaint,
    restore,
    upscale,
    vary,
)
from unnoise.models import Diffusion
from unnoise.process.schedule import VE, VP, CosineBetas, LinearBetas, RectifiedFlow, Schedule
from unnoise.samplers import DDIM, Ancestral
from unnoise.seeding import SeededNoise

MASK = torch.rand(4, 4, generator=torch.Generator().manual_seed(9)) < 0.5
SCHEDULES = [VP(), VE(sigma_max=20.0), RectifiedFlow(), LinearBetas(T=200), CosineBetas(T=200)]

every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)


def images(rows: int = 2) -> Tensor:
    levels = torch.randint(256, (rows, 3, 4, 4), generator=torch.Generator().manual_seed(1))
    return (levels / 127.5 - 1).float()


@pytest.fixture(scope="module")
def model() -> Diffusion:
    torch.manual_seed(0)
    network = {"kind": "unet", "channels": 32, "multipliers": [1, 1], "blocks": 1, "attention": []}
    return Diffusion.build({"network": network, "parametrization": "v"}, (1, 8, 8), 0).eval().requires_grad_(False)


@pytest.mark.parametrize("method", METHODS)
def test_known_pixels_are_kept_to_the_bit(smooth: Any, method: str) -> None:
    image = images()
    drawn = inpaint(smooth.denoiser(VP()), image, MASK, method=method, sampler=DDIM(steps=5))
    assert torch.equal(drawn[..., MASK], image[..., MASK])
    assert (to_uint8(drawn)[..., MASK.numpy()] == to_uint8(image)[..., MASK.numpy()]).all()
    assert not torch.equal(drawn[..., ~MASK], image[..., ~MASK])
    assert drawn.abs().max() <= 1


def test_what_lay_under_the_mask_does_not_matter(smooth: Any) -> None:
    lost = torch.where(MASK, images(), torch.nan)
    few_calls: dict[str, Any] = {"steps": 4, "jump": 2, "repeats": 2}
    tasks: list[tuple[Any, dict[str, Any]]] = [(inpaint, {"sampler": DDIM(steps=5)}), (repaint, few_calls)]
    for task, few in tasks:
        drawn, again = (task(smooth.denoiser(VP()), image, MASK, seeds=[3, 4], **few) for image in (images(), lost))
        assert torch.equal(drawn, again)


@every_schedule
def test_repaint_keeps_known_pixels_and_rises_as_told(smooth: Any, schedule: Schedule) -> None:
    image = images()
    sampler = RePaint(steps=20, jump=5, repeats=3, image=image, known=MASK)
    times = sampler.times(schedule)
    assert len(times) == 1 + 4 * (3 * 5 + 2)
    assert (times.diff() > 0).sum() == 4 * 2
    assert times[0] == schedule.t_max
    assert times[-1] == 0
    drawn = repaint(smooth.denoiser(schedule), image, MASK, steps=20, jump=5, repeats=3)
    assert torch.equal(drawn[..., MASK], image[..., MASK])
    assert drawn.isfinite().all()


def test_resampling_brings_the_mean_nearer_to_the_posteriors(smooth: Any) -> None:
    """RePaint's claim (Lugmayr et al. 2022, section 4.2), on Gaussian images where the posterior mean is known."""
    image = (smooth.mean + torch.linalg.cholesky(smooth.covariance) @ torch.ones(48, dtype=torch.float64)).reshape(
        1, 3, 4, 4
    )
    operator = Inpainting(MASK)
    exact = smooth.given(operator, operator.forward(image), 0.0).mean.reshape(3, 4, 4)[:, ~MASK]
    errors = [
        repaint(smooth.denoiser(VP()), image, MASK, steps=40, jump=4, repeats=n, seeds=range(64), clip=False)
        .mean(0)[:, ~MASK]
        .sub(exact)
        .square()
        .mean()
        .sqrt()
        for n in (1, 5)
    ]
    assert errors[1] < 0.7 * errors[0]


def test_each_task_explains_its_observation(smooth: Any) -> None:
    """Exactly with DDNM, which projects; the others come near (tests/editing/test_posterior.py says how near)."""
    denoiser, image = smooth.denoiser(VP()), 0.5 * images(1).double()
    small, grey, blurred = image[..., ::2, ::2], image[:, :1], Blur(0.6).forward(image)
    exact: dict[str, Any] = {"method": "ddnm", "clip": False}
    large = upscale(denoiser, small, 2, **exact)
    assert large.shape == (1, 3, 4, 4)
    torch.testing.assert_close(torch.nn.functional.avg_pool2d(large, 2), small)
    torch.testing.assert_close(Grey().forward(colourise(denoiser, grey, **exact)), grey)
    torch.testing.assert_close(Blur(0.6).forward(deblur(denoiser, blurred, 0.6, **exact)), blurred)


def test_one_seed_one_picture(smooth: Any) -> None:
    """Whatever the batch: three variants of one observation, and the middle one alone."""
    denoiser, image = smooth.denoiser(VP()), images(1)
    sampler = DDIM(steps=5, eta=1.0)
    together = inpaint(denoiser, image, MASK, seeds=[7, 8, 9], sampler=sampler)
    torch.testing.assert_close(inpaint(denoiser, image, MASK, seeds=[8], sampler=sampler), together[1:2])
    assert not torch.allclose(together[0], together[1])


def test_outpainting_holds_the_image(model: Diffusion) -> None:
    image = torch.rand(1, 1, 4, 6, generator=torch.Generator().manual_seed(0)) * 2 - 1
    drawn = outpaint(model, image, (1, 1, 4, 0), sampler=DDIM(steps=3))
    assert drawn.shape == (1, 1, 8, 8)
    assert torch.equal(drawn[..., 4:, 1:7], image)


@pytest.mark.parametrize("method", METHODS)
def test_works_with_a_network_and_as_a_models_guidance(model: Diffusion, method: str) -> None:
    known = torch.zeros(8, 8, dtype=torch.bool)
    known[:, :4] = True
    observation = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * known
    sampler = DDIM(steps=3)
    drawn = restore(model, Inpainting(known), observation, method=method, sampler=sampler, seeds=[1, 2])
    guidance = METHODS[method](Inpainting(known), observation)
    assert torch.equal(drawn, model.sample([1, 2], sampler=sampler, guidance=guidance))
    assert drawn.isfinite().all()


@every_schedule
def test_strength_zero_is_the_image_and_one_a_plain_sample(smooth: Any, schedule: Schedule) -> None:
    denoiser, image, seeds = smooth.denoiser(schedule), images().double(), [5, 6]
    for sampler in (DDIM(steps=10), Ancestral(steps=10)):
        assert torch.equal(vary(denoiser, image, 0.0, sampler=sampler, seeds=seeds), image)
        x_T = schedule.prior_std * SeededNoise(seeds).normal(image)
        plain = sampler.run(denoiser, x_T, seeds)
        assert torch.equal(vary(denoiser, image, 1.0, sampler=sampler, seeds=seeds), plain)


def test_greater_strength_is_further_from_the_image(smooth: Any) -> None:
    image = images(1).double()
    distances = [
        (vary(smooth.denoiser(VP()), image, strength, seeds=range(30)) - image).square().mean()
        for strength in (0.1, 0.3, 0.6)
    ]
    assert distances == sorted(distances)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: vary(d, images(), 1.5), r"\[0, 1\], got 1.5"),
        (lambda d: inpaint(d, images(), MASK, seeds=[1, 2, 3]), "one row for all 3 seeds, or one each; got 2"),
        (lambda d: inpaint(d, images(), MASK, method="ddmn"), "did you mean 'ddnm'"),
        (lambda d: inpaint(d, images(), MASK, method={"kind": "pigdm", "std": 1}), "data_std"),
        (lambda d: outpaint(d, images(), (-1, 0, 0, 0)), "at least 0 pixels"),
        (lambda d: repaint(d, images(), MASK, repeats=0), "at least 1"),
    ],
)
def test_impossible_requests_are_refused(smooth: Any, make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(smooth.denoiser(VP()))


class Witness:
    """Keeps the first x_t that a denoiser is asked about."""

    def __init__(self, denoiser: Any) -> None:
        self.denoiser, self.schedule, self.first = denoiser, denoiser.schedule, None

    def __call__(self, x_t: Tensor, t: Tensor, cond: Any = None) -> Any:
        self.first = (float(t), x_t.detach().clone()) if self.first is None else self.first
        return self.denoiser(x_t, t, cond)


@pytest.mark.parametrize(("schedule", "std"), [(VE(sigma_max=20.0), 20.0), (VP(), 1.0)], ids=["VE", "VP"])
def test_every_task_starts_from_the_prior(smooth: Any, schedule: Schedule, std: float) -> None:
    """x_T = prior_std eps: on a variance-exploding schedule that is sigma_max times the noise of the seed."""
    image = images(1).double()
    short: dict[str, Any] = {"sampler": DDIM(steps=2), "seeds": [7, 8]}
    tasks = {
        "restore": lambda d: restore(d, Grey(), image[:, :1], **short),
        "inpaint": lambda d: inpaint(d, image, MASK, **short),
        "outpaint": lambda d: outpaint(d, image[..., 1:, :], (0, 0, 1, 0), **short),
        "upscale": lambda d: upscale(d, image[..., ::2, ::2], 2, **short),
        "repaint": lambda d: repaint(d, image, MASK, steps=2, jump=1, repeats=1, seeds=[7, 8]),
        "vary": lambda d: vary(d, image, 1.0, **short),
    }
    noise = SeededNoise([7, 8]).normal(torch.zeros(2, 3, 4, 4, dtype=torch.float64))
    for name, task in tasks.items():
        witness = Witness(smooth.denoiser(schedule))
        task(witness)
        assert witness.first is not None
        t, x = witness.first
        assert t == schedule.t_max, name
        torch.testing.assert_close(x, std * noise, msg=name)
