"""A GAN on a mixture in the plane as it learns: the game of `unnoise show collapse`, moment by moment."""

from __future__ import annotations

import torch

from unnoise.aliases import Record
from unnoise.lectures.plane import Game, Setting
from unnoise.process.analytic import GaussianMixture
from unnoise.studio.tasks.lectures import MIXTURES, STD
from unnoise.studio.worker import Emit

SHOWN, DATA, EVERY, CELLS, REACH = 256, 400, 10, 25, 2.4
CRITIC = 0.4
"""The discriminator's learning rate, of the generator's: a generator that learns faster than its opponent collapses."""


def collapse(request: Record, emit: Emit) -> Record:
    """Emits samples and the discriminator's values over the plane, and data with the first of them.

    penalty: weight of R1 on data (Mescheder et al. 2018), 0 for none.
    """
    components = torch.tensor(MIXTURES[request["mixture"]], dtype=torch.float64)
    data = GaussianMixture(components[:, 0], components[:, 1:], 0.5 * STD)
    game = Game(data, _setting(request["rate"], request["penalty"]), request["seed"])
    for step in range(0, request["steps"] + 1, EVERY):
        game.play(EVERY if step else 0)
        first = {} if step else {"data": data.sample(DATA, request["seed"]).tolist()}
        emit({"event": "moment", "step": step, "of": request["steps"], **_look(game), **first})
    return {}


def _setting(rate: float, penalty: float) -> Setting:
    how = {"penalty": "r1", "penalty_weight": penalty} if penalty else {}
    return Setting(learning_rate=rate, critic_rate=CRITIC * rate, **how)


@torch.no_grad()
def _look(game: Game) -> Record:
    across = torch.linspace(-REACH, REACH, CELLS)
    values = game.critic(torch.cartesian_prod(across, across)).sigmoid()
    return {"x": game.draw(SHOWN).tolist(), "values": values.tolist()}
