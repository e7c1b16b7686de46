"""The table of DDIM: its rows are the samplers they are called after, and a stopped one goes on."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from unnoise.evaluation import ddim_table, evaluate

OPTIONS = {"features": "pixels", "n": 40, "data": "digits", "device": "cpu"}


def test_each_cell_is_what_evaluate_finds_and_a_second_call_measures_nothing(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ddim_table(run, steps=[2, 10], out=tmp_path, **OPTIONS)  # type: ignore[arg-type]
    rows = {row["row"]: row for row in found["table"]}
    assert list(rows) == ["eta = 0.0", "eta = 0.2", "eta = 0.5", "eta = 1.0", "sigma-hat"]
    assert rows["eta = 0.0"]["published"] == [None, 13.36]  # Song et al. 2021, table 1, at 10 steps
    assert rows["sigma-hat"]["published"] == [None, 367.43]
    for row, sampler in (("eta = 0.5", "ddim@10:eta=0.5"), ("sigma-hat", "ddpm@10:variance=beta")):
        expected = evaluate(run, metrics=("fid",), sampler=sampler, **OPTIONS)  # type: ignore[arg-type]
        assert rows[row]["fid"][1] == pytest.approx(expected["fid"], rel=1e-6)
    assert "| sigma-hat |" in Path(found["markdown"]).read_text()

    measured: list[str] = []

    def counted(*given: object, sampler: str, **options: object) -> dict[str, object]:
        measured.append(sampler)
        return {"fid": 1.0, "fid_name": "FD"}

    monkeypatch.setattr(import_module("unnoise.evaluation.ddim_table"), "evaluate", counted)
    assert ddim_table(run, steps=[2, 10], out=tmp_path, **OPTIONS)["table"] == found["table"]  # type: ignore[arg-type]
    assert not measured
    (tmp_path / "cells" / "ddim-2-eta=0.2.json").unlink()
    ddim_table(run, steps=[2, 10], out=tmp_path, **OPTIONS)  # type: ignore[arg-type]
    assert measured == ["ddim@2:eta=0.2"]
    ddim_table(run, steps=[2], out=tmp_path, **{**OPTIONS, "seed": 1})  # type: ignore[arg-type]
    assert len(measured) == 1 + 5
    assert ddim_table(run, steps=[2], n=None, out=tmp_path / "another")["n"] == 2000


def test_more_steps_than_the_schedule_has_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="native steps"):
        ddim_table(run, steps=[100_000], out=tmp_path)
