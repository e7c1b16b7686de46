"""Spoken digits without a recording: a glottal pulse and noise through moving formants (Klatt 1980), in numpy.

Every call of `speak` is another utterance: pitch, length of the vocal tract, speed, loudness and background noise are
drawn at random.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

RATE = 16_000
FRAME, HOP = 512, 128
SILENCE = 0.06
"""Seconds before and after a word, on average."""


class Phone(NamedTuple):
    """seconds; formants at its beginning and end; how loud the voice and the noise are; the noise's band. In Hz."""

    seconds: float
    begin: tuple[float, float, float]
    end: tuple[float, float, float]
    voice: float = 1.0
    noise: float = 0.0
    band: tuple[float, float] = (0.0, 0.0)


def vowel(seconds: float, *formants: tuple[float, float, float]) -> Phone:
    return Phone(seconds, formants[0], formants[-1])


SCHWA = (500.0, 1500.0, 2500.0)
PHONES = {
    # Vowels: the mean formants of men, Peterson & Barney 1952; diphthongs move from one to another.
    "IY": vowel(0.16, (270, 2290, 3010)),
    "IH": vowel(0.10, (390, 1990, 2550)),
    "EH": vowel(0.12, (530, 1840, 2480)),
    "AH": vowel(0.13, (640, 1190, 2390)),
    "AO": vowel(0.15, (570, 840, 2410)),
    "UW": vowel(0.17, (300, 870, 2240)),
    "OW": vowel(0.18, (500, 1000, 2400), (330, 850, 2300)),
    "AY": vowel(0.20, (730, 1090, 2440), (350, 2100, 2700)),
    "EY": vowel(0.17, (500, 1850, 2500), (320, 2250, 2900)),
    "R": Phone(0.08, (310, 1060, 1380), (450, 1200, 1600), 0.7),
    "W": Phone(0.07, (290, 610, 2150), (400, 800, 2200), 0.6),
    "N": Phone(0.10, (250, 1500, 2500), (250, 1500, 2500), 0.35),
    "V": Phone(0.06, (280, 1100, 2300), (280, 1100, 2300), 0.3, 0.05, (3000, 8000)),
    "Z": Phone(0.09, (280, 1700, 2600), (280, 1700, 2600), 0.2, 0.25, (4000, 8000)),
    "S": Phone(0.12, SCHWA, SCHWA, 0.0, 0.5, (4500, 8000)),
    "F": Phone(0.11, SCHWA, SCHWA, 0.0, 0.12, (1500, 8000)),
    "TH": Phone(0.10, SCHWA, SCHWA, 0.0, 0.08, (3500, 8000)),
    "_": Phone(0.05, SCHWA, SCHWA, 0.0),  # the closure of a plosive
    "T": Phone(0.04, SCHWA, SCHWA, 0.0, 0.5, (3000, 7000)),
    "K": Phone(0.04, SCHWA, SCHWA, 0.0, 0.5, (1300, 3000)),
}
WORDS = (
    "Z IH R OW",
    "W AH N",
    "_ T UW",
    "TH R IY",
    "F AO R",
    "F AY V",
    "S IH _ K S",
    "S EH V AH N",
    "EY _ T",
    "N AY N",
)
"""Of the digits 0 to 9."""


def speak(digit: int, random: np.random.Generator) -> np.ndarray:
    """One utterance of a digit: samples (n,) in [-1, 1] at RATE."""
    speed, tract = random.uniform(0.75, 1.3), random.uniform(0.85, 1.15)
    tracks = frames_of(WORDS[digit], speed, tract, random)
    voice = pulses(len(tracks) * HOP + FRAME, random.uniform(85, 260), random)
    noise = random.normal(size=len(voice))
    frequencies = np.fft.rfftfreq(FRAME, 1 / RATE)
    window = np.hanning(FRAME)
    sound = np.zeros(len(voice))
    for index, (f1, f2, f3, voiced, breath, low, high) in enumerate(tracks):
        part = slice(index * HOP, index * HOP + FRAME)
        tube = sum(resonance(frequencies, f, width) for f, width in ((f1, 80), (f2, 110), (f3, 170)))
        hiss = (frequencies > low) & (frequencies < high)
        spectrum = voiced * tube * np.fft.rfft(window * voice[part]) + breath * hiss * np.fft.rfft(window * noise[part])
        sound[part] += np.fft.irfft(spectrum)
    sound *= random.uniform(0.2, 0.9) / np.abs(sound).max()
    hum = 10 ** (-random.uniform(20, 45) / 20)
    return np.clip(sound + hum * np.abs(sound).max() * random.normal(size=len(sound)), -1, 1)


def frames_of(word: str, speed: float, tract: float, random: np.random.Generator) -> np.ndarray:
    """(frames, 7): three formants, voice, noise and its band, smoothed as a tongue moves."""
    rows = [np.tile([*SCHWA, 0, 0, 0, 0], (int(random.uniform(0, 2) * SILENCE * RATE / HOP) + 2, 1))]
    for name in word.split():
        phone = PHONES[name]
        count = max(2, round(phone.seconds * random.uniform(0.8, 1.2) / speed * RATE / HOP))
        moving = np.linspace(phone.begin, phone.end, count) * random.normal(1, 0.03, 3) / tract
        rows.append(np.hstack([moving, np.tile([phone.voice, phone.noise, *phone.band], (count, 1))]))
    rows.append(rows[0])
    tracks = np.concatenate(rows)
    smooth = np.hanning(7) / np.hanning(7).sum()
    for column in range(5):
        padded = np.pad(tracks[:, column], 3, mode="edge")
        tracks[:, column] = np.convolve(padded, smooth, mode="valid")
    return tracks


def pulses(count: int, pitch: float, random: np.random.Generator) -> np.ndarray:
    """The glottis: a sawtooth whose pitch falls a little towards the end and trembles."""
    fall = np.linspace(1.1, random.uniform(0.75, 1.0), count)
    tremble = 1 + 0.02 * np.sin(2 * np.pi * random.uniform(3, 7) * np.arange(count) / RATE)
    phase = np.cumsum(pitch * fall * tremble) / RATE
    return 0.5 - phase % 1.0


def resonance(frequencies: np.ndarray, centre: float, width: float) -> np.ndarray:
    """How loud a formant lets each frequency through: a second-order resonator."""
    return centre**2 / np.sqrt((centre**2 - frequencies**2) ** 2 + (width * frequencies) ** 2 + 1.0)
