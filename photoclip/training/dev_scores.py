"""The judge's figures while towers are being trained, on the dev rows of the shards."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from photoclip.encoders import builtin
from photoclip.records import Preprocessing
from photoclip.training import datasets, judge, text, tower
from photoclip.training.measures import Figure, Vectors
from photoclip.training.teacher import Teacher

if TYPE_CHECKING:
    from photoclip.training.judge import EncodeTexts


@cache
def _dev_sets(data: Path) -> tuple[Any, list[datasets.DataSet]]:
    """The data sets, and the scratch folder that lives as long as they do."""
    scratch = tempfile.TemporaryDirectory()
    return scratch, datasets.read(data, "dev", Path(scratch.name))


@cache
def _teacher_texts() -> EncodeTexts:
    """The teacher's text side; what it was asked once it knows."""
    teacher = Teacher()

    @cache
    def known(texts: tuple[str, ...]) -> Vectors:
        vectors: Vectors = teacher.encode(texts).cpu().numpy()
        return vectors

    return lambda texts: known(tuple(texts))


def image_figures(visual: Any, data: Path) -> dict[str, list[Figure]]:
    """Figures of an image tower against the teacher's texts, by data set."""
    return _figures(visual, _teacher_texts(), data)


def joint_figures(visual: Any, model: Any, data: Path) -> dict[str, list[Figure]]:
    """Figures of an image tower against a text tower, by data set."""

    @torch.no_grad()
    def encode(texts: Sequence[str]) -> Vectors:
        batches = torch.split(text.tokenize(list(texts)), 256)
        vectors: Vectors = torch.cat([text.encode(model, tokens) for tokens in batches]).cpu().numpy()
        return vectors

    return _figures(visual, encode, data)


def brief(results: dict[str, list[Figure]]) -> str:
    """The figures in percent, in one line."""
    return ", ".join(
        f"{name} {figure.name} {100 * figure.value:.1f}"
        for name, figures in results.items()
        for figure in figures
    )


def _figures(visual: Any, encode_texts: EncodeTexts, data: Path) -> dict[str, list[Figure]]:
    preprocess = builtin.config()["preprocess_cfg"]
    wanted = Preprocessing(preprocess["size"], preprocess["resize_mode"], preprocess["interpolation"])

    @torch.no_grad()
    def encode(pixels: NDArray[np.uint8]) -> Vectors:
        images = torch.from_numpy(pixels).to(torch.get_default_device()).permute(0, 3, 1, 2).float() / 255
        vectors: Vectors = tower.encode(visual, tower.normalize(images)).cpu().numpy()
        return vectors

    return {
        data_set.name: judge.scores(data_set, wanted, encode, encode_texts) for data_set in _dev_sets(data)[1]
    }
