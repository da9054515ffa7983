"""The image-text model that ships inside photoclip.

A MobileNetV2 image tower and a small CLIP text tower that share a 384-d space. The files beside this module
are an ordinary OpenCLIP model: a config, a truncated BPE merge list and fp16 safetensors weights. Importing
this module needs the standard library only; :func:`register` makes the model known to OpenCLIP.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

NAME = "photoclip-builtin"
"""OpenCLIP model name, valid after :func:`register`."""

_HERE = Path(__file__).resolve().parent
CONFIG_PATH = _HERE / "config.json"
WEIGHTS_PATH = _HERE / "weights.safetensors"
MERGES_PATH = _HERE / "merges.txt.gz"

_TIMM_NAME = "photoclip_mobilenetv2"

# MobileNetV2 1.0: timm's mobilenetv2_100, but with the "same" padding of TensorFlow, where its start weights
# come from.
_ARCHITECTURE = [
    ["ds_r1_k3_s1_c16"],
    ["ir_r2_k3_s2_e6_c24"],
    ["ir_r3_k3_s2_e6_c32"],
    ["ir_r4_k3_s2_e6_c64"],
    ["ir_r3_k3_s1_e6_c96"],
    ["ir_r3_k3_s2_e6_c160"],
    ["ir_r1_k3_s1_e6_c320"],
]


def config() -> dict[str, Any]:
    """The model config with the absolute path of the merge list filled in.

    The keys are those of an OpenCLIP model config, plus ``preprocess_cfg`` (size in pixels, mean, std,
    interpolation and resize mode of the image transform).
    """
    loaded: dict[str, Any] = json.loads(CONFIG_PATH.read_text(encoding="utf-8"))
    loaded["text_cfg"]["tokenizer_kwargs"]["bpe_path"] = str(MERGES_PATH)
    return loaded


def register() -> str:
    """Make the model known to timm and OpenCLIP (idempotent) and return its OpenCLIP name.

    Afterwards ``open_clip.create_model_and_transforms(NAME, pretrained=str(WEIGHTS_PATH))`` and
    ``open_clip.get_tokenizer(NAME)`` work; the transforms are those of ``preprocess_cfg``.
    """
    import open_clip
    import timm

    if not timm.is_model(_TIMM_NAME):
        timm.models.register_model(photoclip_mobilenetv2)
    if NAME not in open_clip.list_models():
        _register_config()
    return NAME


def _register_config() -> None:
    """Hand the config to OpenCLIP, and the preprocessing as that of the weights file."""
    import open_clip
    from open_clip import factory, pretrained

    model_config = config()
    preprocess = model_config.pop("preprocess_cfg")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{NAME}.json"
        path.write_text(json.dumps(model_config), encoding="utf-8")
        open_clip.add_model_config(path)
        factory._MODEL_CONFIG_PATHS.remove(path)  # read once; the file goes away with the folder
    # OpenCLIP takes the preprocessing from a table of known weights, never from the model config.
    weights = dict(preprocess, file=str(WEIGHTS_PATH))
    pretrained._PRETRAINED[NAME] = {pretrained._clean_tag(str(WEIGHTS_PATH)): weights}


def photoclip_mobilenetv2(**kwargs: Any) -> Any:
    """timm entry point of the image tower: (N, 3, H, W) -> (N, num_classes), (N, 1280) without classifier."""
    from timm.models import build_model_with_cfg
    from timm.models._efficientnet_builder import decode_arch_def
    from timm.models.efficientnet import EfficientNet
    from torch import nn

    for unused in ("pretrained", "pretrained_cfg", "pretrained_cfg_overlay"):
        kwargs.pop(unused, None)
    return build_model_with_cfg(
        EfficientNet,
        _TIMM_NAME,
        pretrained=False,
        pretrained_cfg={
            "architecture": _TIMM_NAME,
            "num_classes": 0,
            "pool_size": (5, 5),
            "input_size": (3, 160, 160),
            "first_conv": "conv_stem",
            "classifier": "classifier",
        },
        block_args=decode_arch_def(_ARCHITECTURE),
        num_features=1280,
        stem_size=32,
        pad_type="same",
        norm_layer=nn.BatchNorm2d,
        act_layer=nn.ReLU6,
        **kwargs,
    )
