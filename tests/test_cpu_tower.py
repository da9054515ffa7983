"""The image tower on a CPU: whatever runs it, the features are the tower's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from open_clip.transformer import VisionTransformer

from photoclip.encoders import cpu, registry
from photoclip.encoders.cpu import CpuTower
from photoclip.encoders.openclip import OpenClipEncoder
from photoclip.records import Preprocessing

SIZE = 64
PREPROCESSING = Preprocessing(SIZE)


@pytest.fixture(scope="module")
def transformer() -> Any:
    torch.manual_seed(1)
    tower = VisionTransformer(SIZE, 16, 64, 3, 2, 4.0, output_dim=32)
    return tower.eval().requires_grad_(False)


def pictures(count: int) -> Any:
    return np.random.default_rng(7).integers(0, 256, (count, SIZE, SIZE, 3)).astype(np.uint8)


def directly(tower: Any, pixels: Any) -> Any:
    with torch.inference_mode():
        return tower(cpu.normalised(pixels, PREPROCESSING, "cpu")).numpy()


def cosines(ours: Any, right: Any) -> Any:
    return (ours * right).sum(axis=1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(right, axis=1)


@pytest.mark.parametrize("count", [1, 3, 8, 33, 70])
def test_pictures_that_are_shared_out_come_back_in_order(transformer: Any, count: int) -> None:
    pixels = pictures(count)
    features = CpuTower(transformer, PREPROCESSING).features(pixels)
    np.testing.assert_allclose(features, directly(transformer, pixels), atol=1e-5)


def test_bfloat16_is_used_for_many_photos_where_the_cpu_is_made_for_it(
    transformer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tower, pixels = CpuTower(transformer, PREPROCESSING), pictures(40)
    for has_amx, photos, form in ((False, 64, "float32"), (True, 63, "float32"), (True, 64, "bfloat16")):
        monkeypatch.setattr(cpu, "_has_amx", lambda has_amx=has_amx: has_amx)
        tower.prepare(photos)
        assert tower.form == form
        features = tower.features(pixels)
        assert features.dtype == np.float32
        assert cosines(features, directly(transformer, pixels)).min() >= 1 - cpu.TOLERANCE


@pytest.mark.parametrize(
    "wrong",
    [
        lambda right: right * torch.tensor([1.0, 1.2]).repeat(16),
        lambda right: right * float("nan"),
        lambda right: right.flip(0),
    ],
    ids=["inexact", "not finite", "shuffled"],
)
def test_a_form_that_gives_something_else_is_not_used(
    transformer: Any, monkeypatch: pytest.MonkeyPatch, wrong: Callable[[Any], Any]
) -> None:
    monkeypatch.setattr(cpu, "_has_amx", lambda: True)
    monkeypatch.setattr(cpu, "_bfloat16", lambda tower: lambda pictures: wrong(tower(pictures)))
    tower = CpuTower(transformer, PREPROCESSING)
    tower.prepare(100)
    assert tower.form == "float32"


def test_a_runtime_that_cannot_make_the_tower_is_passed_over(
    transformer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Any:
        raise RuntimeError("an operator it does not know")

    monkeypatch.setattr(cpu, "_has_amx", lambda: True)
    monkeypatch.setattr(cpu.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(cpu, "_openvino", fail)
    tower = CpuTower(transformer, PREPROCESSING)
    tower.prepare(2000)
    assert tower.form == "bfloat16"


@pytest.mark.parametrize(("photos", "form"), [(100, "float32, folded"), (2000, "OpenVINO, f32")])
def test_the_built_in_model_keeps_its_digits(monkeypatch: pytest.MonkeyPatch, photos: int, form: str) -> None:
    if form.startswith("OpenVINO"):
        pytest.importorskip("openvino")
    monkeypatch.setattr(cpu, "_has_amx", lambda: True)
    encoder = registry.load("builtin", "cpu")
    assert isinstance(encoder, OpenClipEncoder)
    size = encoder.card.preprocessing.size
    pixels = np.random.default_rng(3).integers(0, 256, (37, size, size, 3)).astype(np.uint8)
    before = encoder.encode_images(pixels)
    encoder.prepare(photos)
    assert encoder._tower is not None and encoder._tower.form == form
    assert cosines(encoder.encode_images(pixels), before).min() >= 1 - 1e-5


def test_folding_leaves_no_batch_normalisation() -> None:
    encoder = registry.load("builtin", "cpu")
    assert isinstance(encoder, OpenClipEncoder) and encoder._tower is not None
    encoder.prepare(100)
    assert not any(isinstance(one, torch.nn.BatchNorm2d) for one in encoder._tower._run.modules())


def test_who_uses_torch_beside_us_keeps_his_threads(transformer: Any) -> None:
    torch.set_num_threads(3)
    try:
        CpuTower(transformer, PREPROCESSING).features(pictures(20))
        seen = [torch.get_num_threads()]
        other = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        other.start()
        other.join()
    finally:
        torch.set_num_threads(2)
    assert seen == [3, 3]
