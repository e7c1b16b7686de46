"""The options that several commands share, each defined once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import Parameter, Token

from unnoise.cli.tables import listed
from unnoise.sampling.conditions import SampleConditions
from unnoise.sampling.guidance_options import GuidanceOptions

RENAMED = {"--worse": "--autoguidance"}
"""What options were called in versions before."""


def _default(value: object) -> object:
    """What help shows: 0 is a default like any other."""
    return None if value is None or value is False or value == "" else value


def whole(_type: type, tokens: Sequence[Token]) -> int:
    """A whole number, which the parser's own conversion would round what is given to.

    Raises:
        ValueError: for anything else.
    """
    value = tokens[0].value
    try:
        return int(value)
    except ValueError:
        raise ValueError(f'"{value}" is not a whole number.') from None


PLAIN = Parameter(negative=(), negative_iterable=(), show_default=_default)
"""For all commands: no --no-X or --empty-X, and no defaults that say nothing."""

Whole: TypeAlias = Annotated[int, Parameter(converter=whole)]
SomeWhole: TypeAlias = Annotated[int | None, Parameter(converter=whole)]
Number: TypeAlias = Annotated[Whole, Parameter(name=["--number", "-n"])]
SomeNumber: TypeAlias = Annotated[SomeWhole, Parameter(name=["--number", "-n"])]
RunFolder: TypeAlias = Annotated[Path, Parameter(help="The folder of a run.")]
Picture: TypeAlias = Annotated[Path, Parameter(help="The file of a picture.")]
Fit: TypeAlias = Annotated[
    str,
    Parameter(
        help=f"How a picture of another size comes to the run's: {listed('fits')}; crop takes its largest centred "
        "part, as training does."
    ),
]
Aspect: TypeAlias = Annotated[
    str | None,
    Parameter(
        help="W:H, such as 3:2: of a run that was trained on several shapes (data.fit=buckets) the nearest of them; by "
        "default the one with most images."
    ),
]
Json: TypeAlias = Annotated[bool, Parameter(help="One JSON object on standard output.")]
Device: TypeAlias = Annotated[str | None, Parameter(help="cpu, cuda, cuda:1 or mps; by default the best there is.")]
Overwrite: TypeAlias = Annotated[bool, Parameter(help="Write over files that are there already.")]
SetOptions: TypeAlias = Annotated[list[str] | None, Parameter(name="--set")]

SAMPLER = f"{listed('samplers')}; alone, or with steps and options, as in ddim, ddim@50 or 'ddim@50:eta=0.5'"
SamplerSpec: TypeAlias = Annotated[str | None, Parameter(help=f"{SAMPLER}; by default the run's own.")]
Samplers: TypeAlias = Annotated[
    str, Parameter(help=f"Comma-separated, for diffusion runs: {SAMPLER}; by default each run's own.")
]
EditSampler: TypeAlias = Annotated[str | None, Parameter(help=f"{SAMPLER}; by default 'ddim:eta=1'.")]
Grid: TypeAlias = Annotated[str | None, Parameter(help=f"Which times are visited: {listed('grids')}.")]
Precision: TypeAlias = Annotated[
    str,
    Parameter(help=f"{listed('precision')}; auto takes bf16 where the hardware has it, as in training."),
]
Compile: TypeAlias = Annotated[
    str,
    Parameter(
        help=f"{listed('compile')}; auto records CUDA graphs on a GPU, and takes torch.compile where the work is long "
        "enough."
    ),
]
Metrics: TypeAlias = Annotated[str, Parameter(help=f"Comma-separated, of {listed('metrics')}; see docs/evaluation.md.")]
Features: TypeAlias = Annotated[
    str | None,
    Parameter(
        help=f"What distances are measured in: {listed('features')}; by default classifier (trained on the labelled "
        "data, once) where there are labels, else imagenet."
    ),
]

ConditionOptions: TypeAlias = Annotated[SampleConditions, Parameter(name="*", group="Conditions")]
GuidingOptions: TypeAlias = Annotated[GuidanceOptions, Parameter(name="*", group="Guidance")]
NO_CONDITIONS, NO_GUIDANCE = SampleConditions(), GuidanceOptions()


@Parameter(name="*")
@dataclass(frozen=True)
class EditOptions:
    """What every edit takes: what a conditional run is to draw, where it computes, how it answers.

    Args:
        out: Where the picture goes, a .png; by default in the run's samples folder, named by what made it.
    """

    conditions: ConditionOptions = NO_CONDITIONS
    out: Path | None = None
    overwrite: Overwrite = False
    device: Device = None
    json: Json = False


@Parameter(name="*")
@dataclass(frozen=True)
class DrawOptions(EditOptions):
    """What the edits that draw with a diffusion model take.

    Args:
        number: How many versions.
        own_size: Write the versions at the picture's own size; what was not seen of it stays as it is.
        steps: Steps of the sampler; by default as many as the task needs.
        seed: Version i has seed SEED + i.
        out: The strip's .png, before | after ...; each version is written beside it. By default in the run's samples
            folder, named by what made it.
    """

    number: Number = 4
    fit: Fit = "crop"
    own_size: bool = False
    sampler: EditSampler = None
    steps: SomeWhole = None
    seed: Whole = 0
    guide: GuidingOptions = NO_GUIDANCE


@Parameter(name="*")
@dataclass(frozen=True)
class LatentOptions(EditOptions):
    """What the edits of latents take.

    Args:
        steps: DDIM steps each way, of a diffusion run.
        out: A .png with all images, or a .gif that shows them in turn; by default in the run's samples folder, named
            by what made it.
    """

    steps: Whole = 100
