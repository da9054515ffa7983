"""Tags beside the truth about some photos."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from photoclip.tagging.deciding import blocks_of, probabilities
from photoclip.tagging.run import Run
from photoclip.tagging.truth import judge, suggest

if TYPE_CHECKING:
    from photoclip.labels import LabelList
    from photoclip.library import OpenLibrary
    from photoclip.tagging.truth import Suggestion, Truth, Verdict


def prove(
    library: OpenLibrary,
    labels: LabelList,
    truth: Truth,
    *,
    minimum: float | None = None,
    top: int | None = None,
    device: str = "auto",
) -> tuple[Verdict, dict[str, Suggestion]]:
    """Return how right the tags of the photos in ``truth`` are, and thresholds that would be better, by
    label. Nothing is stored."""
    run = Run(library, labels, minimum, top, device)
    contents = library.store.contents_at(truth.shown)
    ids = np.unique(np.array(list(contents.values()), np.int64))
    ids = ids[run.matrix.find(ids)[1]]
    if not len(ids):
        return judge(truth, {}), {}
    calibration = run.calibration()
    found = run.judge.find(blocks_of(run.matrix, ids), calibration.rivalry, -np.inf)
    decided = run.settled(found, calibration, ids)
    sure = probabilities(found, calibration.line).reshape(len(ids), -1).tolist()
    by_content = {
        content_id: dict(zip(labels.names, row, strict=True))
        for content_id, row in zip(ids.tolist(), sure, strict=True)
    }
    known = {path: content_id for path, content_id in contents.items() if content_id in by_content}
    verdict = judge(truth, {path: decided[content_id] for path, content_id in known.items()})
    now = dict(zip(labels.names, run.thresholds.tolist(), strict=True))
    return verdict, suggest(truth, {path: by_content[one] for path, one in known.items()}, now)
