"""The folder of graphs that a run is exported to: which there are, what lies beside them, how far they are from the
run."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

import unnoise
from unnoise.aliases import Record
from unnoise.errors import NotApplicable, UserError
from unnoise.files import claim, json_text, new_folder
from unnoise.guidance import ClassifierFree, Interval
from unnoise.interop.graphs import (
    EXAMPLES,
    NO_GUIDANCE,
    DenoiserGraph,
    Graph,
    SamplerGraph,
    autoencoder_graphs,
    example_conditions,
    with_plain_names,
)
from unnoise.interop.options import ExportOptions
from unnoise.interop.solver_table import solver_table
from unnoise.models import Diffusion
from unnoise.models.assembly import model_spec
from unnoise.process.schedule import Schedule
from unnoise.progress import notice
from unnoise.registry import spec_of
from unnoise.runs.run import Run
from unnoise.samplers import DDIM, SAMPLERS, Sampler
from unnoise.samplers.spec import sampler_text
from unnoise.sampling.sampler_choice import choose_sampler

FILE = "unnoise.json"
CHECKED = 3
"""Images that a graph is compared with the run on: another batch size than that it was traced with."""
FARTHEST = 1e-2
"""From the run, in images of [-1, 1]: beyond that a graph is no graph of it."""
SHARED = ("schedule", "parametrization", "clip", "codec")
"""Of the [model] section, what somebody needs who samples with the denoiser."""


class Written(NamedTuple):
    """What a writer made: call(inputs) gives the outputs of the file that was written."""

    call: Callable[[dict[str, Tensor]], tuple[Tensor, ...]]


class Writer(Protocol):
    """suffix: of the files; about: what is worth knowing of the format, for unnoise.json."""

    suffix: str
    about: Record

    def write(self, graph: Graph, path: Path, metadata: Record) -> Written: ...


@dataclass(frozen=True)
class Graphs:
    """The graphs of a run by name, and what is said of them all."""

    graphs: dict[str, Graph]
    metadata: Record


def export_graphs(run: Run, out: Path, writer: Writer, options: ExportOptions, *, overwrite: bool) -> Record:
    """Writes a run's graphs, and measures how far each is from the run.

    Returns:
        run, out, files (name -> largest difference from the run's own answers), and the metadata.

    Raises:
        UserError: for what cannot be exported, and where a graph does not give the run's answers.
    """
    claim(out, overwrite=overwrite, inputs=[run.folder])
    found = graphs_of(run, options)
    metadata = {**found.metadata, **writer.about}
    differences = {}
    with new_folder(out) as partial, quiet(), torch.no_grad():
        for name, graph in found.graphs.items():
            file = partial / f"{name}.{writer.suffix}"
            answered = _answered(graph)
            written = writer.write(graph, file, {**metadata, "graph": _described(graph)})
            differences[file.name] = _difference(answered, written, name)
        content = {**metadata, "graphs": {name: _described(graph) for name, graph in found.graphs.items()}}
        (partial / FILE).write_text(json_text(content, indent=1), encoding="utf-8")
    return {"run": str(run.folder), "out": str(out), "files": differences, **metadata}


def graphs_of(run: Run, options: ExportOptions) -> Graphs:
    """The graphs that a run can be: of a diffusion the denoiser and the sampler, of autoencoders both ways, of a GAN
    the generator."""
    model = run.load("cpu")
    base = {"unnoise": unnoise.__version__, "images": {"shape": list(run.shape), "range": [-1, 1]}}
    classes = {"classes": run.classes} if run.classes else {}
    if not isinstance(model, Diffusion):
        options.only_default(f"this run is {model.kind}, which draws in one step")
        graphs = autoencoder_graphs(model)
        if not graphs:
            raise NotApplicable(
                f"there is no graph of {model.kind}: a diffusion, a vae, a gan or an autoencoder has one"
            )
        return Graphs(graphs, {**base, **classes})
    model.scalars.refuse("a graph")
    conditions = example_conditions(model)
    sampler = choose_sampler(run, options.sampler)
    if options.sampler is None:
        sampler = without_noise(sampler)
    table = solver_table(sampler, model.schedule)
    guidance = options.guidance.for_model(model, conditions or None)
    scales = tuple(_scale(guidance, model.schedule, t) for t in table.times)
    model = with_plain_names(model)
    spec = {name: value for name, value in model_spec(model).items() if name in SHARED}
    latent = model.codec.latent_shape
    names = tuple(conditions)
    noise = torch.zeros(EXAMPLES, *latent)
    graphs = {
        "denoiser": Graph(
            DenoiserGraph(model, names),
            {"x_t": noise, "t": torch.full((EXAMPLES,), 0.5 * model.schedule.t_max), **conditions},
            ("x_0", "eps"),
            "x_t = alpha x_0 + sigma eps at the schedule's time t -> x_0, eps, neither guided nor clipped",
        ),
        "sampler": Graph(
            SamplerGraph(model, table, scales, names),
            {"noise": noise, **conditions},
            ("image",),
            "standard normal noise -> image in [-1, 1]",
        ),
        **(autoencoder_graphs(model) if model.works_in_latents else {}),
    }
    more = {
        "model": {key: value for key, value in spec.items() if key != "codec"},
        "latent_shape": list(latent),
        "prior_std": model.schedule.prior_std,
        "sampler": spec_of(SAMPLERS, sampler),
        "guidance": options.guidance.guidance,
        "steps": _steps(sampler, model.schedule),
    }
    return Graphs(graphs, {**base, **classes, **more})


def without_noise(sampler: Sampler) -> Sampler:
    """The sampler, or where it draws noise in its steps DDIM in as many, which it says."""
    if not sampler.draws_noise:
        return sampler
    taken = DDIM(steps=sampler.steps)
    notice(
        f"a graph is given noise once, and the run's sampler, {sampler_text(sampler)}, draws it in its steps: "
        f"{sampler_text(taken)} takes its place; choose another with --sampler"
    )
    return taken


def _steps(sampler: Sampler, schedule: Schedule) -> list[Record]:
    """The times that the sampler visits, with the schedule's alpha and sigma at them: all that a loop of one's own
    needs."""
    levels = (schedule.at(float(t)) for t in sampler.times(schedule))
    return [{"t": level.t, "alpha": level.alpha, "sigma": level.sigma} for level in levels]


def _scale(guidance: Any, schedule: Schedule, t: float) -> float:
    """The scale of classifier-free guidance at a time."""
    if guidance is None:
        return NO_GUIDANCE
    if isinstance(guidance, Interval):
        ratio = math.exp(-schedule.at(t).half_log_snr)
        return _scale(guidance.guidance, schedule, t) if guidance.low < ratio <= guidance.high else NO_GUIDANCE
    if isinstance(guidance, ClassifierFree):
        return float(guidance.scale)
    raise NotApplicable("only classifier-free guidance is part of a graph, not that by another run")


def _described(graph: Graph) -> Record:
    return {"inputs": list(graph.inputs), "outputs": list(graph.outputs), "about": graph.about}


class Answered(NamedTuple):
    """Numbers drawn for the inputs of a graph, and what the run makes of them."""

    inputs: dict[str, Tensor]
    outputs: tuple[Tensor, ...]


def _answered(graph: Graph) -> Answered:
    """Computed before the graph is traced, so that what a schedule computes once and keeps is no tensor of a trace."""
    inputs = {key: _drawn(value, key) for key, value in graph.inputs.items()}
    if "t" in inputs:
        inputs["t"] = graph.inputs["t"][:1] * torch.linspace(0.1, 1.9, CHECKED)
    found = graph.module(*inputs.values())
    return Answered(inputs, (found,) if isinstance(found, Tensor) else found)


def _difference(answered: Answered, written: Written, name: str) -> float:
    """The largest between what was written and the run, of the run's largest answer."""
    expected, found = answered.outputs, written.call(answered.inputs)
    scale = max(1.0, *(float(value.abs().max()) for value in expected))
    difference = max(float((a - b).abs().max()) for a, b in zip(found, expected, strict=True)) / scale
    if not difference <= FARTHEST:
        raise UserError(f"the graph of the {name} is {difference:.2g} from what the run gives: it is not written")
    return difference


def _drawn(like: Tensor, key: str) -> Tensor:
    draws = torch.Generator().manual_seed(0)
    shape = (CHECKED, *like.shape[1:])
    return torch.randn(shape, generator=draws) if like.is_floating_point() else torch.zeros(shape, dtype=like.dtype)


@contextmanager
def quiet() -> Iterator[None]:
    """Within, what torch's exporters say of their own code is not passed on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
