"""Distil the small text tower from the teacher: cosine plus agreement of the similarities within a batch."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from photoclip.encoders import builtin
from photoclip.training import corpus
from photoclip.training.loop import Loop, load
from photoclip.training.teacher import Teacher

STEPS, BATCH = 6400, 256
SHARES = {"captions": 0.3, "spans": 0.1, "words": 0.25, "prompts": 0.15, "phrases": 0.2}
SCALE = 20.0  # of similarities within a batch
log = logging.getLogger(__name__)


def new_model() -> Any:
    """A randomly initialised built-in model (an OpenCLIP ``CLIP``), in float32."""
    import open_clip

    torch.manual_seed(0)
    return open_clip.create_model(builtin.register(), device=torch.get_default_device())


def text_parameters(model: Any) -> list[nn.Parameter]:
    """Parameters of the text tower."""
    return [
        p for name, p in model.named_parameters() if not name.startswith("visual.") and name != "logit_scale"
    ]


def encode(model: Any, tokens: Tensor) -> Tensor:
    """Unit vectors of shape (N, 384); as ``model.encode_text``, but only over the columns in use.

    The mask is causal and the vector is read at the last token, so that the padding after it changes nothing.
    """
    width = int(tokens.argmax(1).max()) + 1
    tokens = tokens[:, :width]
    with torch.autocast(tokens.device.type, torch.bfloat16):
        hidden = model.token_embedding(tokens) + model.positional_embedding[:width]
        hidden = model.transformer(hidden, attn_mask=model.attn_mask[:width, :width])
    pooled = model.ln_final(hidden[torch.arange(len(tokens)), tokens.argmax(1)].float())
    return functional.normalize(pooled @ model.text_projection, dim=-1)


@torch.no_grad()
def start_token_table(model: Any, teacher: Teacher) -> None:
    """Start the token table from the teacher's vectors of the tokens' strings, reduced by PCA."""
    import open_clip

    decoder = open_clip.get_tokenizer(builtin.NAME).decoder
    table = model.token_embedding.weight
    vectors = teacher.encode([decoder[i].replace("</w>", "") for i in range(len(table))])
    vectors -= vectors.mean(0)
    _, _, directions = torch.linalg.svd(vectors, full_matrices=False)
    reduced = vectors @ directions[: table.shape[1]].T
    table.copy_(0.1 * reduced / reduced.std())


def tokenize(texts: list[str]) -> Tensor:
    """Token numbers, (N, 32) int64."""
    import open_clip

    tokens: Tensor = open_clip.get_tokenizer(builtin.register())(texts)
    return tokens.to(torch.get_default_device())


def load_tokens(work: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Tokens and teacher vectors per group, from a cache beside the corpus."""
    cache = work / "tokens.pt"
    if not cache.exists():
        torch.save(
            {
                name: (tokenize(texts).short(), vectors)
                for name, (texts, vectors) in corpus.load(work).items()
            },
            cache,
        )
    loaded: dict[str, tuple[Tensor, Tensor]] = load(cache)
    return loaded


def batches(groups: dict[str, tuple[Tensor, Tensor]], rng: random.Random) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless (tokens, teacher vectors) of texts of about the same length, groups mixed by their shares."""
    while True:
        drawn = [
            (name, rng.randrange(len(groups[name][0])))
            for name in rng.choices(list(SHARES), list(SHARES.values()), k=8 * BATCH)
        ]
        tokens = torch.stack([groups[name][0][i] for name, i in drawn]).long()
        targets = torch.stack([groups[name][1][i] for name, i in drawn]).float()
        order = tokens.argmax(1).argsort()
        for chunk in sorted(torch.split(order, BATCH), key=lambda _: rng.random()):
            yield tokens[chunk], targets[chunk]


def distillation_loss(vectors: Tensor, targets: Tensor) -> Tensor:
    """Distance to the teacher's vectors, and to its similarities within the batch."""
    wanted = functional.softmax(SCALE * targets @ targets.T, dim=1)
    got = functional.log_softmax(SCALE * vectors @ targets.T, dim=1)
    relations = functional.kl_div(got, wanted, reduction="batchmean")
    return 2.0 * (1 - (vectors * targets).sum(1)).mean() + relations


def train(work: Path, steps: int = STEPS) -> None:
    """Train for some steps; the checkpoint is ``WORK/text.pt``."""
    model = new_model()
    groups = load_tokens(work)
    if not (work / "text.pt").exists():
        start_token_table(model, Teacher())
    model.visual = nn.Identity()
    optimizer = torch.optim.AdamW(text_parameters(model), lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01)
    loop = Loop(model, optimizer, work / "text.pt", steps)
    held_out = {
        name: (tokens[::97][:512].long(), vectors[::97][:512].float())
        for name, (tokens, vectors) in groups.items()
    }
    source = batches(groups, random.Random(loop.step))
    for step in loop.run():
        tokens, targets = next(source)
        loss = distillation_loss(encode(model, tokens), targets)
        loop.update(loss)
        if step % 250 == 0:
            scores = {name: f"{_cosine(loop.average, *pair):.3f}" for name, pair in held_out.items()}
            log.info(
                "text step %d, %.1f min, loss %.3f, cosine %s", step, loop.seconds / 60, loss.item(), scores
            )


@torch.no_grad()
def _cosine(model: Any, tokens: Tensor, targets: Tensor) -> float:
    """Mean cosine to the teacher."""
    return float((encode(model, tokens) * targets).sum(1).mean())
