"""Where a training's numbers go beside metrics.jsonl: TensorBoard, Weights & Biases, MLflow. Off by default.

`train.trackers = ["wandb"]` turns one on. What leaves this machine is numbers and the configuration without its paths.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from unnoise.errors import UserError
from unnoise.files import text_digest
from unnoise.registry import lookup
from unnoise.runs.config import Config
from unnoise.runs.paths import without_paths

PROJECT = "unnoise"
"""The project of Weights & Biases, and the experiment of MLflow, unless their own variables name another."""


class Tracker(Protocol):
    """Takes the numbers of a training, and is closed once."""

    def log(self, step: int, values: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class TensorBoard:
    """Event files in the run's folder: `tensorboard --logdir RUN`."""

    def __init__(self, folder: Path, config: Config) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise missing("tensorboard") from error
        self._writer = SummaryWriter(folder / "tensorboard")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class WandB:
    """A run of Weights & Biases with the folder's name, which a resumed training goes on with. Its own variables
    (WANDB_PROJECT, WANDB_MODE, ...) say where it goes."""

    def __init__(self, folder: Path, config: Config) -> None:
        try:
            import wandb  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise missing("wandb") from error
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=folder.name,
            id=_id(folder),
            resume="allow",
            dir=str(folder),
            config=without_paths(config),
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()


class MLflow:
    """A run of MLflow, which a resumed training goes on with: on the server of MLFLOW_TRACKING_URI, or in the run's
    folder mlruns."""

    def __init__(self, folder: Path, config: Config) -> None:
        try:
            from mlflow.tracking import MlflowClient  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise missing("mlflow") from error
        where = os.environ.get("MLFLOW_TRACKING_URI") or (folder.resolve() / "mlruns").as_uri()
        self._client: Any = MlflowClient(tracking_uri=where)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        found = self._client.get_experiment_by_name(name)
        experiment = self._client.create_experiment(name) if found is None else found.experiment_id
        same = self._client.search_runs([experiment], filter_string=f"tags.{PROJECT} = '{_id(folder)}'", max_results=1)
        self._run = same[0].info.run_id if same else self._begun(experiment, folder, config)

    def _begun(self, experiment: str, folder: Path, config: Config) -> str:
        run = self._client.create_run(experiment, run_name=folder.name, tags={PROJECT: _id(folder)})
        for name, value in _flat(without_paths(config)):
            self._client.log_param(run.info.run_id, name, value)
        return run.info.run_id

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._client.log_metric(self._run, name, value, step=step)

    def close(self) -> None:
        self._client.set_terminated(self._run)


TRACKERS: dict[str, Callable[[Path, Config], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": WandB,
    "mlflow": MLflow,
}


def open_trackers(names: Sequence[str], folder: Path, config: Config) -> list[Tracker]:
    """The trackers called `names`.

    Args:
        names: in TRACKERS.
        folder: of the run.
        config: of the run.

    Raises:
        UserError: for an unknown name, and for a package that is not installed.
    """
    return [lookup(TRACKERS, name, "tracker of train.trackers")(folder, config) for name in dict.fromkeys(names)]


def missing(name: str) -> UserError:
    """What to install for a tracker."""
    return UserError(f"the tracker {name} needs the extra: pip install 'unnoise[{name}]'")


def _id(folder: Path) -> str:
    """The same for the same folder on this machine, and says nothing of it."""
    return text_digest(str(folder.resolve()))[:16]


def _flat(value: Any, path: str = "") -> list[tuple[str, str]]:
    """Nested sections as dotted names; texts that are longer than MLflow takes are cut."""
    if isinstance(value, Mapping):
        return [item for key, inner in value.items() for item in _flat(inner, f"{path}.{key}" if path else key)]
    return [(path, str(value)[:500])]
