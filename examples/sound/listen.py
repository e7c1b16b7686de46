"""From a wav to a row of numbers: log-mel energies on a fixed number of moments, by scipy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import wavfile
from scipy.signal import ShortTimeFFT

MELS, MOMENTS = 24, 16
LOWEST, HIGHEST = 100.0, 7600.0
QUIET = 0.02
"""Of the loudest frame's energy: what is quieter at the ends is silence."""


def log_mel(file: Path) -> np.ndarray:
    """(MELS * MOMENTS,) float32: the logarithm of the energies in MELS bands, at MOMENTS equal strides of the word."""
    rate, sound = wavfile.read(file)
    transform = ShortTimeFFT(np.hanning(400), hop=160, fs=rate, mfft=512, scale_to="psd")
    power = np.abs(transform.stft(sound / 32768.0)) ** 2
    energies = mel_filters(transform.f) @ power
    loud = np.flatnonzero(energies.sum(0) > QUIET * energies.sum(0).max())
    word = np.log(energies[:, loud[0] : loud[-1] + 1] + 1e-10)
    word -= word.mean()  # how loud it was recorded says nothing
    at = np.linspace(0, word.shape[1] - 1, MOMENTS)
    rows = [np.interp(at, np.arange(word.shape[1]), band) for band in word]
    return np.concatenate(rows).astype(np.float32)


def mel_filters(frequencies: np.ndarray) -> np.ndarray:
    """(MELS, frequencies): triangles of equal width on the mel scale, 2595 log10(1 + f / 700)."""
    mel = 2595 * np.log10(1 + np.array([LOWEST, HIGHEST]) / 700)
    corners = 700 * (10 ** (np.linspace(*mel, MELS + 2) / 2595) - 1)
    low, centre, high = (corners[i : i + MELS, None] for i in range(3))
    rising, falling = (frequencies - low) / (centre - low), (high - frequencies) / (high - centre)
    return np.maximum(0, np.minimum(rising, falling))
