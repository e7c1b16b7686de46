"""What is in a source, and what a training on it would take."""

from __future__ import annotations

from unnoise.aliases import Record
from unnoise.sources.inspect import contact_sheet
from unnoise.sources.inspect import inspect as report_on
from unnoise.sources.open import open_source
from unnoise.studio.tasks.pictures import data_url
from unnoise.studio.worker import Emit
from unnoise.training.train import train

BROKEN = 50
"""Broken files that are listed."""


def inspect(request: Record, emit: Emit) -> Record:
    """The report of `unnoise data`, and the contact sheet."""
    images = open_source(request["source"], progress=False)
    report = report_on(images)
    sheet = data_url(contact_sheet(images, 40), lossless=False)
    found = report.to_dict()
    return {
        "report": {**found, "broken": found["broken"][:BROKEN], "broken_count": len(report.broken)},
        "lines": report.lines(),
        "sheet": sheet,
    }


def plan(request: Record, emit: Emit) -> Record:
    """The plan of `unnoise train --dry-run`."""
    run = train(
        request["source"],
        request["recipe"],
        request["out"],
        request["steps"],
        request["minutes"],
        request["seed"],
        request["overrides"],
        dry_run=True,
    )
    assert run.plan is not None
    return {"plan": run.plan.to_dict(), "lines": run.plan.lines()}
