"""The command line: one module per command, each a thin call of the public API.

Nothing here imports torch before a command runs, so that `unnoise --help` answers at once.
"""

from __future__ import annotations

import sys

from cyclopts import App

import unnoise
import unnoise.cli.latents  # registers commands of `unnoise edit`
from unnoise.cli.compare import compare
from unnoise.cli.data import data
from unnoise.cli.demo import demo
from unnoise.cli.distill import distill
from unnoise.cli.doctor import doctor
from unnoise.cli.edit import edit
from unnoise.cli.errors import BUG, GIVEN, STOPPED, status_of
from unnoise.cli.evaluate import evaluate
from unnoise.cli.export import export
from unnoise.cli.families import families
from unnoise.cli.features import features
from unnoise.cli.import_ import import_
from unnoise.cli.options import PLAIN, RENAMED
from unnoise.cli.push import pull, push
from unnoise.cli.sample import sample
from unnoise.cli.score import score
from unnoise.cli.show import show
from unnoise.cli.studio import studio
from unnoise.cli.train import train
from unnoise.cli.tune import tune
from unnoise.errors import UserError
from unnoise.progress import notice
from unnoise.runtime.launch import started_by_torchrun
from unnoise.runtime.threads import choose_threads

DEBUG = "--debug"
TOGETHER = ("train", "distill", "sample", "evaluate", "tune")
"""Commands that several processes run together (docs/clusters.md)."""

app = App(
    name="unnoise",
    help="Train, sample, measure and edit with generative image models, diffusion first, on your own images.\n\n"
    f"Exit status: 0 done, {GIVEN} something given does not fit, {BUG} a bug ({DEBUG} prints its traceback), "
    f"{STOPPED} stopped.",
    version=unnoise.__version__,
    suppress_keyboard_interrupt=False,
    default_parameter=PLAIN,
)
for command in (train, distill, sample, tune, evaluate, compare, families, score, show, features):
    app.command(command)
for command in (data, demo, studio, doctor):
    app.command(command)
app.command(export)
app.command(import_, name="import")
app.command(push)
app.command(pull)
app.command(edit)

WITHOUT_WORK = {"--help", "-h", "--version"}
"""Options with which nothing is computed, so that no threads are counted."""


def main() -> None:
    """The entry point: `cli.errors` lists the exit statuses."""
    tokens = [token for token in sys.argv[1:] if token != DEBUG]
    line = choose_threads() if tokens and WITHOUT_WORK.isdisjoint(tokens) else None
    if line is not None:
        notice(f"unnoise: {line}")
    sys.exit(status_of(lambda: _run(tokens), tokens, debug=DEBUG in sys.argv))


def _run(tokens: list[str]) -> None:
    if started_by_torchrun() and tokens and tokens[0] not in TOGETHER:
        raise UserError(f"unnoise {tokens[0]} runs in one process; those that share work are {', '.join(TOGETHER)}")
    app(task_first(renewed(tokens)), exit_on_error=False, print_error=False, result_action="return_value")


def task_first(tokens: list[str]) -> list[str]:
    """`edit RUN TASK ...` is understood as `edit TASK RUN ...`."""
    if len(tokens) < 3 or tokens[0] != "edit" or tokens[1] in edit or tokens[2] not in edit:
        return tokens
    return ["edit", tokens[2], tokens[1], *tokens[3:]]


def renewed(tokens: list[str]) -> list[str]:
    """Options by their names of today."""
    named = [token.partition("=") for token in tokens]
    return [RENAMED.get(name, name) + equals + value for name, equals, value in named]
