"""Trackers: the numbers of metrics.jsonl, elsewhere as well."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from unnoise.errors import UserError
from unnoise.runs.metrics_file import read_metrics
from unnoise.training.log import TrainLog
from unnoise.training.settings import TrainSettings
from unnoise.training.trackers import TRACKERS, MLflow, open_trackers

CONFIG: dict[str, Any] = {"source": "/home/me/secret", "seed": 0, "model": {"network": {"channels": 8}}}


class FakeWandB(ModuleType):
    def __init__(self) -> None:
        super().__init__("wandb")
        self.options: list[dict[str, Any]] = []
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.finished = 0

    def init(self, **options: Any) -> FakeWandB:
        self.options.append(options)
        return self

    def log(self, values: dict[str, float], step: int) -> None:
        self.logged.append((step, values))

    def finish(self) -> None:
        self.finished += 1


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> FakeWandB:
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    fake = FakeWandB()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake


def write(folder: Path, trackers: list[Any]) -> None:
    with TrainLog(folder, 10, by_time=False, trackers=trackers) as log:
        log.record(1, {"loss": 0.5, "images_per_second": 3})
        log.record(2, {"changed": {"train.clip": [1, 2]}})
        log.record(3, {"loss": 0.25})


def test_numbers_go_to_every_tracker_and_everything_to_the_file(tmp_path: Path, wandb: FakeWandB) -> None:
    write(tmp_path, open_trackers(["wandb", "wandb"], tmp_path, CONFIG))
    assert wandb.logged == [(1, {"loss": 0.5, "images_per_second": 3.0}), (2, {}), (3, {"loss": 0.25})]
    assert wandb.finished == 1
    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 2, 3]


def test_a_resumed_training_goes_on_in_the_same_run_and_no_path_leaves(tmp_path: Path, wandb: FakeWandB) -> None:
    for _ in range(2):
        write(tmp_path, open_trackers(["wandb"], tmp_path, CONFIG))
    first, second = wandb.options
    assert first == second
    assert first["resume"] == "allow"
    assert first["project"] == "unnoise"
    assert "secret" not in str(first["config"])
    (other,) = open_trackers(["wandb"], tmp_path / "other", CONFIG)
    assert wandb.options[-1]["id"] != first["id"]
    other.close()


def test_mlflow_keeps_a_run_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracking = pytest.importorskip("mlflow.tracking", reason="mlflow is not installed")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    for _ in range(2):
        write(tmp_path, [MLflow(tmp_path, CONFIG)])
    client = tracking.MlflowClient(tracking_uri=(tmp_path / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("unnoise")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.params["model.network.channels"] == "8"
    assert run.data.params["source"] == "images of their own"
    values = [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, "loss")]
    assert sorted(values) == [(1, 0.5), (1, 0.5), (3, 0.25), (3, 0.25)]
    assert run.info.status == "FINISHED"


class FakeMLflow:
    """The calls of MlflowClient that are made, and the runs of one experiment."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.runs: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *values, **options: self.calls.append((name, *values, *options.values()))

    def get_experiment_by_name(self, name: str) -> None:
        return None

    def search_runs(self, *_: Any, **__: Any) -> list[Any]:
        return self.runs

    def create_run(self, *_: Any, **__: Any) -> Any:
        from types import SimpleNamespace

        self.runs.append(SimpleNamespace(info=SimpleNamespace(run_id="r1")))
        return self.runs[0]


def test_mlflow_is_told_numbers_with_their_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client, module = FakeMLflow(), ModuleType("mlflow.tracking")
    module.MlflowClient = lambda tracking_uri: client  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow", ModuleType("mlflow"))
    monkeypatch.setitem(sys.modules, "mlflow.tracking", module)
    for _ in range(2):
        write(tmp_path, [MLflow(tmp_path, CONFIG)])
    assert client.calls.count(("log_metric", "r1", "loss", 0.5, 1)) == 2
    assert client.calls.count(("set_terminated", "r1")) == 2
    assert len(client.runs) == 1
    assert client.calls.count(("log_param", "r1", "model.network.channels", "8")) == 1


@pytest.mark.parametrize("name", TRACKERS)
def test_what_is_not_installed_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("torch.utils.tensorboard", "wandb", "mlflow", "mlflow.tracking"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"the tracker {name} needs the extra: pip install 'unnoise\[{name}\]'"):
        open_trackers([name], tmp_path, CONFIG)


def test_none_is_on_by_default_and_unknown_ones_are_refused() -> None:
    assert TrainSettings().tracked_by == ()
    assert TrainSettings(tensorboard=True).tracked_by == ("tensorboard",)
    with pytest.raises(UserError, match="did you mean 'wandb'"):
        TrainSettings(trackers=("wandbb",))
