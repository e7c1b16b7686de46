"""Which sampler a run is sampled with."""

from __future__ import annotations

import re

from unnoise.aliases import Spec
from unnoise.errors import UserError
from unnoise.process.variance import Variance
from unnoise.registry import build, spec_of
from unnoise.runs.run import Run
from unnoise.samplers import SAMPLERS, Ancestral, Sampler
from unnoise.samplers.spec import parse_sampler, sampler_text
from unnoise.sampling.analytic import with_analytic_variance

TUNED = "tuned"


def choose_sampler(run: Run, text: str | None = None, options: Spec | None = None) -> Sampler:
    """The run's own sampler, or the one that is asked for.

    Args:
        run: a run with a sampler.
        text: such as 'ddim' or 'ddim@50:eta=0.5'; 'tuned' or 'tuned@10' for what `unnoise tune` found; None: the run's
            own. Where nothing but steps is asked for and `unnoise tune` has found a sampler for them, this one.
        options: set over those of the text.

    Raises:
        UserError: for an unknown sampler, option or value, and for steps that nothing was tuned for.
    """
    asked = {**({} if text is None else parse_sampler(text, (TUNED,))), **(options or {})}
    name = asked.pop("kind", None)
    if name in (None, TUNED) and set(asked) == {"steps"}:
        tuned = run.tuned(asked["steps"])
        if tuned is not None:
            return tuned
    if name == TUNED:
        raise UserError(f"{run.folder} has no tuned sampler of these steps: run 'unnoise tune {run.folder} --steps K'")
    own = spec_of(SAMPLERS, run.sampler())
    same = name is None or name == own["kind"]
    chosen = build(SAMPLERS, {**(own if same else {"kind": name}), **asked}, "sampler")
    return with_analytic_variance(run, chosen)


def asked_variance(text: str | None, options: Spec | None, chosen: Sampler) -> str | Variance | None:
    """The variance of reverse steps that a user asked for, as in 'ddpm:variance=beta', of the sampler that was chosen
    for these words; None where nothing was said of it."""
    asked = {**({} if text is None else parse_sampler(text, (TUNED,))), **(options or {})}
    return chosen.variance if "variance" in asked and isinstance(chosen, Ancestral) else None


def sampler_words(sampler: Sampler) -> str:
    """For names of files: 'ddim-50', 'ddim-50-eta-0.5'; a grid of many times is left out."""
    text = re.sub(r"grid=[\d./]+/[\d./]+", "grid=tuned", sampler_text(sampler))
    return re.sub(r"[^\w.+]+", "-", text)
