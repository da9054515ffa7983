"""Train both towers together for a short while, so that the shipped towers fit each other."""

from __future__ import annotations

import logging
import random
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from photoclip.encoders import builtin
from photoclip.training import dev_scores, image, labels, shards, text, tower
from photoclip.training.loop import Loop, load
from photoclip.training.objective import Batch, Names, Objective, contrast, load_photos

STEPS, WHOLE_STEPS = 950, 120  # in all; of these, the first with all stages
OTHER_CAPTIONS, OTHER_NAMES = 128, 96  # further texts per step, as wrong answers
TEACHER_WEIGHT, TEXT_WEIGHT = 0.5, 1.0
log = logging.getLogger(__name__)


class TextSide:
    """Tokens of everything the text tower reads during the polish."""

    def __init__(self, objective: Objective, photos: list[shards.Row], work: Path) -> None:
        self.captions = [text.tokenize(row.texts) for row in photos]
        self.prompts = torch.stack(
            [text.tokenize(labels.prompts(name)) for name in objective.names], dim=1
        )  # (templates, names, 32)
        self.rng = random.Random(0)
        self.distil = text.batches(text.load_tokens(work), self.rng)

    def caption(self, number: int) -> Tensor:
        """Tokens of a random caption of a photo."""
        return self.captions[number][self.rng.randrange(len(self.captions[number]))]


def _caption_loss(
    objective: Objective, side: TextSide, model: Any, images: Tensor, numbers: list[int]
) -> Tensor:
    """Symmetric contrastive loss between both towers."""
    others = [side.rng.randrange(len(side.captions)) for _ in range(OTHER_CAPTIONS)]
    texts = text.encode(model, torch.stack([side.caption(n) for n in numbers + others]))
    owner, text_owner = torch.tensor(numbers), torch.tensor(numbers + others)
    logits = objective.caption_scale.exp().clamp(max=60) * images @ texts.T
    return 0.5 * (contrast(logits, owner, text_owner) + contrast(logits[:, : len(numbers)].T, owner, owner))


def _names(objective: Objective, side: TextSide, model: Any, batch: Batch) -> Names:
    """The names of this step and some others, with their vectors by the text tower."""
    others = side.rng.sample(range(len(objective.names)), OTHER_NAMES)
    chosen = sorted({*objective.wanted(batch), *others})
    return Names(chosen, text.encode(model, side.prompts[side.rng.randrange(len(side.prompts)), chosen]))


def train(data: Path, work: Path, steps: int = STEPS) -> None:
    """Train for some steps, from ``image.pt`` and ``text.pt``; checkpoint ``WORK/polish.pt``."""
    size = int(builtin.config()["preprocess_cfg"]["size"])
    photos = load_photos(data)
    objective, visual = Objective(data, work, photos), tower.new_tower(data)[0]
    words = text.new_model()
    words.visual = nn.Identity()
    model = nn.ModuleDict({"visual": visual, "objective": objective, "text": words})
    towers = load(work / "image.pt")["average"]
    towers |= {f"text.{name}": value for name, value in load(work / "text.pt")["average"].items()}
    model.load_state_dict(towers)
    words.logit_scale.requires_grad_(False)
    visual_parameters = [
        p for name, p in model.named_parameters() if p.requires_grad and not name.startswith("text.")
    ]
    groups: list[dict[str, Any]] = [
        {"params": visual_parameters, "lr": 1e-4},
        {"params": text.text_parameters(words), "lr": 2e-4},
    ]
    loop = Loop(
        model,
        torch.optim.AdamW(groups, weight_decay=0.05),
        work / "polish.pt",
        steps,
        warm_up=50,
        decay=0.99,
    )
    sampler, side = image.Sampler(photos, objective, loop.step), TextSide(objective, photos.captioned, work)
    for step in loop.run():
        tower.freeze_first_stages(visual, step >= WHOLE_STEPS)
        numbers, (places, targets) = sampler.captioned(image.CAPTIONED), sampler.labelled(image.LABELLED)
        rows = [photos.captioned[i] for i in numbers] + [sampler.row(place) for place in places]
        rendered = sampler.styles()
        vectors = tower.encode(visual, tower.augmented(rows, rendered, size, sampler.rng))
        batch = objective.batch(vectors, numbers, rendered[: image.CAPTIONED], targets)
        both = _caption_loss(objective, side, words, batch.seen, numbers)
        both = both + objective.name_loss(batch, _names(objective, side, words, batch))
        alone = objective.teacher_loss(batch)
        objective.remember(batch)
        tokens, vectors = next(side.distil)
        distance = text.distillation_loss(text.encode(words, tokens), vectors)
        loop.update(both + TEACHER_WEIGHT * alone + TEXT_WEIGHT * distance)
        if step % 25 == 0:
            losses = [round(loss.item(), 3) for loss in (both, alone, distance)]
            log.info("polish step %d, %.1f min, losses %s", step, loop.seconds / 60, losses)
        if step % 150 == 149:
            scores = dev_scores.joint_figures(loop.average["visual"], loop.average["text"], data)
            log.info("polish step %d: %s", step, dev_scores.brief(scores))
