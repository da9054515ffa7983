"""The image tower in training: how it starts, how photos are made into its input, and how it is run."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from photoclip.encoders import builtin
from photoclip.training import backbone, shards, styles
from photoclip.training.text import new_model

FROZEN_STAGES = 3  # of seven, most of the time; they cost most of it and hold the least


def new_tower(data: Path) -> tuple[Any, Tensor]:
    """The image tower with the start weights (last map random), and their classifier."""
    visual = new_model().visual.eval()
    preprocess = builtin.config()["preprocess_cfg"]
    classifier, _ = backbone.load_start(visual.trunk, data, preprocess["mean"], preprocess["std"])
    return visual.to(memory_format=torch.channels_last), classifier


def to_tensor(pixels: list[Image.Image]) -> Tensor:
    """(N, 3, H, W) float32 in 0..1, channels last, from images of one size."""
    stacked = torch.from_numpy(np.stack([np.asarray(image) for image in pixels]))
    return stacked.to(torch.get_default_device()).permute(0, 3, 1, 2).float() / 255


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
    """Random brightness, contrast and colour balance."""
    count = len(images)
    brightness, contrast = torch.empty(2, count, 1, 1, 1).uniform_(0.75, 1.3)
    balance = torch.empty(count, 3, 1, 1).uniform_(0.93, 1.07)
    images = images * brightness * balance
    mean = images.mean((1, 2, 3), keepdim=True)
    adjusted: Tensor = (images - mean) * contrast + mean
    return adjusted.clamp(0, 1)


def encode(visual: Any, images: Tensor) -> Tensor:
    """Unit vectors (N, 384) of normalised images."""
    with torch.autocast(images.device.type, torch.bfloat16):
        hidden = visual.trunk(images.contiguous(memory_format=torch.channels_last))
    vectors: Tensor = functional.normalize(visual.head(hidden.float()), dim=-1)
    return vectors


@torch.no_grad()
def features(visual: Any, rows: list[shards.Row], size: int) -> Tensor:
    """Pooled features (N, 1280) of whole photos."""
    out = []
    for start in range(0, len(rows), 64):
        images = normalize(
            to_tensor([squash(row.image, size) for row in rows[start : start + 64] if row.image])
        )
        with torch.autocast(images.device.type, torch.bfloat16):
            out.append(visual.trunk(images.contiguous(memory_format=torch.channels_last)).float())
    return torch.cat(out)


def augmented(rows: list[shards.Row], rendered: list[str], size: int, rng: random.Random) -> Tensor:
    """Random, jittered, normalised parts of the photos, in their styles (or ""), (N, 3, size, size)."""
    parts = [random_crop(row.image, size, rng) for row in rows if row.image]
    for i, style in enumerate(rendered):
        if style:
            parts[i] = styles.render(parts[i], style, rng)
    return normalize(jitter(to_tensor(parts)))


def freeze_first_stages(visual: Any, frozen: bool = True) -> None:
    """Take the gradients off the first stages, or give them back."""
    for module in (visual.trunk.conv_stem, *visual.trunk.blocks[:FROZEN_STAGES]):
        module.requires_grad_(not frozen)
