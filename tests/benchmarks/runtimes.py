"""What runs an image tower fastest on one core: ``python -m tests.benchmarks.runtimes``.

The same weights through PyTorch (eager, compiled, in bfloat16), ONNX Runtime and OpenVINO, in turn and in the
same rounds, with what each differs from eager float32. What is not installed is left out
(``pip install openvino onnxruntime onnx onnxscript``). The limit is a large matrix product of as many
multiplications, in float32.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import open_clip
import torch

from photoclip.encoders import builtin, cpu
from tests.benchmarks.report import ROUNDS, machine, median, table
from tests.benchmarks.towers import multiplications, product_rate

BATCH = 16
Run = Callable[[Any], Any]


def eager(tower: Any, _: Any) -> Run:
    """Return the tower itself."""
    return tower


def compiled(tower: Any, _: Any) -> Run:
    """Return the tower through torch.compile, which needs a C++ compiler."""
    return torch.compile(tower)


def bfloat16(tower: Any, _: Any) -> Run:
    """Return the tower with weights and activations in bfloat16."""
    return cpu._bfloat16(tower)


def openvino(kind: str) -> Callable[[Any, Any], Run]:
    """Return what makes the tower through OpenVINO."""
    return lambda tower, example: cpu._openvino(tower, example.shape[-1], 1, kind)


def onnx(tower: Any, example: Any) -> Run:
    """Return the tower through ONNX Runtime."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "tower.onnx")
        torch.onnx.export(tower, (example,), path, dynamo=True, input_names=["pictures"], verbose=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda pictures: torch.tensor(session.run(None, {"pictures": pictures.numpy()})[0])


WAYS: dict[str, Callable[[Any, Any], Run]] = {
    "PyTorch, eager": eager,
    "PyTorch, torch.compile": compiled,
    "PyTorch, bfloat16": bfloat16,
    "ONNX Runtime": onnx,
    "OpenVINO, f32": openvino("f32"),
    "OpenVINO, bf16": openvino("bf16"),
}


def tower_of(name: str) -> tuple[Any, int]:
    """Return an image tower, and the side of its pictures in pixels."""
    if name == "builtin":
        model = open_clip.create_model(builtin.register(), pretrained=str(builtin.WEIGHTS_PATH))
    else:
        torch.manual_seed(0)
        model = open_clip.create_model(name)
    size = model.visual.image_size
    return model.visual.eval().requires_grad_(False), size if isinstance(size, int) else size[0]


def measure(name: str, rounds: int) -> Sequence[Sequence[str]]:
    """Return the rows of the table for one model."""
    tower, size = tower_of(name)
    pictures = torch.randn(BATCH, 3, size, size, generator=torch.Generator().manual_seed(1))
    right = tower(pictures)
    runs: dict[str, tuple[Run, float]] = {}
    for way, make in WAYS.items():
        began = time.perf_counter()
        try:
            run = make(tower, pictures)
            run(pictures)
        except (ImportError, RuntimeError) as error:
            print(f"{name}: {way} left out: {str(error).splitlines()[0]}")
            continue
        runs[way] = run, time.perf_counter() - began
    times: dict[str, list[float]] = {way: [] for way in runs}
    for _ in range(rounds):
        for way, (run, _) in runs.items():
            began = time.process_time()
            run(pictures)
            times[way].append((time.process_time() - began) / BATCH)
    rows = []
    for way, (run, ready) in runs.items():
        cosine = torch.nn.functional.cosine_similarity(run(pictures).float(), right).min()
        figures = f"{1000 * median(times[way]):.1f}", f"{max(0.0, 1 - float(cosine)):.0e}", f"{ready:.1f}"
        rows.append((f"{name}: {way}", *figures))
    limit = multiplications(tower, size) / product_rate()
    return [*rows, (f"{name}: limit in float32", f"{1000 * limit:.1f}", "", "")]


@torch.inference_mode()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["ViT-B-32", "builtin"])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    print(machine("torch", "onnxruntime", "openvino"))
    print(f"one core, batches of {BATCH}, medians of {arguments.rounds} rounds in turn")
    rows = [row for name in arguments.models for row in measure(name, arguments.rounds)]
    table(("tower", "CPU ms a picture", "1 - cosine", "s to make"), rows)


if __name__ == "__main__":
    main()
