"""The training images that are nearest to a drawn one."""

from __future__ import annotations

import numpy as np

from unnoise.aliases import Record
from unnoise.data.images import Images, blocks
from unnoise.data.pictures import grid_cells
from unnoise.errors import UserError
from unnoise.io.picture_reader import read_picture
from unnoise.runs.run import Run
from unnoise.studio.tasks.pictures import tiles
from unnoise.studio.worker import Emit

SHOWN = 5


def nearest(request: Record, emit: Emit) -> Record:
    """The training images nearest to one cell of a picture that a training drew, by root mean square of pixels."""
    run = Run.open(request["run"])
    cells = grid_cells(read_picture(request["picture"], None), run.shape)
    if not 0 <= request["cell"] < len(cells):
        raise UserError(f"the picture has the cells 0 to {len(cells) - 1}, got {request['cell']}")
    drawn = cells[request["cell"]]
    images, _ = run.open_data()
    distances = _distances(images, drawn)
    rows = np.argsort(distances, kind="stable")[:SHOWN]
    return {
        "sample": tiles(drawn[None]),
        "nearest": [
            {"image": tiles(images.pixels[row][None]), "distance": float(distances[row]), "index": int(row)}
            for row in rows
        ],
        "images": len(images),
    }


def _distances(images: Images, drawn: np.ndarray) -> np.ndarray:
    """Root mean square difference on the scale 0..255, of every image."""
    found = np.empty(len(images))
    for rows in blocks(len(images), images.pixels[0].nbytes):
        difference = images.pixels[rows].astype(np.float32) - drawn
        found[rows] = np.sqrt((difference**2).mean(axis=(1, 2, 3)))
    return found
