"""The tests marked `device`, on this device: how many passed, were skipped and failed, and which."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from record import Recording

ROOT = Path(__file__).resolve().parents[2]
ONE_TEST = "test_every_sampler_draws_what_the_cpu_draws"


def main(recording: Recording) -> None:
    """Runs pytest in a process of its own; warnings of another version of torch are no errors here."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-m", "device", "-o", "filterwarnings=default", "--tb=short"]
        command += ["-p", "no:cacheprovider", f"--junitxml={report}", str(ROOT / "tests/device")]
        command += [str(ROOT / "tests/runtime/test_cuda_graphs.py"), str(ROOT / "tests/data/test_loader.py")]
        command += ["-k", ONE_TEST] if recording.small else []
        command += ["-n", "8"] if recording.device == "cuda" and _has("xdist") else []
        running = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})
        try:
            running.wait(timeout=max(10.0, recording.left()))
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGINT)  # pytest then reports what it has
            running.wait(timeout=15.0)
        recording.write("tests", {**counts(report), "status": running.returncode})


def counts(report: Path) -> dict[str, object]:
    """Of a JUnit report: tests by outcome, and each that failed with its first line."""
    suite = next(ElementTree.parse(report).getroot().iter("testsuite"))
    number = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    failed = [
        {"test": case.get("name"), "why": (problem.get("message") or "").strip().splitlines()[:1]}
        for case in suite.iter("testcase")
        for problem in [*case.iter("failure"), *case.iter("error")]
    ]
    skipped = [
        {"test": case.get("name"), "why": skip.get("message")}
        for case in suite.iter("testcase")
        for skip in case.iter("skipped")
    ]
    passed = number["tests"] - number["failures"] - number["errors"] - number["skipped"]
    return {"passed": passed, "failed": failed, "skipped": skipped}


def _has(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None
