"""From the sound of a digit to a picture of it: any signal can be the condition of a diffusion model.

    python examples/sound/sound_to_digit.py [DATA] [--minutes 10] [--sounds 3000] [--held-out 500] [--out runs/sound]

Every image of DATA (by default scikit-learn's digits) is paired with a spoken digit, made by `speech.py` and read as a
row of numbers by `listen.py`. `unnoise.train(..., "ddpm-vector")` learns to draw from the row; then pictures are drawn
for sounds of other speakers, and a classifier of the images says which digits they are.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.io import wavfile

import unnoise
from unnoise.data import image_grid, save_png
from unnoise.features.cache import open_features

sys.path.insert(0, str(Path(__file__).parent))
import listen
import speech

NETWORK = {
    "model.network.multipliers": [1, 2],
    "model.network.attention": [4],
    "train.batch_size": 128,
    "train.ema": 0.995,
}
"""For 8x8 pixels: a level less than the recipe has."""


def main(
    data: str = "digits",
    out: str | Path = "runs/sound",
    minutes: float = 10.0,
    steps: int | None = None,
    sounds: int = 3000,
    held_out: int = 500,
    guidance: float = 2.0,
) -> dict[str, float]:
    """Makes sounds, trains and measures; a second call goes on where the first stopped.

    Returns:
        {classifier, accuracy, seconds}: the classifier's accuracy on real images of the test split, and the fraction of
        the pictures drawn from held-out sounds that it takes for the digit that was spoken.
    """
    out = Path(out)
    train, test = (unnoise.open_source(data, split=split) for split in ("train", "test"))
    assert train.labels is not None
    rows = np.random.default_rng(0).integers(0, len(train), sounds)
    heard = hear(out / "sounds" / "train", train.labels[rows], seed=1)
    named = np.arange(held_out) % 10
    asked = hear(out / "sounds" / "held-out", named, seed=2)
    mean, std = heard.mean(0), heard.std(0) + 1e-3
    np.savez(out / "pairs.npz", images=train.pixels[rows], labels=train.labels[rows], vectors=(heard - mean) / std)
    np.save(out / "held-out.npy", (asked - mean) / std)

    small = NETWORK if train.shape[1] <= 16 else {}
    limit: dict[str, Any] = {"minutes": minutes} if steps is None else {"steps": steps}
    run = unnoise.train(out / "pairs.npz", "ddpm-vector", out / "run", overrides=small, **limit)
    model = unnoise.load(run.folder)
    cond = {"vector": torch.from_numpy(np.load(out / "held-out.npy"))}
    drawn = model.sample(range(held_out), cond, steps=25, guidance=guidance)
    save_png(image_grid(drawn[:100], columns=10, scale=4), out / "drawn.png")

    reader = open_features("classifier", train, test)
    levels = ((drawn.cpu() + 1) * 127.5).round().to(torch.uint8)
    right = (reader.probabilities(reader(levels)).argmax(1).numpy() == named).mean()
    assert run.summary is not None
    return {"classifier": reader.quality()["accuracy"], "accuracy": float(right), "seconds": run.summary["seconds"]}


def hear(folder: Path, digits: np.ndarray, seed: int) -> np.ndarray:
    """(len(digits), features): each digit spoken once, written as a wav and read again."""
    folder.mkdir(parents=True, exist_ok=True)
    vectors = []
    for index, digit in enumerate(digits.tolist()):
        file = folder / f"{index:05}-{digit}.wav"
        if not file.is_file():
            sound = speech.speak(digit, np.random.default_rng((seed, index)))
            wavfile.write(file, speech.RATE, (sound * 32767).astype(np.int16))
        vectors.append(listen.log_mel(file))
    return np.stack(vectors)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", nargs="?", default="digits")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--sounds", type=int, default=3000)
    parser.add_argument("--held-out", type=int, default=500)
    parser.add_argument("--out", default="runs/sound")
    for name, value in main(**vars(parser.parse_args())).items():
        print(f"{name:12} {value:.4g}")
