"""A second teacher: Google's MobileNetV2 classifier guesses which ImageNet classes captioned photos show.

Its guesses are cached in ``WORK/classes.pt`` and become occasional labels of photos that have none, so that
things our captions never mention stay findable.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from photoclip.encoders import builtin
from photoclip.training import backbone, loop, shards

SIZE = 224  # px
TOP = 8  # classes kept per photo


def load(data: Path) -> Any:
    """The classifier in float32, batch norms folded: (N, 3, 224, 224) in -1..1 -> (N, 1000) logits."""
    import timm

    builtin.register()
    network = timm.create_model("photoclip_mobilenetv2", num_classes=1000).eval()
    weight, bias = backbone.load_start(network, data, (0.5,) * 3, (0.5,) * 3)
    network.classifier.weight, network.classifier.bias = nn.Parameter(weight), nn.Parameter(bias)
    return network.to(memory_format=torch.channels_last)


@torch.no_grad()
def classify(network: Any, rows: list[shards.Row]) -> tuple[Tensor, Tensor]:
    """Probabilities and numbers of the likeliest classes, each (N, 8); the probabilities sum to one."""
    from photoclip.training.tower import squash, to_tensor

    found = []
    for start in range(0, len(rows), 32):
        pixels = to_tensor([squash(row.image, SIZE) for row in rows[start : start + 32] if row.image])
        with torch.autocast(pixels.device.type, torch.bfloat16):
            logits = network((2 * pixels - 1).contiguous(memory_format=torch.channels_last))
        found.append(logits.float().softmax(1).topk(TOP))
    values = torch.cat([item.values for item in found])
    return values / values.sum(1, keepdim=True), torch.cat([item.indices for item in found])


def captioned_classes(data: Path, work: Path, rows: list[shards.Row]) -> tuple[Tensor, Tensor]:
    """:func:`classify` of the captioned photos, cached in ``WORK/classes.pt``."""
    cache = work / "classes.pt"
    if not cache.exists():
        torch.save(classify(load(data), rows), cache)
    probabilities, numbers = loop.load(cache)
    return probabilities, numbers
