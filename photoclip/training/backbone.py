"""The image tower's start values (Google's MobileNetV2 classifier), batch norms folded for the training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from photoclip.training import tflite

FILE = Path("start-weights") / "mobilenet_v2_1.0_224_quant.tflite"
START_MEAN = START_STD = 0.5
_LAYERS = {
    "DepthwiseSeparableConv": (("conv_dw", "bn1"), ("conv_pw", "bn2")),
    "InvertedResidual": (("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3")),
}


def pairs(trunk: Any) -> Iterator[tuple[Any, str, str]]:
    """(parent, name of a convolution, name of its batch norm), in the order of the network."""
    yield trunk, "conv_stem", "bn1"
    for stage in trunk.blocks:
        for block in stage:
            for conv, norm in _LAYERS[type(block).__name__]:
                yield block, conv, norm
    yield trunk, "conv_head", "bn2"


@torch.no_grad()
def load_start(
    trunk: Any, data: Path, mean: tuple[float, ...], std: tuple[float, ...]
) -> tuple[Tensor, Tensor]:
    """Fill the trunk for images normalised with ``mean`` and ``std``; fold its batch norms away.

    Returns the classifier that came with it: weight (1000, 1280) and bias (1000,).
    """
    *layers, classifier = tflite.convolutions(data / FILE)
    for (parent, conv_name, norm_name), values in zip(pairs(trunk), layers, strict=True):
        conv, norm = getattr(parent, conv_name), getattr(parent, norm_name)
        conv.weight.copy_(torch.from_numpy(values.weight))
        conv.bias = nn.Parameter(torch.from_numpy(values.bias).to(conv.weight.device))
        active = isinstance(norm.act, nn.ReLU6)
        setattr(parent, norm_name, nn.ReLU6(inplace=True) if active else nn.Identity())
    # What it wants is x * scale + shift.
    scale, shift = torch.tensor(std) / START_STD, (torch.tensor(mean) - START_MEAN) / START_STD
    stem = trunk.conv_stem
    stem.bias += (stem.weight * shift[:, None, None]).sum((1, 2, 3))
    stem.weight.mul_(scale[:, None, None])
    weight, bias = torch.from_numpy(classifier.weight), torch.from_numpy(classifier.bias)
    return weight[1:, :, 0, 0].to(stem.weight.device), bias[1:].to(stem.weight.device)  # 0 is the background


def unfolded_state(trunk: Any, eps: float = 1e-5) -> dict[str, Tensor]:
    """State dict of the folded trunk in the layout with batch norms (which then only add the biases)."""
    names = {id(module): name for name, module in trunk.named_modules()}
    state: dict[str, Tensor] = {}
    for parent, conv_name, norm_name in pairs(trunk):
        prefix = f"{names[id(parent)]}." if names[id(parent)] else ""
        conv = getattr(parent, conv_name)
        bias = conv.bias.detach().clone()
        state[f"{prefix}{conv_name}.weight"] = conv.weight.detach().clone()
        norm = {
            "weight": torch.ones_like(bias),
            "bias": bias,
            "running_mean": torch.zeros_like(bias),
            "running_var": torch.full_like(bias, 1 - eps),
            "num_batches_tracked": torch.tensor(0),
        }
        state |= {f"{prefix}{norm_name}.{part}": value for part, value in norm.items()}
    return state
