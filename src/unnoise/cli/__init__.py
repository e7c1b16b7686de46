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
from unnoise.cli.evaluate import evaluate
from unnoise.cli.features import features
from unnoise.cli.sample import sample
from unnoise.cli.score import score
from unnoise.cli.show import show
from unnoise.cli.train import train
from unnoise.cli.tune import tune
from unnoise.runtime.threads import choose_threads

app = App(
    name="unnoise",
    help="Train, sample, measure and edit with generative image models, diffusion first, on your own images.",
    version=unnoise.__version__,
)
for command in (train, distill, sample, tune, evaluate, compare, score, show, features, data, demo, doctor):
    app.command(command)
app.command(edit)


def main() -> None:
    """The entry point: errors that speak to users are one line on standard error and exit status 1."""
    line = choose_threads()
    if line is not None:
        print(f"unnoise: {line}", file=sys.stderr)
    try:
        app(task_first(sys.argv[1:]))
    except (ValueError, OSError, FloatingPointError, RuntimeError) as error:
        print(f"unnoise: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("unnoise: stopped", file=sys.stderr)
        sys.exit(130)


def task_first(tokens: list[str]) -> list[str]:
    """`edit RUN TASK ...` is understood as `edit TASK RUN ...`."""
    if len(tokens) < 3 or tokens[0] != "edit" or tokens[1] in edit or tokens[2] not in edit:
        return tokens
    return ["edit", tokens[2], tokens[1], *tokens[3:]]
