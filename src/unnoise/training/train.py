"""From a source and a recipe to a trained run: the entry point behind `unnoise train`, outermost of
`train` > `Session` > `Trainer`."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from unnoise.aliases import Source, Spec
from unnoise.errors import UserError
from unnoise.networks.own import register
from unnoise.runs.checkpoint import Checkpoint, newest_valid, set_aside
from unnoise.runs.config import Config, override, read_recipe, write_config
from unnoise.runs.held_out import HeldOut, read_held_out
from unnoise.runs.plan import Plan
from unnoise.runs.run import CHECKPOINTS, CONFIG_FILE, Run, claim_folder, is_run
from unnoise.runtime.threads import same_threads
from unnoise.runtime.world import World, join
from unnoise.sources import stem
from unnoise.sources.open import BUILT_IN, EXPLICIT
from unnoise.training.estimate import estimated
from unnoise.training.guard import ending
from unnoise.training.identity import check_same
from unnoise.training.log import SilentLog, TrainLog
from unnoise.training.page import LivePage, page_file
from unnoise.training.plan import known_plan, measure
from unnoise.training.session import Session
from unnoise.training.settings import TrainSettings
from unnoise.training.setup import Setup, prepare
from unnoise.training.trackers import open_trackers
from unnoise.training.trainer import Trainer
from unnoise.training.transfer import carry_over, keep_teacher, recipe_of
from unnoise.training.watchers import Watchers

LARGE = 48
"""Pixels a side from which the recipe auto is advised: ddpm computes 2.0 GFLOP for a 64x64 image, a network on patches
0.1 to 0.8."""


def train(
    source: Source,
    recipe: str | None = None,
    out: str | Path | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    overrides: Spec | None = None,
    *,
    start: Run | str | Path | None = None,
    network: type[nn.Module] | None = None,
    device: str | None = None,
    dry_run: bool = False,
    devices: str | None = None,
) -> Run:
    """Trains a model on a source of images, or goes on where the same call stopped.

    Args:
        source: see `unnoise.open_source`.
        recipe: a built-in name or a .toml file, by default auto.
        out: the run's folder, by default runs/SOURCE-RECIPE.
        steps: when to stop, over all sessions.
        minutes: the same; everything counts: preparing, steps, checkpoints and sample grids.
        seed: everything random follows from it.
        overrides: dotted keys, such as {'train.batch_size': 32}.
        start: another run whose weights, where they fit, this one begins with, and whose recipe it has by default.
        network: a class of networks of your own, instead of the recipe's (`networks.own.register` says what it is
            called with); `unnoise.load(folder, network=...)` loads what it learned.
        device: 'cpu', 'cuda', 'cuda:1', 'mps'; by default the best there is.
        dry_run: plan only.
        devices: such as '8xH100': what the plan estimates time and memory for, beside this machine.

    Returns:
        The run. Its `plan` and `summary` say what was about to happen and what did.

    Raises:
        UserError: for what cannot be trained; TrainingDiverged, one of them, where losses stop being finite.
    """
    begun = time.monotonic()
    if devices is not None and not dry_run:
        raise UserError("devices are for a plan: give --dry-run as well; a training takes what devices there are")
    base = None if start is None else Run.open(start)
    if minutes is not None and not 0 < minutes < math.inf:
        raise UserError(f"minutes have to be above 0, got {minutes:g}; leave them out for those of the recipe")
    limits = {"train.steps": steps, "train.minutes": minutes}
    given = {key: value for key, value in limits.items() if value is not None}
    world = join()
    own = {} if network is None else {"model.network.kind": register(network)}
    name, config = _configuration(recipe, base, {**own, **(overrides or {}), **given})
    folder = Path(out or default_folder(source, name))
    source = _beside(source, folder)
    opened = partial(prepare, source, name, config, seed, base, world.device(device))
    setup = _prepared_first(opened, folder, base) if world.is_first else None
    # What the first has chosen by its clock and its memory holds for all; what it refuses, the others never see.
    chosen, held = world.broadcast((None, None) if setup is None else (setup.config, setup.held))
    setup = setup or opened(chosen, held)
    run = Run(folder, setup.config)
    if dry_run:
        checkpoint, _ = newest_valid(folder / CHECKPOINTS)
        if checkpoint is not None:
            check_same(run)
        trainer = setup.trainer(checkpoint, world)
        plan = known_plan(trainer, setup.images, folder, _advice(setup))
        elsewhere = None if devices is None else estimated(trainer, devices)
        run.plan = replace(plan, measured=measure(trainer), estimate=elsewhere)
        return run
    with world.watched(), run.lock() if world.is_first else nullcontext():
        _sit(run, setup, base, world, begun)
        world.barrier()
    return run


def _prepared_first(opened: Callable[[Config | None, HeldOut | None], Setup], folder: Path, base: Run | None) -> Setup:
    claim_folder(folder)
    if is_run(folder):
        return opened(Run.open(folder).config, read_held_out(folder))
    return opened(None, None if base is None else read_held_out(base.folder))


def default_folder(source: Source, recipe: str) -> Path:
    """runs/SOURCE-RECIPE."""
    name = stem(source) if isinstance(source, (str, Path)) else "array"
    return Path("runs") / f"{name}-{Path(recipe).stem}"


def _beside(source: Source, folder: Path) -> Source:
    """The source; the built-in set, where the run's own folder is called like it: what a run fills is no data."""
    built_in = isinstance(source, str) and source.partition(":")[0] in BUILT_IN
    return f"{EXPLICIT}{source}" if built_in and Path(source).resolve() == folder.resolve() else source


def _configuration(recipe: str | None, base: Run | None, overrides: Spec) -> tuple[str, Config]:
    """The recipe's name, and the recipe with the overrides."""
    if base is not None and recipe is None:
        return f"from-{base.folder.resolve().name}", override(recipe_of(base), overrides)
    return recipe or "auto", override(read_recipe(recipe or "auto"), overrides)


def _sit(run: Run, setup: Setup, base: Run | None, world: World, begun: float) -> None:
    """One sitting: restore or begin, plan, train. Nothing is written before the plan is made."""
    with world.first_goes_ahead():
        checkpoint, refused = newest_valid(run.folder / CHECKPOINTS)
        changes = {} if checkpoint is None else check_same(run)
        carried = None
        if base is not None and checkpoint is None:
            carried = carry_over(setup.model, base)
            keep_teacher(setup.objective, base)
    _check_shared(run, checkpoint, world)
    trainer = setup.trainer(checkpoint, world)
    with _log(run, setup.settings, world) as log:
        for reason in refused.values():
            log.say(f"passing over an unsound checkpoint: {reason}")
        if checkpoint is not None:
            log.say(f"resuming from step {trainer.step}")
            if world.size == 1:
                same_threads(checkpoint.state().get("threads"))
        if carried is not None and base is not None:
            log.say(carried.line(base))
        run.plan = _announced(trainer, setup, run.folder, log)
        if world.is_first:
            set_aside(refused)
            write_config(run.folder / CONFIG_FILE, run.config)
            if setup.held is not None:
                setup.held.write(run.folder)
        log.drop_after(trainer.step)
        _note_changes(changes, trainer, log)
        log.say(f"page    {page_file(run.folder)}: open it in a browser to watch")
        summary = _session(run, setup, trainer, log, checkpoint, begun).run()
        if "why" in summary:
            log.say(f"train.guard=stop ended the training at step {summary['steps']}: {summary['why']}")
            log.say(f"taken   {ending(summary['best'])}")
        for command in run.next_commands():
            log.say(f"next    {command}")
    resumed_from = None if checkpoint is None else checkpoint.step
    page = str(page_file(run.folder))
    run.summary = {"run": str(run.folder), **summary, "resumed_from": resumed_from, "page": page}


def _log(run: Run, settings: TrainSettings, world: World) -> TrainLog:
    if not world.is_first:
        return SilentLog(run.folder)
    total, by_time = settings.minutes or settings.steps, settings.minutes > 0
    trackers = open_trackers(settings.tracked_by, run.folder, run.config)
    return TrainLog(run.folder, total, by_time=by_time, trackers=trackers)


def _check_shared(run: Run, checkpoint: Checkpoint | None, world: World) -> None:
    """Raises UserError where a process does not find in the run's folder what the first does."""
    step = None if checkpoint is None else checkpoint.step
    if step != world.broadcast(step):
        raise UserError(
            f"{run.folder} holds other checkpoints for process {world.rank} on {socket.gethostname()} than for the "
            "first: a run's folder has to lie on a file system that all machines share"
        )


def _announced(trainer: Trainer, setup: Setup, folder: Path, log: TrainLog) -> Plan:
    """The plan: what is known at once is shown at once, the rest when it is measured."""
    plan = known_plan(trainer, setup.images, folder, _advice(setup))
    for line in plan.known():
        log.say(line)
    with log.phase("measuring a step"):
        plan = replace(plan, measured=measure(trainer))
    for line in plan.found():
        log.say(line)
    return plan


def _session(
    run: Run, setup: Setup, trainer: Trainer, log: TrainLog, checkpoint: Checkpoint | None, begun: float
) -> Session:
    if not trainer.world.is_first:
        return Session(trainer, run.folder, log, None, saved=checkpoint, begun=begun)
    watchers = Watchers(run, setup, trainer, log)
    painter, validation, page = watchers.painter(), watchers.validation(), LivePage(run, log)
    return Session(trainer, run.folder, log, validation, painter, page=page, saved=checkpoint, begun=begun)


def _note_changes(changes: Mapping[str, list[Any]], trainer: Trainer, log: TrainLog) -> None:
    """Records what a resumed run computes differently from here on."""
    if changes:
        log.record(trainer.step, {"changed": dict(changes)})
    for key, (before, now) in changes.items():
        log.say(f"{key} is {now} from step {trainer.step} on; it was {before}")


def _advice(setup: Setup) -> tuple[str, ...]:
    _, height, width = setup.images.shape
    notes = (*setup.notes, *(() if setup.held is None else (setup.held.note,)))
    if setup.config["recipe"] != "ddpm" or max(height, width) < LARGE:
        return notes
    return (*notes, f"at {width}x{height} pixels --recipe auto suits network and batch to the time")
