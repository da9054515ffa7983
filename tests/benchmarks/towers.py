"""Image towers that fit into a package, side by side: ``python -m tests.benchmarks.towers --threads 2``.

All run in eager PyTorch in float32 on the same random pictures in the same rounds, in turn; times do not
depend on the weights, so these are random. The built-in model's tower comes at several sizes. Beside each
stands what a plain matrix product of as many multiplications takes: no tower can be faster than that.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import open_clip
import timm
import torch
from torch import nn

from photoclip.config import cpu_count
from photoclip.encoders import builtin

BATCH, ROUNDS = 32, 7
OTHERS = (
    "mobilenetv3_large_100",
    "efficientnet_lite0",
    "resnet18",
    "vit_tiny_patch16_224",
    "vit_small_patch32_224",
)


def multiplications(tower: nn.Module, size: int) -> float:
    """Multiplications of one picture, counted at convolutions and linear maps as they run."""
    total = 0.0

    def count(module: nn.Module, _: Any, output: torch.Tensor) -> None:
        nonlocal total
        weight: Any = module.weight
        total += output.numel() / weight.shape[0] * weight.numel()

    hooks = [m.register_forward_hook(count) for m in tower.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    tower(torch.zeros(1, 3, size, size))
    for hook in hooks:
        hook.remove()
    return total


def seconds(work: Callable[[], object]) -> float:
    """Return the seconds ``work`` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def product_rate() -> float:
    """Multiplications a second of a large matrix product."""
    left, right = torch.rand(2, 1024, 1024)
    return 1024**3 / statistics.median(seconds(lambda: left @ right) for _ in range(ROUNDS))


@torch.inference_mode()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=cpu_count())
    threads = parser.parse_args().threads
    torch.set_num_threads(threads)
    own = open_clip.create_model(builtin.register(), pretrained=str(builtin.WEIGHTS_PATH)).visual.eval()
    towers: list[tuple[str, nn.Module, int]] = [
        (f"built-in at {size} px", own, size) for size in (160, 192, 224)
    ]
    towers += [(name, timm.create_model(name).eval(), 224) for name in OTHERS]
    pictures = {size: torch.rand(BATCH, 3, size, size) for _, _, size in towers}
    times: dict[str, list[float]] = {name: [] for name, _, _ in towers}
    for turn in range(ROUNDS + 1):
        for name, tower, size in towers:
            spent = seconds(lambda tower=tower, size=size: tower(pictures[size]))  # type: ignore[misc]
            if turn:  # the first round warms up
                times[name].append(spent)
    rate = product_rate()
    print(
        f"{platform.processor() or platform.machine()}, {threads} threads, PyTorch {torch.__version__}, "
        f"batches of {BATCH}, {ROUNDS} rounds, medians"
    )
    print(f"{'tower':28}{'photos/s':>10}{'limit':>10}{'million':>12}{'MB fp16':>9}\n{'':48}{'products':>12}")
    for name, tower, size in towers:
        products, weights = multiplications(tower, size), sum(p.numel() for p in tower.parameters())
        speed = BATCH / statistics.median(times[name])
        print(f"{name:28}{speed:10.0f}{rate / products:10.0f}{products / 1e6:12.0f}{2 * weights / 1e6:9.1f}")


if __name__ == "__main__":
    main()
