"""Taking the noise out of a picture: by a denoising autoencoder, or by one call of a diffusion model."""

from __future__ import annotations

import math
import time
from pathlib import Path

import torch
from torch import Tensor

from unnoise.aliases import Record
from unnoise.data import image_grid, save_png
from unnoise.editing.image_files import read_image
from unnoise.errors import NotApplicable, UserError
from unnoise.files import claim, ends_in
from unnoise.models import CanDenoise, CanReconstruct, ImageModel
from unnoise.models.image_model import require_mean
from unnoise.runs.run import Run
from unnoise.sampling.batches import counted_calls
from unnoise.sampling.outputs import default_out


@torch.no_grad()
def denoised(model: ImageModel, image: Tensor, noise: float) -> Tensor:
    """E[x_0 | x_0 + noise n] of images (B, C, H, W) in [-1, 1].

    A diffusion model answers it at the time with sigma / alpha = noise, for x_t = alpha image. An autoencoder gives its
    reconstruction, whatever the noise: that of its training is built in.

    Raises:
        UserError: for a diffusion model and a noise that is not above 0.
        NotApplicable: for a model that can do neither, and for a latent diffusion model.
    """
    if isinstance(model, CanDenoise) and not model.works_in_latents:
        if not noise > 0:
            raise UserError(f"--noise is the standard deviation of the picture's noise, above 0; got {noise}")
        schedule = require_mean(model, "denoising").schedule
        t = schedule.t(torch.tensor(-2 * math.log(noise), dtype=torch.float64))
        t = t.clamp(max=schedule.t_max) if schedule.grid is None else t.round().clamp(min=1)
        cond = model.explained(None, lambda clean: clean, image)
        return model.guided()(float(schedule.alpha(t)) * image, t, cond).x_0
    if isinstance(model, CanReconstruct):
        return model.decode(model.encode(image))
    raise NotApplicable(
        f"denoising needs an autoencoder (recipe dae) or a diffusion model of pixels; this is {model.kind}"
    )


def denoise_picture(
    folder: str | Path,
    picture: str | Path,
    *,
    noise: float = 0.5,
    out: Path | None = None,
    overwrite: bool = False,
    device: str | None = None,
) -> Record:
    """Writes a picture beside what a run makes of it without its noise.

    Args:
        folder: of a run.
        picture: a file.
        noise: its standard deviation, where pixels lie in [-1, 1]; of diffusion runs.
        out: a .png; by default in the run's samples folder.
        overwrite: whether a file that is there already may be written over.
        device: where the model computes; None: the best there is.

    Returns:
        {task, images, out, seconds, network_calls, removed}: removed is the root mean square of what was taken away.

    Raises:
        UserError: as `denoised`, and for a file that is no picture or is there already.
    """
    run = Run.open(folder)
    out = out or default_out(run, "denoise", Path(picture).stem, f"noise-{noise:g}")
    claim(ends_in(out, ".png"), overwrite=overwrite, inputs=[Path(picture)])
    model = run.load(device)
    given = read_image(Path(picture), model)
    begun = time.perf_counter()
    with counted_calls(model) as calls:
        clean = denoised(model, given, noise)
    save_png(image_grid(torch.cat([given, clean]), columns=2), out)
    return {
        "task": "denoise",
        "images": 1,
        "out": str(out),
        "seconds": round(time.perf_counter() - begun, 3),
        "network_calls": calls[0],
        "removed": round(float((given - clean).square().mean().sqrt()), 4),
    }
