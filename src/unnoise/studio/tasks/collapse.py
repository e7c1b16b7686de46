"""A GAN on a mixture in the plane, learning before one's eyes: with the classical game its modes come and go."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unnoise.aliases import Record
from unnoise.process.analytic import GaussianMixture
from unnoise.studio.tasks.lectures import MIXTURES, STD
from unnoise.studio.worker import Emit

BATCH, SHOWN, EVERY = 128, 256, 10
WIDTH, LATENT = 64, 4


def collapse(request: Record, emit: Emit) -> Record:
    """Emits samples and the discriminator's values over the plane; penalty: R1 on data (Mescheder et al. 2018)."""
    components = torch.tensor(MIXTURES[request["mixture"]], dtype=torch.float64)
    data = GaussianMixture(components[:, 0], components[:, 1:], 0.5 * STD).sample(20_000, request["seed"]).float()
    with torch.random.fork_rng([]):
        torch.manual_seed(request["seed"])
        generator, discriminator = _network(LATENT, 2), _network(2, 1)
        fixed = torch.randn(SHOWN, LATENT)
        optimizers = [
            torch.optim.Adam(network.parameters(), lr=request["rate"], betas=(0.5, 0.9))
            for network in (generator, discriminator)
        ]
        for step in range(request["steps"] + 1):
            if step % EVERY == 0:
                emit(
                    {"event": "moment", "step": step, "of": request["steps"], **_look(generator, discriminator, fixed)}
                )
            _play(generator, discriminator, optimizers, data, request["penalty"])
    return {"data": data[:400].tolist()}


def _play(
    generator: nn.Module, discriminator: nn.Module, optimizers: list[torch.optim.Adam], data: Tensor, penalty: float
) -> None:
    """One step of the discriminator and one of the generator, non-saturating (Goodfellow et al. 2014)."""
    real = data[torch.randint(len(data), (BATCH,))].requires_grad_()
    answer = discriminator(real)
    loss = F.softplus(-answer).mean() + F.softplus(discriminator(generator(torch.randn(BATCH, LATENT)).detach())).mean()
    if penalty:
        (slope,) = torch.autograd.grad(answer.sum(), real, create_graph=True)
        loss = loss + 0.5 * penalty * slope.square().sum(1).mean()
    _descend(optimizers[1], loss)
    _descend(optimizers[0], F.softplus(-discriminator(generator(torch.randn(BATCH, LATENT)))).mean())


def _descend(optimizer: torch.optim.Adam, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _network(inputs: int, outputs: int) -> nn.Sequential:
    inner = [nn.Linear(inputs, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU()]
    return nn.Sequential(*inner, nn.Linear(WIDTH, outputs))


@torch.no_grad()
def _look(generator: nn.Module, discriminator: nn.Module, fixed: Tensor) -> Record:
    across = torch.linspace(-2.4, 2.4, 25)
    values = discriminator(torch.cartesian_prod(across, across))[:, 0].sigmoid()
    return {"x": generator(fixed).tolist(), "values": values.tolist()}
