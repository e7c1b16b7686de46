"""What one of several processes does in `test_world.py`. `python members.py FOLDER RUN` under torchrun's variables; the
first process writes FOLDER/found.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unnoise.evaluation import evaluate
from unnoise.process.analytic import GaussianMixture
from unnoise.process.schedule import Straight
from unnoise.runtime.row_split import SplitDenoiser
from unnoise.runtime.world import World, join
from unnoise.sampling.generate import generate
from unnoise.sampling.tune import tune_run

METRICS = ("fid", "precision", "recall", "bpd", "ode")


def exchanges(world: World, folder: Path) -> dict[str, Any]:
    """What each of the exchanges gives, on every process."""
    flag = folder / "flag"
    with world.first_goes_ahead():
        found = flag.exists()
        if world.is_first:
            flag.touch()
    return {
        "agreed": world.agree(world.rank, -world.rank, world.is_first),
        "gathered": world.gather(f"process {world.rank}"),
        "broadcast": world.broadcast({"of": world.rank}),
        "portion": [world.portion(7).start, world.portion(7, 2).stop],
        "found": found,
        "slopes": slopes(world),
    }


def slopes(world: World) -> list[float]:
    """d/dx and d/dy of the mean over processes of (sum over processes of rank x)^2 y, and d/dx of the first."""
    x, y = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (3.0, 5.0))
    whole = world.sum((world.rank + 1) * x)
    by_x, by_y = torch.autograd.grad(whole.square() * y, (x, y), create_graph=True)
    (by_x_twice,) = torch.autograd.grad(by_x, x)
    return [float(value) for value in (by_x, by_y, by_x_twice)]


def split(world: World) -> dict[str, Tensor]:
    """Answers of an exact denoiser, with slopes by x_t and t; its rows divided, and as it is."""
    mixture = GaussianMixture(
        torch.tensor([0.4, 0.6]), torch.tensor([[1.0, 0.0], [-1.0, 2.0]]), torch.tensor([0.3, 0.5])
    )
    denoiser, found = mixture.denoiser(Straight()), {}
    for name, asked in (("whole", denoiser), ("split", SplitDenoiser(denoiser, world))):
        for time, t in (("one", torch.tensor(0.5)), ("rows", torch.linspace(0.2, 0.8, 5))):
            x_t, t = torch.arange(10.0).reshape(5, 2).div(4).requires_grad_(), t.double().requires_grad_()
            answer = asked(x_t, t)
            by_x, by_t = torch.autograd.grad((answer.x_0 * torch.tensor([1.0, 2.0])).square().sum(), (x_t, t))
            found |= {f"{time} {key} {name}": value for key, value in (("x_0", answer.x_0), ("x", by_x), ("t", by_t))}
    return {name: value.detach() for name, value in found.items()}


def main(folder: str, run: str) -> None:
    torch.set_num_threads(1)
    world, where = join(), Path(folder)
    found = {"exchanges": world.gather(exchanges(world, where)), "split": split(world)}
    generate(run, range(5), batch_size=2, out=where / "samples.npz", device="cpu")
    generate(run, range(3), batch_size=4, out=where / "few.npy", device="cpu")
    measured = evaluate(run, metrics=METRICS, features="pixels", n=70, times=3, batch_size=16, device="cpu")
    tuned = tune_run(run, 2, trajectories=5, iterations=2, samplers=["ddim"], device="cpu")
    if world.is_first:
        torch.save(found["split"], where / "split.pt")
        numbers = {"exchanges": found["exchanges"], "measured": measured, "tuned": tuned}
        (where / "found.json").write_text(json.dumps(numbers))


if __name__ == "__main__":
    main(*sys.argv[1:])
