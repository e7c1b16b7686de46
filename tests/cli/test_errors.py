"""Exit statuses and the one line that goes with them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from unnoise.cli.errors import BUG, GIVEN, STOPPED, status_of
from unnoise.errors import NoSplit, UserError
from unnoise.progress import notice, printable

Command = Callable[..., subprocess.CompletedProcess[str]]


def raising(error: BaseException):
    def action() -> None:
        raise error

    return action


@pytest.mark.parametrize("error", [UserError("no cats here"), NoSplit("no cats here"), OSError("no cats here")])
def test_what_was_given_is_one_line(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(raising(error), ["sample"]) == GIVEN == 2
    assert capsys.readouterr().err == "unnoise: no cats here\n"


@pytest.mark.parametrize("error", [ValueError("shape\nmismatch"), RuntimeError("shape\nmismatch"), KeyError("x")])
def test_anything_else_is_called_a_bug_with_its_traceback_in_a_file(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNNOISE_CACHE", str(tmp_path))
    assert status_of(raising(error), ["sample", "my run"]) == BUG == 70
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "bug" in said
    assert "please report" in said
    (file,) = (tmp_path / "bugs").iterdir()
    assert str(file) in said
    report = file.read_text()
    assert "command: unnoise sample 'my run'" in report
    assert "Traceback" in report
    assert type(error).__name__ in report


def test_debug_prints_the_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("UNNOISE_CACHE", str(tmp_path))
    assert status_of(raising(TypeError("odd")), [], debug=True) == BUG
    assert "Traceback" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_cannot_be_written_is_printed(tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("UNNOISE_CACHE", str(tmp_path / "file"))
    assert status_of(raising(TypeError("odd")), []) == BUG
    assert "Traceback" in capsys.readouterr().err


def test_memory_that_ran_out_is_no_bug(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(raising(MemoryError()), []) == GIVEN
    assert "not enough memory" in capsys.readouterr().err


ENDS_ON_THE_WAY_OUT = """
import atexit, os
from unnoise.cli.errors import status_of
from unnoise.errors import ProcessLost

def lost():
    raise ProcessLost("process 1 of 2 lost the connection")

atexit.register(os.abort)
status_of(lost, [])
"""


def test_a_process_that_lost_another_does_not_abort_on_its_way_out() -> None:
    """torch's threads, which wait for the lost one, end the interpreter with std::terminate, as `abort` does here."""
    ended = subprocess.run([sys.executable, "-c", ENDS_ON_THE_WAY_OUT], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (GIVEN, "unnoise: process 1 of 2 lost the connection\n")


def test_usage_errors_of_the_parser_are_one_line_too(unnoise: Command, tmp_path: Path) -> None:
    for arguments in (["sample"], ["sampel"], ["sample", "run", "--stpes", 3], ["sample", "run", "-n", "many"]):
        result = unnoise(*arguments, cwd=tmp_path)
        assert result.returncode == GIVEN, arguments
        assert result.stdout == ""
        assert result.stderr.startswith("unnoise: ")
        assert result.stderr.count("\n") == 1


def test_help_and_version_succeed(unnoise: Command, tmp_path: Path) -> None:
    for arguments in ([], ["--help"], ["--version"], ["sample", "--help"], ["edit", "--help"]):
        assert unnoise(*arguments, cwd=tmp_path).returncode == 0, arguments


def test_a_bug_in_a_command_is_reported_by_the_real_program(tmp_path: Path) -> None:
    broken = "import sys, unnoise.cli as cli\ncli.app.command(lambda: 1 / 0, name='broken')\nsys.argv = ['unnoise', 'broken', *sys.argv[1:]]\ncli.main()"  # fmt: skip  # noqa: E501
    environment = {**os.environ, "UNNOISE_CACHE": str(tmp_path)}
    for option, expected in ((None, False), ("--debug", True)):
        command = [sys.executable, "-c", broken, *([option] if option else [])]
        result = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert result.returncode == BUG
        assert "ZeroDivisionError" in result.stderr
        assert ("Traceback (" in result.stderr) is expected


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_an_interrupt_is_130(tmp_path: Path) -> None:
    waits = "import signal, time, sys, unnoise.cli as cli\nsignal.signal(signal.SIGINT, signal.default_int_handler)\ndef wait():\n    print('here', flush=True)\n    time.sleep(60)\ncli.app.command(wait)\nsys.argv = ['unnoise', 'wait']\ncli.main()"  # fmt: skip  # noqa: E501
    with subprocess.Popen([sys.executable, "-c", waits], stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.05)  # so that it sleeps
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == STOPPED == 130
    assert said == "unnoise: stopped\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cat\x1b[2Jdog", r"cat\x1b[2Jdog"),
        ("two\nlines\r", r"two\nlines\r"),
        ("abc\u202edef", r"abc\u202edef"),
        ("\udce9t\xe9", r"\udce9té"),
        ("猫 क्‍ष", "猫 क्‍ष"),
    ],
)
def test_text_of_others_cannot_write_to_the_terminal(text: str, shown: str, capsys) -> None:
    assert printable(text) == shown
    notice(text)
    assert capsys.readouterr().err == shown + "\n"


def test_a_class_name_with_escapes_stays_one_line(unnoise: Command, tmp_path: Path) -> None:
    from PIL import Image

    for name in ("a\x1b[31m", "b\nc"):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for index in range(2):
            Image.new("L", (8, 8), 40 * index).save(tmp_path / "mine" / name / f"{index}.png")
        (tmp_path / "mine" / name / "broken.png").write_text("no picture")
    result = unnoise("data", "mine", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "\x1b" not in result.stdout + result.stderr
    assert r"b\nc" in result.stdout
    assert r"a\x1b[31m" in result.stderr


@pytest.mark.parametrize("module", ["data", "runs", "training", "evaluation", "sampling", "editing", "models"])
def test_lines_for_people_are_written_in_one_place(module: str) -> None:
    """A `print` anywhere else would let text of others through."""
    import unnoise as package

    folder = Path(package.__file__).parent / module
    assert [file.name for file in folder.rglob("*.py") if "print(" in file.read_text().replace("printable(", "").replace("_console.print(", "").replace("fingerprint(", "")] == []  # fmt: skip  # noqa: E501
