"""Scores on the dev rows of the shards: retrieval on Flickr8k, tagging accuracy on the labelled shards."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from photoclip.training import labels, shards
from photoclip.training.teacher import Teacher

TAGGED = ("scene15", "houses", "clothing", "cats-and-dogs")
KEYWORDS = (
    "dog",
    "beach",
    "snow",
    "water",
    "bike",
    "football",
    "children",
    "mountain",
    "street",
    "ball",
    "grass",
    "swimming pool",
    "baby",
    "crowd",
    "skateboard",
    "boat",
    "horse",
    "basketball",
    "car",
)
EncodeTexts = Callable[[list[str]], Tensor]


@cache
def _rows(data: Path, source: str) -> list[shards.Row]:
    return shards.read_rows(data, source, "dev", pixels=True)


def retrieval(images: Tensor, texts: Tensor, per_image: int = 5) -> dict[str, float]:
    """Text-to-image R@1/5/10 and image-to-text R@1 in percent; texts are in the order of the photos."""
    similarity = texts @ images.T
    owner = torch.arange(len(texts)) // per_image
    own = similarity[torch.arange(len(texts)), owner]
    rank = (similarity > own[:, None]).sum(1)
    scores = {f"t2i@{k}": 100 * (rank < k).float().mean().item() for k in (1, 5, 10)}
    scores["i2t@1"] = 100 * (owner[similarity.argmax(0)] == torch.arange(len(images))).float().mean().item()
    return scores


def keyword_precision(images: Tensor, rows: list[shards.Row], encode_texts: EncodeTexts) -> float:
    """Mean precision at 5 of short queries; a photo is right when two of its captions hold the words."""
    hits: list[bool] = []
    for word, vector in zip(
        KEYWORDS, encode_texts([f"a photo of {labels.noun_phrase(word)}" for word in KEYWORDS]), strict=True
    ):
        best = (images @ vector).topk(5).indices.tolist()
        hits += [sum(f" {word}" in f" {text}" for text in rows[i].texts) >= 2 for i in best]
    return sum(map(float, hits)) / len(hits)


def accuracy(images: Tensor, rows: list[shards.Row], encode_texts: EncodeTexts) -> float:
    """Share of photos (percent) whose label is the nearest prompt."""
    names = sorted({row.label for row in rows})
    prompts = encode_texts([f"a photo of {labels.noun_phrase(name)}" for name in names])
    nearest = (images @ prompts.T).argmax(1).tolist()
    right: list[bool] = [names[i] == row.label for i, row in zip(nearest, rows, strict=True)]
    return 100 * sum(map(float, right)) / len(rows)


def scores(
    encode_images: Callable[[list[shards.Row]], Tensor], encode_texts: EncodeTexts, data: Path
) -> dict[str, float]:
    """All figures for a pair of encoders that return unit vectors."""
    rows = _rows(data, "flickr8k")
    images = encode_images(rows)
    result = retrieval(images, encode_texts([text for row in rows for text in row.texts]), len(rows[0].texts))
    result["keyword P@5"] = keyword_precision(images, rows, encode_texts)
    for source in TAGGED:
        result[source] = accuracy(encode_images(_rows(data, source)), _rows(data, source), encode_texts)
    return {name: round(value, 2) for name, value in result.items()}


@cache
def _teacher_texts() -> EncodeTexts:
    teacher, known = Teacher(), {}

    def encode(texts: list[str]) -> Tensor:
        key = tuple(texts)
        if key not in known:
            known[key] = teacher.encode(texts)
        vectors: Tensor = known[key]
        return vectors

    return encode


def image_scores(visual: Any, data: Path) -> dict[str, float]:
    """Scores of an image tower against the teacher's texts."""
    return scores(_image_encoder(visual), _teacher_texts(), data)


def joint_scores(visual: Any, model: Any, data: Path) -> dict[str, float]:
    """Scores of an image tower against a text tower."""
    from photoclip.training import text

    @torch.no_grad()
    def encode(texts: list[str]) -> Tensor:
        return torch.cat([text.encode(model, tokens) for tokens in torch.split(text.tokenize(texts), 256)])

    return scores(_image_encoder(visual), encode, data)


def _image_encoder(visual: Any) -> Callable[[list[shards.Row]], Tensor]:
    """Encoder of whole photos, squashed."""
    from photoclip.encoders import builtin
    from photoclip.training import image

    size = int(builtin.config()["preprocess_cfg"]["size"])

    @torch.no_grad()
    def encode(rows: list[shards.Row]) -> Tensor:
        parts = []
        for start in range(0, len(rows), 64):
            pixels = [image.squash(row.image, size) for row in rows[start : start + 64] if row.image]
            parts.append(image.encode(visual, image.normalize(image.to_tensor(pixels))))
        return torch.cat(parts)

    return encode


def shipped_scores(data: Path) -> dict[str, float]:
    """Scores of the shipped files, loaded and fed the way any OpenCLIP model is."""
    import open_clip

    from photoclip.encoders import builtin

    name = builtin.register()
    model, _, transform = open_clip.create_model_and_transforms(name, pretrained=str(builtin.WEIGHTS_PATH))
    tokenizer = open_clip.get_tokenizer(name)
    model.train(False)

    @torch.no_grad()
    def encode_images(rows: list[shards.Row]) -> Tensor:
        parts = [rows[start : start + 64] for start in range(0, len(rows), 64)]
        batches = [torch.stack([transform(row.image) for row in part]) for part in parts]
        return torch.cat([model.encode_image(batch, normalize=True) for batch in batches])

    @torch.no_grad()
    def encode_texts(texts: list[str]) -> Tensor:
        batches = torch.split(tokenizer(texts), 256)
        return torch.cat([model.encode_text(batch, normalize=True) for batch in batches])

    return scores(encode_images, encode_texts, data)
