"""Train the image tower towards the teacher's sentence space: first its last map, then the rest of it."""

from __future__ import annotations

import logging
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from photoclip.encoders import builtin
from photoclip.training import backbone, judge, shards
from photoclip.training.loop import Loop
from photoclip.training.objective import LABELLED_SHARES, Bank, Objective, Photos, Target, load_photos
from photoclip.training.text import new_model

CAPTIONED, LABELLED = 64, 48  # photos per step
LABEL_WEIGHT, SEARCH_WEIGHT = 0.4, 0.2  # of naming labelled photos, and of finding them by name
GUESS_WEIGHT = 0.3  # of the second teacher's labels for captioned photos
PEOPLE_WEIGHT, ROLES_WEIGHT = 0.1, 0.3
CLASSIFIER_SHARE = 0.4  # of the classifier's map in the trained last map
IMAGENET = ("imagenet1k-sample", "tiny-imagenet")
FROZEN_STAGES = 3  # of seven; they cost most of the time and hold the least
HEAD_STEPS = 1200
log = logging.getLogger(__name__)

Place = tuple[str, int]
"""A labelled photo: shard and number."""


def new_tower(data: Path) -> tuple[Any, Tensor]:
    """The image tower with the start weights (last map random), and their classifier."""
    visual = new_model().visual.eval()
    preprocess = builtin.config()["preprocess_cfg"]
    classifier, _ = backbone.load_start(visual.trunk, data, preprocess["mean"], preprocess["std"])
    return visual.to(memory_format=torch.channels_last), classifier


@torch.no_grad()
def classifier_map(classifier: Tensor, bank: Bank) -> Tensor:
    """A last map (384, 1280) made of the classifier: every class pulls towards the mean of its names."""
    mean = functional.normalize(bank.vectors.mean(0), dim=-1)
    targets = torch.stack(
        [functional.normalize(mean[bank.right[key]].mean(0), dim=-1) for key in bank.imagenet]
    )
    weight = (targets - targets.mean(0)).T @ (classifier - classifier.mean(0))
    return functional.normalize(weight.flatten(), dim=0).view_as(weight)


def to_tensor(pixels: list[Image.Image]) -> Tensor:
    """(N, 3, H, W) float32 in 0..1, channels last, from images of one size."""
    return (
        torch.from_numpy(np.stack([np.asarray(image) for image in pixels])).permute(0, 3, 1, 2).float() / 255
    )


def normalize(images: Tensor) -> Tensor:
    """Normalise images in 0..1 for the tower."""
    preprocess = builtin.config()["preprocess_cfg"]
    mean, std = torch.tensor(preprocess["mean"]), torch.tensor(preprocess["std"])
    return (images - mean[:, None, None]) / std[:, None, None]


def squash(image: Image.Image, size: int) -> Image.Image:
    """The whole photo as a square."""
    return image.resize((size, size), Image.Resampling.BICUBIC)


def random_crop(image: Image.Image, size: int, rng: random.Random) -> Image.Image:
    """A random part of the photo (half of it or more, sides 3:4 to 4:3), perhaps mirrored."""
    area = rng.uniform(0.5, 1.0)
    ratio = math.exp(rng.uniform(-0.29, 0.29))
    width = min(math.sqrt(area * ratio), 1.0) * image.width
    height = min(math.sqrt(area / ratio), 1.0) * image.height
    left, top = rng.uniform(0, image.width - width), rng.uniform(0, image.height - height)
    part = image.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + width, top + height))
    return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else part


def jitter(images: Tensor) -> Tensor:
    """Random brightness, contrast and colour balance; every tenth photo turns grey."""
    count = len(images)
    brightness, contrast = torch.empty(2, count, 1, 1, 1).uniform_(0.75, 1.3)
    balance = torch.empty(count, 3, 1, 1).uniform_(0.93, 1.07)
    images = images * brightness * balance
    images = (images - images.mean((1, 2, 3), keepdim=True)) * contrast + images.mean((1, 2, 3), keepdim=True)
    grey = images.mean(1, keepdim=True).expand_as(images)
    return torch.where(torch.rand(count, 1, 1, 1) < 0.1, grey, images).clamp(0, 1)


def encode(visual: Any, images: Tensor) -> Tensor:
    """Unit vectors (N, 384) of normalised images; no gradients below the trained stages."""
    trunk = visual.trunk
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad():
            hidden = trunk.bn1(trunk.conv_stem(images.contiguous(memory_format=torch.channels_last)))
            for stage in trunk.blocks[:FROZEN_STAGES]:
                hidden = stage(hidden)
        for stage in trunk.blocks[FROZEN_STAGES:]:
            hidden = stage(hidden)
        hidden = trunk.forward_head(trunk.bn2(trunk.conv_head(hidden)))
    return functional.normalize(visual.head(hidden.float()), dim=-1)


@torch.no_grad()
def features(visual: Any, rows: list[shards.Row], size: int) -> Tensor:
    """Pooled features (N, 1280) of whole photos."""
    out = []
    for start in range(0, len(rows), 64):
        images = normalize(
            to_tensor([squash(row.image, size) for row in rows[start : start + 64] if row.image])
        )
        with torch.autocast("cpu", torch.bfloat16):
            out.append(visual.trunk(images.contiguous(memory_format=torch.channels_last)).float())
    return torch.cat(out)


def augmented(rows: list[shards.Row], size: int, rng: random.Random) -> Tensor:
    """Random, jittered, normalised parts of the photos, (N, 3, size, size)."""
    return normalize(jitter(to_tensor([random_crop(row.image, size, rng) for row in rows if row.image])))


def freeze_first_stages(visual: Any) -> None:
    """Take the gradients off the stages that stay as they are."""
    for module in (visual.trunk.conv_stem, *visual.trunk.blocks[:FROZEN_STAGES]):
        module.requires_grad_(False)


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

    def row(self, place: Place) -> shards.Row:
        """The row at a place."""
        return self.photos.labelled[place[0]][place[1]]


def name_loss(
    objective: Objective,
    seen: Tensor,
    numbers: list[int],
    tagged: Tensor,
    targets: list[Target],
    chosen: list[int],
    vectors: Tensor,
) -> Tensor:
    """All losses that need the vectors of names (``chosen`` holds all roles and the names of the targets)."""
    place = {name: i for i, name in enumerate(chosen)}
    own = vectors[[place[name] for _, name in targets]]
    roles = vectors[[place[role] for role in objective.bank.roles]]
    return (
        LABEL_WEIGHT * objective.labels(tagged, targets, chosen, vectors)
        + SEARCH_WEIGHT * objective.search(tagged, targets, seen, numbers, own)
        + PEOPLE_WEIGHT * objective.people(seen, numbers, chosen, vectors)
        + ROLES_WEIGHT * objective.roles(tagged, targets, seen, numbers, roles)
    )


def teacher_loss(
    objective: Objective, seen: Tensor, numbers: list[int], tagged: Tensor, targets: list[Target]
) -> Tensor:
    """All losses of the image tower against the teacher's vectors."""
    names, vectors = list(range(len(objective.bank.names))), objective.prompt_vectors()
    return (
        objective.captions(seen, numbers)
        + GUESS_WEIGHT * objective.labels(seen, objective.guesses(numbers), names, vectors)
        + name_loss(objective, seen, numbers, tagged, targets, names, vectors)
    )


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
        seen = functional.normalize(visual.head(captioned[numbers]), dim=-1)
        stacked = torch.stack([labelled[source][i] for source, i in places])
        tagged = functional.normalize(visual.head(stacked), dim=-1)
        loss = teacher_loss(objective, seen, numbers, tagged, targets)
        objective.remember(seen, numbers, tagged, targets)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step % 500 == 0:
            log.info("head step %d, loss %.3f", step, loss.item())


def train(data: Path, work: Path, minutes: float) -> None:
    """Train for some minutes in all; checkpoints ``WORK/head.pt`` (last map only) and ``WORK/image.pt``."""
    size = int(builtin.config()["preprocess_cfg"]["size"])
    photos, (visual, classifier) = load_photos(data), new_tower(data)
    objective = Objective(data, work, photos)
    if not (work / "head.pt").exists():
        from_classifier = classifier_map(classifier, objective.bank)
        weight = visual.head.proj.weight.data
        weight.copy_(14 * from_classifier)
        log.info("classifier only: %s", judge.image_scores(visual, data))
        train_head(visual, photos, objective, size)
        weight.add_(CLASSIFIER_SHARE * weight.norm() * from_classifier)  # what training forgot of it
        torch.save({"visual": visual.state_dict(), "objective": objective.state_dict()}, work / "head.pt")
        log.info("head only: %s", judge.image_scores(visual, data))
    start = torch.load(work / "head.pt")
    visual.load_state_dict(start["visual"])
    objective.load_state_dict(start["objective"])
    tune(visual, photos, objective, data, work, minutes)


def tune(visual: Any, photos: Photos, objective: Objective, data: Path, work: Path, minutes: float) -> None:
    """Train end to end, but for the first stages."""
    size = int(builtin.config()["preprocess_cfg"]["size"])
    freeze_first_stages(visual)
    model = nn.ModuleDict({"visual": visual, "objective": objective})
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=3e-4, weight_decay=0.05)
    loop = Loop(model, optimizer, work / "image.pt", minutes, warm_up=50)
    sampler = Sampler(photos, objective, loop.step)
    for step in loop.run():
        numbers, (places, targets) = sampler.captioned(CAPTIONED), sampler.labelled(LABELLED)
        rows = [photos.captioned[i] for i in numbers] + [sampler.row(place) for place in places]
        vectors = encode(visual, augmented(rows, size, sampler.rng))
        seen, tagged = vectors[:CAPTIONED], vectors[CAPTIONED:]
        loss = teacher_loss(objective, seen, numbers, tagged, targets)
        objective.remember(seen, numbers, tagged, targets)
        loop.update(loss)
        if step % 50 == 0:
            log.info("image step %d, %.1f min, loss %.3f", step, loop.spent / 60, loss.item())
        if step % 400 == 399:
            log.info("image step %d: %s", step, judge.image_scores(loop.average["visual"], data))
