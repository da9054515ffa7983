"""Write the towers as one OpenCLIP safetensors file in float16, and check it against float32."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from photoclip.encoders import builtin
from photoclip.training import backbone
from photoclip.training.loop import load
from photoclip.training.text import new_model

LEAST_COSINE = 0.9999
START_SHARE, CLASSIFIER_SHARE = 0.15, 0.05  # of earlier knowledge in the exported image tower
log = logging.getLogger(__name__)


def joint_state(visual: Any, text: dict[str, Tensor], log_scale: Tensor) -> dict[str, Tensor]:
    """State dict of the OpenCLIP model from a folded image tower and the state dict of a text tower."""
    state = {f"visual.trunk.{name}": value for name, value in backbone.unfolded_state(visual.trunk).items()}
    state["visual.head.proj.weight"] = visual.head.proj.weight.detach()
    state |= {
        name: value for name, value in text.items() if not name.startswith("visual.") and name != "attn_mask"
    }
    state["logit_scale"] = log_scale.detach().reshape(())
    return state


def write(state: dict[str, Tensor], path: Path) -> float:
    """Save in float16, replacing the file in one move; return the least cosine of either tower to float32."""
    from safetensors.torch import save_file

    halves = {
        name: value.half().contiguous() if value.is_floating_point() else value
        for name, value in state.items()
    }
    part = path.with_suffix(".part")
    save_file(halves, part, metadata={"format": "pt", "model": builtin.NAME})
    part.chmod(0o644)
    part.replace(path)
    return least_cosine(state, halves)


@torch.no_grad()
def least_cosine(state: dict[str, Tensor], halves: dict[str, Tensor]) -> float:
    """The least cosine between the outputs of both versions, on random images and texts."""
    full, half = new_model().eval(), new_model().eval()
    full.load_state_dict(state)
    half.load_state_dict(
        {name: value.float() if value.is_floating_point() else value for name, value in halves.items()}
    )
    generator = torch.Generator().manual_seed(0)
    size = builtin.config()["preprocess_cfg"]["size"]
    images = torch.nn.functional.interpolate(
        torch.randn(16, 3, 8, 8, generator=generator), size=(size, size), mode="bicubic"
    )
    start, end = len(full.token_embedding.weight) - 2, len(full.token_embedding.weight) - 1
    tokens = torch.randint(256, start, (16, 32), generator=generator)
    tokens[:, 0], tokens[:, 12] = start, end
    tokens[:, 13:] = 0
    pairs = (
        (full.encode_image(images), half.encode_image(images)),
        (full.encode_text(tokens), half.encode_text(tokens)),
    )
    least = min(float(torch.cosine_similarity(a, b).min()) for a, b in pairs)
    if least < LEAST_COSINE:
        log.warning("float16 changes the vectors: least cosine %.6f", least)
    return least


def export(data: Path, work: Path) -> None:
    """Write the newest towers under ``work`` to the package.

    A polished image tower is averaged with the one it started from and with the classifier it came from: what
    it learned from few photos stays, and more of what the classifier knew about other things comes back.
    """
    from photoclip.training.image import classifier_map
    from photoclip.training.objective import bank_of
    from photoclip.training.tower import new_tower

    visual, classifier = new_tower(data)
    image, scale = image_checkpoint(work)
    text = load(work / "text.pt")["average"]
    if (work / "polish.pt").exists():
        towers = load(work / "polish.pt")["average"]
        start, image = load(work / "head.pt")["visual"], _part(towers, "visual.")
        image = {name: torch.lerp(value, start[name], START_SHARE) for name, value in image.items()}
        last = image["head.proj.weight"]
        last += CLASSIFIER_SHARE * last.norm() * classifier_map(classifier, bank_of(data, work))
        text, scale = _part(towers, "text."), towers["objective.label_scale"]
    visual.load_state_dict(image)
    least = write(joint_state(visual, text, scale), builtin.WEIGHTS_PATH)
    log.info("%s: %.1f MB, least cosine %.6f", builtin.NAME, builtin.WEIGHTS_PATH.stat().st_size / 1e6, least)


def _part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries under a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def image_checkpoint(work: Path) -> tuple[dict[str, Tensor], Tensor]:
    """State dict of the image tower (end to end if there is one, else last map only) and the log scale."""
    if (work / "image.pt").exists():
        towers = load(work / "image.pt")["average"]
        return _part(towers, "visual."), towers["objective.caption_scale"]
    head = load(work / "head.pt")
    return head["visual"], head["objective"]["caption_scale"]
