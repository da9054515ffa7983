"""Why a photo carries the tags it does, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from photoclip.errors import BadUsage
from photoclip.records import Weighed
from photoclip.tagging.deciding import DIGITS, blocks_of, probabilities
from photoclip.tagging.run import Run

if TYPE_CHECKING:
    from photoclip.labels import LabelList
    from photoclip.library import OpenLibrary


def explain(
    library: OpenLibrary,
    labels: LabelList,
    path: bytes,
    *,
    minimum: float | None = None,
    top: int | None = None,
    device: str = "auto",
) -> tuple[Weighed, ...]:
    """Return how each label fares with the photo at ``path``, the most probable first; nothing is stored.

    Raises BadUsage when the library holds no such photo.
    """
    content_id = library.store.contents_at([path]).get(path)
    run = Run(library, labels, minimum, top, device)
    ids = np.array([content_id] if content_id is not None else [], np.int64)
    if not run.matrix.find(ids)[1].any():
        raise BadUsage("this photo is not in the library", "index it first: photoclip index PHOTO")
    calibration = run.calibration()
    found = run.judge.find(blocks_of(run.matrix, ids), calibration.rivalry, -np.inf)
    rivals = run.judge.strongest_rivals(run.matrix.rows_of(ids)[0], calibration.rivalry)
    tagged = {tag.label for tag in run.settled(found, calibration, ids)[int(ids[0])]}
    probability = probabilities(found, calibration.line)
    names, competitors = labels.names, (*labels.names, *labels.others)
    return tuple(
        Weighed(
            names[label],
            round(float(found.similarities[place]), DIGITS),
            round(float(probability[place]), DIGITS),
            float(run.thresholds[label]),
            names[label] in tagged,
            competitors[rivals[label]] if rivals[label] >= 0 else None,
        )
        for place in np.argsort(-probability, kind="stable").tolist()
        for label in [int(found.labels[place])]
    )
