"""All noise schedules beside one another."""

from __future__ import annotations

import torch

from unnoise.lectures.slide import COLOURS, Drawn, slide
from unnoise.process.schedule import SCHEDULES, Schedule

POINTS = 500
SNR_SHOWN = 10.0
LOG_SNR_SHOWN = 12.0
ROWS = 2
"""Of the legend: in one it is wider than a slide."""


def schedules() -> Drawn:
    """The signal's fraction of the variance (alpha-bar where variance is preserved), SNR and log-SNR over t / t_max."""
    figure = slide("Every schedule is a way through the same signal-to-noise ratios")
    fraction, snr, log_snr = figure.subplots(1, 3)
    middles = {}
    for number, (name, schedule) in enumerate(named().items()):
        t = torch.linspace(0, schedule.t_max, POINTS, dtype=torch.float64)[1:]
        at, logs = t / schedule.t_max, schedule.log_snr(t)
        # linear-betas and vp, cosine-betas and cosine coincide; beyond the colours they come again
        dash = ":" if number >= len(COLOURS) else "-" if schedule.grid is not None else "--"
        fraction.plot(at, logs.sigmoid(), dash, label=name)
        snr.plot(at, logs.exp(), dash)
        log_snr.plot(at, logs, dash)
        middles[name] = float(schedule.t(0.0)) / schedule.t_max
    fraction.set(title=r"$\bar\alpha_t = \alpha_t^2 / (\alpha_t^2 + \sigma_t^2)$", xlabel=r"$t / t_{max}$")
    snr.set(title=r"SNR $= \alpha_t^2 / \sigma_t^2$", xlabel=r"$t / t_{max}$", ylim=(0, SNR_SHOWN))
    log_snr.set(title="log-SNR", xlabel=r"$t / t_{max}$", ylim=(-LOG_SNR_SHOWN, LOG_SNR_SHOWN))
    for axes, level in ((fraction, 0.5), (snr, 1.0), (log_snr, 0.0)):
        axes.axhline(level, color="black", linewidth=0.8, linestyle=":")
    figure.legend(loc="outside lower center", ncols=-(-len(middles) // ROWS))
    return Drawn(figure, {"as_much_signal_as_noise_at": middles})


def named() -> dict[str, Schedule]:
    """One schedule of each class in the table, with its default options, by its first name."""
    first: dict[type[Schedule], str] = {}
    for name, cls in SCHEDULES.items():
        first.setdefault(cls, name)
    return {name: cls() for cls, name in first.items()}
