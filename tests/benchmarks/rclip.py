"""The search command of rclip 3.3.0, made ready to be timed offline beside photoclip's.

What rclip runs is its own code, unchanged, and so is its database: rclip's class makes and fills it. Only two
things stand in for others:

* The text model has random weights, because no time depends on them. It is exported as rclip's author
  exports it: the text tower of OpenCLIP's ViT-B-32-256 in float32, by the TorchScript exporter with opset
  18, from "input" (int64, batch x 77) to "output" (float32, batch x 512). rclip checks no hash of it. With
  PyTorch 2.15 the file has the 254,344,274 bytes of the published one.
* The image model is an empty file. A search by words looks whether the file is there and never opens it.

The photos do not exist: with ``--no-indexing``, the fastest search rclip offers, it looks at no photo. The
vectors are those of the libraries in ``tests.benchmarks.libraries``.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import warnings
from pathlib import Path

from tests.benchmarks.neighbours import photo_like

VERSION = "3.3.0"
_ARCHITECTURE = "ViT-B-32-256"
_MODELS = "ViT-B-32-256-datacomp_s34b_b86k"
_VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"
_BATCH = 5_000
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")

_FILL = """
import hashlib, os, sys
from importlib import metadata
from rclip.db import DB, NewImage

version, database, photos = sys.argv[1:]
if metadata.version("rclip") != version:
    sys.exit(f"rclip is {metadata.version('rclip')} there, not {version}")
made = DB(database)
number = 0
while vector := sys.stdin.buffer.read(4 * 512):
    month = f"{2000 + number // 6000:04}-{1 + number // 500 % 12:02}"
    path = os.path.join(photos, month, f"IMG_{number:07}.JPG")
    digest = hashlib.sha256(path.encode()).hexdigest()
    size, modified = 3_000_000 + number, 1.5e9 + number
    image = NewImage(filepath=path, modified_at=modified, size=size, vector=vector, hash=digest)
    made.upsert_image(image, commit=False)
    number += 1
made.close()
"""
"""Run by rclip's Python: records the vectors of its input as rclip records those of the photos it indexes."""


def prepare(python: str, folder: Path, count: int) -> tuple[list[str], dict[str, str]]:
    """Return the command that searches ``count`` photos, to be ended with the words, and its environment.

    ``python`` is the interpreter of an environment with rclip 3.3.0. Everything lies in ``folder``, made if
    need be, and has to stay there, because the database holds whole paths. Nothing else is written to.

    rclip searches the folder it is started in, so a shell goes there first and then becomes rclip (about a
    millisecond). The number of threads is left to rclip.
    """
    place = folder.resolve() / f"rclip-{count}"
    data, photos = place / "data", place / "photos"
    if not place.exists():
        model = _text_model(folder.resolve())
        unfinished = place.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        (unfinished / "photos").mkdir(parents=True)
        _put_models(unfinished / "data", model)
        _fill(python, unfinished / "data" / "db.sqlite3", photos, count)
        unfinished.rename(place)
    program = Path(python).absolute().parent / "rclip"
    line = ["/bin/sh", "-c", f'cd {shlex.quote(str(photos))} && exec "$0" "$@"', str(program)]
    env = {name: value for name, value in os.environ.items() if name not in _THREADS}
    env |= {"RCLIP_DATADIR": str(data), "HF_HUB_OFFLINE": "1"}
    return [*line, "--no-indexing", "--top", "10"], env


def _text_model(folder: Path) -> Path:
    """Return the file of a text model with random weights, made if need be."""
    file = folder / "rclip-textual.onnx"
    if not file.exists():
        import open_clip
        import torch

        class TextTower(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.clip_model = open_clip.create_model(_ARCHITECTURE)

            def forward(self, tokens: torch.Tensor) -> torch.Tensor:
                features: torch.Tensor = self.clip_model.encode_text(tokens)
                return features

        torch.manual_seed(0)
        tower = TextTower().eval()
        unfinished = file.with_suffix(".new")
        fast = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)  # a fused operator that ONNX does not have
        try:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")
                for weights in tower.parameters():
                    weights.add_(0.001 * torch.randn(weights.shape))  # equal ones would be stored once
                torch.onnx.export(
                    tower,
                    (torch.zeros(1, 77, dtype=torch.long),),
                    str(unfinished),
                    input_names=["input"],
                    output_names=["output"],
                    dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}},
                    opset_version=18,
                    dynamo=False,
                )
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
        unfinished.rename(file)
    return file


def _put_models(data: Path, model: Path) -> None:
    """Put where rclip looks for them: the text model, a sign of the image model, and CLIP's vocabulary."""
    import open_clip

    (data / _MODELS).mkdir(parents=True)
    (data / _MODELS / "textual.onnx").symlink_to(model)
    (data / _MODELS / "visual.onnx").touch()
    (data / "tokenizer").mkdir()
    shutil.copy(Path(open_clip.__file__).parent / _VOCABULARY, data / "tokenizer" / _VOCABULARY)


def _fill(python: str, database: Path, photos: Path, count: int) -> None:
    """Record ``count`` photos below ``photos``."""
    line = [python, "-I", "-c", _FILL, VERSION, str(database), str(photos)]
    with subprocess.Popen(line, stdin=subprocess.PIPE) as filling:
        assert filling.stdin is not None
        for start in range(0, count, _BATCH):
            rows = photo_like(min(_BATCH, count - start), seed=start)
            filling.stdin.write(rows.astype("<f4", copy=False).tobytes())
    if filling.returncode:
        raise SystemExit(f"rclip's database could not be filled: {line[0]} ended with {filling.returncode}")
