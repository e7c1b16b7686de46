"""Images from an exported run with numpy and onnxruntime alone: `python sample_onnx.py FOLDER --out images.npy`.

FOLDER is what `unnoise export RUN --to onnx --out FOLDER` wrote. Two ways of drawing from the same noise:

* sampler.onnx is the whole sampler in one graph, from noise to images.
* denoiser.onnx is one call of the network, (x_t, t) -> (x_0, eps), for a loop of one's own. The loop below is DDIM
  (Song et al. 2021, equation 12 with sigma = 0): x_s = alpha_s x_0 + sigma_s eps, at the times, alphas and sigmas that
  unnoise.json lists.
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime


def session(folder: Path, name: str) -> Any:
    return onnxruntime.InferenceSession(str(folder / f"{name}.onnx"), providers=["CPUExecutionProvider"])


def by_graph(folder: Path, noise: np.ndarray, cond: dict[str, np.ndarray]) -> np.ndarray:
    (image,) = session(folder, "sampler").run(None, {"noise": noise, **cond})
    return image


def by_loop(folder: Path, noise: np.ndarray, cond: dict[str, np.ndarray]) -> np.ndarray:
    about = json.loads((folder / "unnoise.json").read_text(encoding="utf-8"))
    denoiser, clip = session(folder, "denoiser"), about["model"]["clip"]
    x, steps = about["prior_std"] * noise, about["steps"]
    for here, there in pairwise(steps):
        t = np.full(len(x), here["t"], dtype=np.float32)
        x_0, eps = denoiser.run(None, {"x_t": x.astype(np.float32), "t": t, **cond})
        if clip:
            x_0 = x_0.clip(-1, 1)
            eps = (x - here["alpha"] * x_0) / here["sigma"]
        x = there["alpha"] * x_0 + there["sigma"] * eps
    if (folder / "decoder.onnx").is_file():
        (x,) = session(folder, "decoder").run(None, {"latent": x.astype(np.float32)})
    return x.clip(-1, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--number", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--label", type=int, help="of a class-conditional run")
    parser.add_argument("--loop", action="store_true", help="DDIM in numpy instead of sampler.onnx")
    parser.add_argument("--out", type=Path, required=True, help="an .npy, uint8 (N, C, H, W)")
    given = parser.parse_args()
    about = json.loads((given.folder / "unnoise.json").read_text(encoding="utf-8"))
    shape = (given.number, *about["latent_shape"])
    noise = np.random.default_rng(given.seed).standard_normal(shape, dtype=np.float32)
    cond = {} if given.label is None else {"label": np.full(given.number, given.label, dtype=np.int64)}
    images = (by_loop if given.loop else by_graph)(given.folder, noise, cond)
    np.save(given.out, np.rint((images + 1) * 127.5).astype(np.uint8))


if __name__ == "__main__":
    main()
