"""What of a run becomes a graph: modules of tensors alone, with an example of their inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from unnoise.errors import NotApplicable
from unnoise.interop.solver_table import SolverTable
from unnoise.models import Diffusion
from unnoise.models.image_model import CanReconstruct, CanSample, ImageModel
from unnoise.networks.combined import Combined
from unnoise.networks.conditioner import Conditioner

EXAMPLES = 2
"""Images of the example that a graph is traced with; its batch size is free."""
NO_GUIDANCE = 1.0


class Graph(NamedTuple):
    """inputs: name -> an example, whose first dimension is that of the images; outputs: their names; about: what they
    are, for people."""

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    about: str


def autoencoder_graphs(model: ImageModel) -> dict[str, Graph]:
    """The encoder and the decoder that a model is, or works behind; of a generator the decoder alone."""
    found = model.reconstructor
    graphs = {}
    if isinstance(found, CanReconstruct) and isinstance(found, nn.Module):
        image = torch.zeros(EXAMPLES, *model.shape)
        about = "image in [-1, 1] -> latent"
        graphs["encoder"] = Graph(Method(found, "encode"), {"image": image}, ("latent",), about)
    decoder = found if isinstance(found, nn.Module) else model if isinstance(model, CanSample) else None
    shape = getattr(decoder, "latent_shape", None)
    if shape is not None and not isinstance(decoder, Diffusion):
        assert isinstance(decoder, nn.Module)
        latent = torch.zeros(EXAMPLES, *shape)
        about = "latent -> image in [-1, 1]"
        graphs["decoder"] = Graph(Method(decoder, "decode"), {"latent": latent}, ("image",), about)
    return graphs


class Method(nn.Module):
    """A method of a module as a module."""

    def __init__(self, module: nn.Module, name: str) -> None:
        super().__init__()
        self.module, self.name = module, name

    def forward(self, x: Tensor) -> Tensor:
        return getattr(self.module, self.name)(x)


def example_conditions(model: Diffusion) -> dict[str, Tensor]:
    """An example of what a conditional model is told: 'label' and 'cluster' (N,) int64, 'vector' (N, D).

    Raises:
        NotApplicable: for conditions that are no plain tensors.
    """
    names = (*model.condition_names, *model.own_conditions)
    made = {
        "cluster": lambda: torch.zeros(EXAMPLES, dtype=torch.int64),
        "label": lambda: torch.zeros(EXAMPLES, dtype=torch.int64),
        "vector": lambda: torch.zeros(EXAMPLES, int(getattr(model.conditioner, "features", 0))),
    }
    if any(name not in made for name in names):
        raise NotApplicable(f"a graph takes labels and vectors as conditions, and this run takes {', '.join(names)}")
    return {name: made[name]() for name in names}


def with_plain_names(model: Diffusion) -> Diffusion:
    """The model, whose combined conditions are called so that a program can speak of them: `class` is a word of Python,
    and torch's exporters write every module's name into source."""
    combined = model.conditioner
    if isinstance(combined, Combined):
        parts = {f"of_{name}": part for name, part in combined.parts.items() if isinstance(part, Conditioner)}
        model.conditioner = Combined(parts, combined.dropout).eval()
    return model


class DenoiserGraph(nn.Module):
    """(x_t, t, conditions) -> (x_0, eps), as the model's own call is: neither guided nor clipped. t (N,) is the time of
    the schedule, float32."""

    def __init__(self, model: Diffusion, conditions: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.conditions = model, conditions

    def forward(self, x_t: Tensor, t: Tensor, *values: Tensor) -> tuple[Tensor, Tensor]:
        cond = dict(zip(self.conditions, values, strict=True))
        denoised = self.model(x_t, t.double(), cond or None)
        return denoised.x_0, denoised.eps


class SamplerGraph(nn.Module):
    """(noise, conditions) -> image: a whole sampler, guided and clipped as the run is, with its decoder.

    noise is standard normal, of the shape of what is diffused. The loop is `scan` of torch, so that the network is in
    the graph once, however many steps there are.
    """

    calls: Tensor
    rows: Tensor

    def __init__(
        self, model: Diffusion, table: SolverTable, scales: tuple[float, ...], conditions: tuple[str, ...]
    ) -> None:
        super().__init__()
        self.model, self.memory, self.conditions = model, table.memory, conditions
        self.is_guided = any(scale != NO_GUIDANCE for scale in scales)
        coefficients = [_coefficients(model, t, scale) for t, scale in zip(table.times, scales, strict=True)]
        self.register_buffer("calls", torch.tensor(coefficients, dtype=torch.float32))
        self.register_buffer("rows", table.rows.float())

    def forward(self, noise: Tensor, *values: Tensor) -> Tensor:
        from torch._higher_order_ops import scan

        cond = dict(zip(self.conditions, values, strict=True)) or None
        x = self.model.schedule.prior_std * noise
        history = tuple(torch.zeros_like(x) for _ in range(3 * (self.memory - 1)))
        (x, *_), _ = scan(lambda carry, row: self._step(carry, row, cond), (x, *history), (self.calls, self.rows))
        return self.model.codec.decode(x)

    def _step(
        self, carry: tuple[Tensor, ...], row: tuple[Tensor, Tensor], cond: Mapping[str, Tensor] | None
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        x, *past = carry
        call, weights = row
        x_0, eps = self._denoised(x, call, cond)
        terms = (x, x_0, eps, *past)
        made = sum((weight * term for weight, term in zip(weights.unbind(0), terms, strict=True)), torch.zeros_like(x))
        kept = tuple(term.clone() for term in terms[: 3 * (self.memory - 1)])
        return (made, *kept), torch.zeros(1)

    def _denoised(self, x: Tensor, call: Tensor, cond: Mapping[str, Tensor] | None) -> tuple[Tensor, Tensor]:
        """The guided and clipped answer at the time of a call."""
        alpha, sigma, scale = call[6], call[7], call[8]
        x_0, eps = self._answer(x, call, cond)
        if self.is_guided:
            without = self._answer(x, call, None)
            x_0, eps = (there + scale * (here - there) for here, there in zip((x_0, eps), without, strict=True))
        if self.model.clip:
            x_0 = x_0.clamp(-1, 1)
            eps = (x - alpha * x_0) / sigma
        return x_0, eps

    def _answer(self, x: Tensor, call: Tensor, cond: Mapping[str, Tensor] | None) -> tuple[Tensor, Tensor]:
        count, conditioner = x.shape[0], self.model.conditioner
        conditioning = None if conditioner is None else conditioner(cond, count)
        output = self.model.network(call[0] * x, call[1].expand(count), conditioning)
        output = output[:, : x.shape[1]]  # behind it lies the learned variance, which no such sampler uses
        return call[2] * x - call[3] * output, call[4] * output - call[5] * x


def _coefficients(model: Diffusion, t: float, scale: float) -> tuple[float, ...]:
    """What `SamplerGraph` reads of one call: `Coefficients`, alpha, sigma, the scale of the guidance."""
    level = model.schedule.at(t)
    return (*model.parametrization.at(model.schedule, t), level.alpha, level.sigma, scale)
