"""Train the image tower towards the teacher's sentence space: first its last map, then the rest of it."""

from __future__ import annotations

import logging
import random
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from photoclip.encoders import builtin
from photoclip.training import dev_scores, shards, styles
from photoclip.training.loop import Loop, load
from photoclip.training.objective import LABELLED_SHARES, Bank, Objective, Photos, Target, load_photos
from photoclip.training.tower import augmented, encode, features, freeze_first_stages, new_tower

CAPTIONED, LABELLED = 64, 48  # photos per step
STYLED = 0.2  # of the captioned photos are rendered in some style
GREY = 0.1  # of the labelled ones in grey
CLASSIFIER_SHARE = 0.4  # of the classifier's map in the trained last map
IMAGENET = ("imagenet1k-sample", "tiny-imagenet")
HEAD_STEPS, STEPS = 1200, 1600
log = logging.getLogger(__name__)

Place = tuple[str, int]
"""A labelled photo: shard and number."""


@torch.no_grad()
def classifier_map(classifier: Tensor, bank: Bank) -> Tensor:
    """A last map (384, 1280) made of the classifier: every class pulls towards the mean of its names."""
    mean = functional.normalize(bank.vectors.mean(0), dim=-1)
    targets = torch.stack(
        [functional.normalize(mean[bank.right[key]].mean(0), dim=-1) for key in bank.imagenet]
    )
    weight = (targets - targets.mean(0)).T @ (classifier - classifier.mean(0))
    return functional.normalize(weight.flatten(), dim=0).view_as(weight)


class Sampler:
    """Draws the photos of a step."""

    def __init__(self, photos: Photos, objective: Objective, seed: int) -> None:
        self.photos, self.objective, self.rng = photos, objective, random.Random(seed)
        self._by_name: dict[int, list[Place]] = {}
        for source in IMAGENET:
            for i, row in enumerate(photos.labelled[source]):
                for name in objective.bank.right[objective.bank.key(row)]:
                    self._by_name.setdefault(name, []).append((source, i))
        own = {objective.bank.right[key][0] for key in objective.bank.imagenet}
        self._own, self._shared = sorted(own), sorted(set(self._by_name) - own)

    def captioned(self, count: int) -> list[int]:
        """Numbers of captioned photos, without repetition."""
        return self.rng.sample(range(len(self.photos.captioned)), count)

    def labelled(self, count: int) -> tuple[list[Place], list[Target]]:
        """Labelled photos, shards by their shares, and the names to learn from them.

        ImageNet photos are drawn by name (half of the time one that classes share), so that few flowers are
        seen as often as many dogs.
        """
        places, targets = [], []
        for source in self.rng.choices(list(LABELLED_SHARES), list(LABELLED_SHARES.values()), k=count):
            if source == IMAGENET[0]:
                name = self.rng.choice(self._own if self.rng.random() < 0.5 else self._shared)
                place = self.rng.choice(self._by_name[name])
                target = self.objective.bank.key(self.row(place)), name
            else:
                place = source, self.rng.randrange(len(self.photos.labelled[source]))
                target = self.objective.target(self.objective.bank.key(self.row(place)))
            places.append(place)
            targets.append(target)
        return places, targets

    def styles(self) -> list[str]:
        """A style for every photo of a step, or ""."""
        captioned = [
            self.rng.choice(list(styles.NAMES)) if self.rng.random() < STYLED else ""
            for _ in range(CAPTIONED)
        ]
        return captioned + ["grey" if self.rng.random() < GREY else "" for _ in range(LABELLED)]

    def row(self, place: Place) -> shards.Row:
        """The row at a place."""
        return self.photos.labelled[place[0]][place[1]]


def train_head(visual: Any, photos: Photos, objective: Objective, size: int) -> None:
    """Train the last map (1280 -> 384) on features of whole photos."""
    captioned = features(visual, photos.captioned, size)
    labelled = {source: features(visual, rows, size) for source, rows in photos.labelled.items()}
    sampler = Sampler(photos, objective, 0)
    optimizer = torch.optim.AdamW(
        [*visual.head.parameters(), *objective.parameters()], lr=1e-3, weight_decay=0.05
    )
    for step in range(HEAD_STEPS):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * (1 - step / HEAD_STEPS)
        numbers, (places, targets) = sampler.captioned(256), sampler.labelled(192)
        stacked = torch.stack([labelled[source][i] for source, i in places])
        vectors = functional.normalize(visual.head(torch.cat([captioned[numbers], stacked])), dim=-1)
        batch = objective.batch(vectors, numbers, [""] * len(numbers), targets)
        loss = objective.teacher_loss(batch)
        objective.remember(batch)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step % 500 == 0:
            log.info("head step %d, loss %.3f", step, loss.item())


def train(data: Path, work: Path, steps: int = STEPS) -> None:
    """Train for some steps; checkpoints ``WORK/head.pt`` (last map only) and ``WORK/image.pt``."""
    size = int(builtin.config()["preprocess_cfg"]["size"])
    photos, (visual, classifier) = load_photos(data), new_tower(data)
    objective = Objective(data, work, photos)
    if not (work / "head.pt").exists():
        from_classifier = classifier_map(classifier, objective.bank)
        weight = visual.head.proj.weight.data
        weight.copy_(14 * from_classifier)
        log.info("classifier only: %s", _scores(visual, data))
        train_head(visual, photos, objective, size)
        weight.add_(CLASSIFIER_SHARE * weight.norm() * from_classifier)  # what training forgot of it
        torch.save({"visual": visual.state_dict(), "objective": objective.state_dict()}, work / "head.pt")
        log.info("head only: %s", _scores(visual, data))
    start = load(work / "head.pt")
    visual.load_state_dict(start["visual"])
    objective.load_state_dict(start["objective"])
    tune(visual, photos, objective, data, work, steps)


def tune(visual: Any, photos: Photos, objective: Objective, data: Path, work: Path, steps: int) -> None:
    """Train end to end, but for the first stages."""
    size = int(builtin.config()["preprocess_cfg"]["size"])
    freeze_first_stages(visual)
    model = nn.ModuleDict({"visual": visual, "objective": objective})
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=3e-4, weight_decay=0.05)
    loop = Loop(model, optimizer, work / "image.pt", steps, warm_up=50, decay=0.998)
    sampler = Sampler(photos, objective, loop.step)
    for step in loop.run():
        numbers, (places, targets) = sampler.captioned(CAPTIONED), sampler.labelled(LABELLED)
        rows = [photos.captioned[i] for i in numbers] + [sampler.row(place) for place in places]
        rendered = sampler.styles()
        vectors = encode(visual, augmented(rows, rendered, size, sampler.rng))
        batch = objective.batch(vectors, numbers, rendered[:CAPTIONED], targets)
        loss = objective.teacher_loss(batch)
        objective.remember(batch)
        loop.update(loss)
        if step % 50 == 0:
            log.info("image step %d, %.1f min, loss %.3f", step, loop.seconds / 60, loss.item())
        if step % 400 == 399:
            log.info("image step %d: %s", step, _scores(loop.average["visual"], data))


def _scores(visual: Any, data: Path) -> str:
    return dev_scores.brief(dev_scores.image_figures(visual, data))
