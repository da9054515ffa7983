"""A model's image tower on a CPU, as fast as this machine runs it.

Each core works on pictures of its own. The other way, all cores on one picture, makes each of them wait for
the slowest at every layer, and the slowest is the one that is also decoding photos.

For many photos a faster form of the tower is made, where there is one: in bfloat16 where the CPU multiplies
matrices of it (Intel's AMX), with batch normalisations folded into convolutions, or through OpenVINO where
that is installed. A form is used only if it gives what the tower itself gives: on pictures made for that
purpose no cosine may fall below 1 - ``TOLERANCE``.
"""

from __future__ import annotations

import copy
import functools
import importlib
import importlib.util
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from photoclip import config

if TYPE_CHECKING:
    from photoclip.encoders import Float32, Uint8
    from photoclip.records import Preprocessing

TOLERANCE = 5e-4
"""What a faster form may differ from the tower, as a cosine."""

_AT_ONCE = 16
"""Pictures for one core at a time: more were no faster, and need more memory."""
_AT_LEAST = 4
_ENOUGH = 64  # photos: a copy and a comparison take up to half a second
_ENOUGH_FOR_OPENVINO = 2000  # photos: converting takes five seconds
_PROBES = 2

Run = Callable[[Any], Any]
"""From normalised pictures, a tensor (n, 3, size, size), to features, a tensor (n, dimension)."""


class CpuTower:
    """The image tower of a model. ``tower`` is a module of torch, in evaluation mode."""

    def __init__(self, tower: Any, preprocessing: Preprocessing) -> None:
        import torch

        self._tower = tower
        self._run: Run = tower
        self._preprocessing = preprocessing
        self._cores = config.cpu_count()
        others = torch.get_num_threads()
        self._threads = ThreadPoolExecutor(self._cores, "photoclip-encode", _use_one_core, (others,))
        self.form = "float32"
        """What runs, in words."""

    def prepare(self, photos: int) -> None:
        """Make the fastest form that pays for so many photos and gives what the tower gives."""
        for name, make in self._forms(photos):
            # On one core too: photos are being decoded on the others.
            run = self._threads.submit(self._made, make).result()
            if run is not None:
                self._run, self.form = run, name
                return

    def features(self, pixels: Uint8) -> Float32:
        """Return features, float32 (n, dimension), of ``pixels``, uint8 (n, size, size, 3); n is not 0."""
        parts = max(-(-len(pixels) // _AT_ONCE), min(self._cores, -(-len(pixels) // _AT_LEAST)))
        return np.concatenate(list(self._threads.map(self._part, np.array_split(pixels, parts))))

    def _part(self, pixels: Uint8) -> Float32:
        import torch

        with torch.inference_mode():
            features: Float32 = self._run(normalised(pixels, self._preprocessing, "cpu")).float().numpy()
        return features

    def _forms(self, photos: int) -> Iterator[tuple[str, Callable[[], Run]]]:
        """Yield what is faster for so many photos, by name and with what makes it, the fastest first."""
        tower, size = self._tower, self._preprocessing.size
        keeps_statistics = _is_batch_normalised(tower)
        narrow = _has_amx() and not keeps_statistics
        if photos >= _ENOUGH_FOR_OPENVINO and importlib.util.find_spec("openvino") is not None:
            for kind in ("bf16", "f32") if narrow else ("f32",):
                yield f"OpenVINO, {kind}", functools.partial(_openvino, tower, size, self._cores, kind)
        if photos >= _ENOUGH and narrow:
            yield "bfloat16", functools.partial(_bfloat16, tower)
        if photos >= _ENOUGH and keeps_statistics:
            yield "float32, folded", functools.partial(_folded, tower)

    def _made(self, make: Callable[[], Run]) -> Run | None:
        """Return the form that ``make`` makes, if that works and it gives what the tower gives."""
        import torch

        pictures = normalised(_probes(self._preprocessing.size), self._preprocessing, "cpu")
        try:
            with torch.inference_mode():
                form = make()
                ours, right = (run(pictures).float() for run in (form, self._tower))
                cosines = torch.nn.functional.cosine_similarity(ours, right)
        except Exception:  # each runtime has errors of its own, and the tower itself runs always
            return None
        return form if (cosines >= 1 - TOLERANCE).all() else None  # false for what is not finite


def normalised(pixels: Uint8, preprocessing: Preprocessing, device: str) -> Any:
    """Return uint8 pictures (n, size, size, 3) as a float32 tensor (n, 3, size, size) for a model."""
    import torch

    mean, std = (
        torch.tensor(values, device=device).reshape(3, 1, 1)
        for values in (preprocessing.mean, preprocessing.std)
    )
    pictures = torch.tensor(pixels, device=device).permute(0, 3, 1, 2).float()
    return pictures.div_(255).sub_(mean).div_(std)


def _use_one_core(others: int) -> None:
    """Have this thread use one core. Torch then tells new threads the same: undo that."""
    import torch

    torch.set_num_threads(1)
    undoing = threading.Thread(target=torch.set_num_threads, args=(others,))
    undoing.start()
    undoing.join()


def _has_amx() -> bool:
    import torch

    return bool(getattr(torch.cpu, "_is_amx_tile_supported", bool)())


def _is_batch_normalised(tower: Any) -> bool:
    """Return whether a tower keeps statistics of batches. They differ so much from channel to channel that
    bfloat16 has too few digits for them: the built-in model's cosines fell by 0.004."""
    import torch

    return any(isinstance(module, torch.nn.BatchNorm2d) for module in tower.modules())


def _bfloat16(tower: Any) -> Run:
    """Return the tower with weights and activations in bfloat16."""
    import torch

    # To copy the weights first, as they are, would take ten times as long as to narrow them.
    weights = {id(one): torch.nn.Parameter(one.bfloat16(), one.requires_grad) for one in tower.parameters()}
    narrow = copy.deepcopy(tower, dict(weights)).to(torch.bfloat16)  # the rest: buffers
    return lambda pictures: narrow(pictures.bfloat16())


def _folded(tower: Any) -> Run:
    """Return the tower with each batch normalisation in the weights of the convolution before it."""
    folded = copy.deepcopy(tower)
    _fold(folded)
    return folded  # type: ignore[no-any-return]


def _fold(module: Any) -> None:
    import torch
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    before = ""
    for name, child in module.named_children():
        last = module._modules.get(before)
        if isinstance(child, torch.nn.BatchNorm2d) and isinstance(last, torch.nn.Conv2d):
            setattr(module, before, fuse_conv_bn_eval(last, child))
            # timm's normalisations have an activation of their own.
            setattr(module, name, getattr(child, "act", torch.nn.Identity()))
        else:
            _fold(child)
        before = name


def _openvino(tower: Any, size: int, cores: int, kind: str) -> Run:
    """Return the tower as OpenVINO runs it: one request, and one core, for each thread that calls."""
    import torch

    openvino: Any = importlib.import_module("openvino")
    model = openvino.convert_model(tower, example_input=torch.zeros(1, 3, size, size))
    model.reshape([-1, 3, size, size])
    options = {"NUM_STREAMS": cores, "INFERENCE_NUM_THREADS": cores, "INFERENCE_PRECISION_HINT": kind}
    compiled = openvino.Core().compile_model(model, "CPU", options)
    own = threading.local()

    def run(pictures: Any) -> Any:
        if not hasattr(own, "request"):
            own.request = compiled.create_infer_request()
        return torch.tensor(own.request.infer([pictures.numpy()])[0])

    return run


def _probes(size: int) -> Uint8:
    """Return pictures to compare forms on, the same every time: large shapes in all colours, and grain."""
    random = np.random.default_rng(0)
    shapes = random.integers(0, 256, (_PROBES, 8, 8, 3)).repeat(-(-size // 8), axis=1)[:, :size]
    shapes = shapes.repeat(-(-size // 8), axis=2)[:, :, :size]
    return (shapes + random.normal(0, 12, shapes.shape)).clip(0, 255).astype(np.uint8)
