from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save, save_file

from photoclip.encoders import builtin, registry
from photoclip.encoders.openclip import OpenClipEncoder
from photoclip.encoders.text import TextTower
from photoclip.errors import BadUsage, ModelUnavailable

SIGLIP = {"image_mean": (0.5,) * 3, "image_std": (0.5,) * 3, "image_resize_mode": "squash"}
MOBILE = {"image_mean": (0.0,) * 3, "image_std": (1.0,) * 3, "image_interpolation": "bilinear"}
# Architecture, kind of file, and the preprocessing of its known weights where it is not the default.
MODELS = [
    ("ViT-B-32", ".safetensors", {}),
    ("ViT-B-32-quickgelu", ".pt", {}),
    ("ViT-B-16-SigLIP", ".safetensors", SIGLIP),
    ("MobileCLIP-S1", ".safetensors", MOBILE),
]
TEXTS = [
    *("a dog", "a photo of a cat, asleep", "SUNSET over the sea!", "", "Zürich & Genève", "日本の桜", "😀"),
    *("<end_of_text> and more", "one two three four five six seven eight nine ten " * 12),
]


@dataclass
class Pair:
    """A model with random weights, as OpenCLIP runs it and as photoclip loads it from a file."""

    name: str
    theirs: Any
    transform: Any
    ours: OpenClipEncoder


@pytest.fixture(scope="module", params=MODELS, ids=lambda model: model[0])
def pair(request, tmp_path_factory) -> Iterator[Pair]:
    name, suffix, trained_with = request.param
    path = tmp_path_factory.mktemp("weights") / f"weights{suffix}"
    torch.manual_seed(3)
    theirs, _, transform = open_clip.create_model_and_transforms(name, **trained_with)
    randomise(theirs, transform)
    if suffix == ".safetensors":
        save_file({key: value.contiguous() for key, value in theirs.state_dict().items()}, str(path))
    else:
        torch.save({"state_dict": theirs.state_dict()}, path)
    ours = registry.load(f"{name}:{path}", "cpu")
    path.unlink()
    yield Pair(name, theirs, transform, ours)


def randomise(model: Any, transform: Any) -> None:
    """Give norms and biases random values, and batch norms the statistics of real activations, without
    which a deep network with random weights maps all pictures to one point."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
        norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = 1.0
        if norms:
            model.train().encode_image(torch.stack([transform(picture) for picture in pictures()]))
    model.eval()


def pictures() -> list[Image.Image]:
    """Return pictures of different shapes, with structure at several scales."""
    noise = np.random.default_rng(5)
    made = []
    for width, height in [(320, 240), (200, 300), (500, 90)]:
        coarse = noise.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        made.append(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    return made


def resized(transform: Any) -> np.ndarray:
    """Return the pictures as OpenCLIP's own ``transform`` leaves them before it makes numbers of them."""
    *steps, _to_tensor, _normalise = transform.transforms
    made = pictures()
    for step in steps:
        made = [step(picture) for picture in made]
    return np.stack([np.asarray(picture) for picture in made])


def cosine_errors(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return 1 - (one.astype(np.float64) * other).sum(axis=1)


def test_image_embeddings_are_openclips(pair: Pair) -> None:
    with torch.inference_mode():
        batch = torch.stack([pair.transform(picture) for picture in pictures()])
        expected = pair.theirs.encode_image(batch, normalize=True).numpy()
    pixels = resized(pair.transform)
    pixels.flags.writeable = False  # as they come out of a worker process
    got = pair.ours.encode_images(pixels)
    assert got.dtype == np.float32
    assert got.shape == expected.shape == (3, pair.ours.card.dimension)
    assert cosine_errors(got, expected).max() < 1e-6
    assert expected[0] @ expected[1] < 0.999, "pictures that all look alike prove nothing"


def test_text_embeddings_are_openclips_with_torch_and_without(pair: Pair, tmp_path: Path) -> None:
    if pair.name == "ViT-B-16-SigLIP":
        pytest.skip("its tokenizer lies on the hub")
    with torch.inference_mode():
        tokens = open_clip.get_tokenizer(pair.name)(TEXTS)
        expected = pair.theirs.encode_text(tokens, normalize=True).numpy()
    assert cosine_errors(pair.ours.encode_texts(TEXTS), expected).max() < 1e-6
    assert pair.ours.export_text_tower(str(tmp_path / "tower"))
    tower = TextTower.open(str(tmp_path / "tower"))
    assert cosine_errors(tower.encode_texts(TEXTS), expected).max() < 1e-6
    assert [file.name for file in tmp_path.iterdir()] == ["tower"]
    assert expected[0] @ expected[1] < 0.999, "texts that all read alike prove nothing"


def test_the_card_says_how_the_model_wants_its_pictures(pair: Pair) -> None:
    wanted = pair.ours.card.preprocessing
    normalise = pair.transform.transforms[-1]
    assert (wanted.mean, wanted.std) == (tuple(normalise.mean), tuple(normalise.std))
    assert wanted.resize == ("squash" if "SigLIP" in pair.name else "shortest")
    assert wanted.interpolation == ("bilinear" if "Mobile" in pair.name else "bicubic")
    assert wanted.size == (256 if "Mobile" in pair.name else 224)
    assert pair.ours.card.logit_scale == pytest.approx(float(pair.theirs.logit_scale.detach().exp()))


def test_a_text_side_of_another_kind_is_not_exported(pair: Pair, tmp_path: Path) -> None:
    if pair.name != "ViT-B-16-SigLIP":
        pytest.skip("this one can be exported")
    assert not pair.ours.export_text_tower(str(tmp_path / "tower"))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ModelUnavailable, match="tokenizer of ViT-B-16-SigLIP"):
        pair.ours.encode_texts(["a dog"])


def test_no_pictures_and_no_texts_give_empty_embeddings(pair: Pair) -> None:
    wanted = pair.ours.card
    size = wanted.preprocessing.size
    assert pair.ours.encode_images(np.empty((0, size, size, 3), np.uint8)).shape == (0, wanted.dimension)
    assert pair.ours.encode_texts([]).shape == (0, wanted.dimension)


def test_weights_that_are_not_finite_are_refused(pair: Pair) -> None:
    if pair.name != "ViT-B-32":
        pytest.skip("one model is enough")
    with torch.no_grad():
        pair.ours._model.visual.ln_post.bias[0] = float("nan")
    with pytest.raises(ModelUnavailable, match="not finite"):
        pair.ours.encode_images(resized(pair.transform))


def test_the_builtin_model_has_openclips_embeddings(tmp_path: Path) -> None:
    name, weights = builtin.register(), str(builtin.WEIGHTS_PATH)
    theirs, _, transform = open_clip.create_model_and_transforms(name, pretrained=weights)
    pair = Pair(name, theirs.eval(), transform, registry.load("builtin", "cpu"))
    test_image_embeddings_are_openclips(pair)
    test_text_embeddings_are_openclips_with_torch_and_without(pair, tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"not weights at all", save({"some.other.model": torch.zeros(3)})],
    ids=["empty", "text", "other"],
)
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_file_that_holds_no_such_model_is_refused(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(ModelUnavailable, match="cannot be loaded as ViT-S-32") as caught:
        registry.load(f"ViT-S-32:{path}", "cpu")
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "trapped"), "w"))

    torch.save({"state_dict": Trap()}, tmp_path / "weights.pt")
    with pytest.raises(ModelUnavailable):
        registry.load(f"ViT-S-32:{tmp_path}/weights.pt", "cpu")
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cpu:1", "", "cuda:99", "mps:0"])
def test_a_device_that_is_not_there_is_refused(device: str, tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_bytes(b"")
    with pytest.raises(BadUsage):
        registry.load(f"ViT-S-32:{tmp_path}/weights.pt", device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there")
def test_cuda_where_there_is_none_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_bytes(b"")
    with pytest.raises(BadUsage, match="CUDA is not available") as caught:
        registry.load(f"ViT-S-32:{tmp_path}/weights.pt", "cuda")
    assert "--device" in caught.value.hint


def test_a_torchvision_of_another_build_is_said_in_words(monkeypatch) -> None:
    def broken(name: str) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr("importlib.import_module", broken)
    with pytest.raises(ModelUnavailable, match="torch and torchvision do not fit") as caught:
        registry.load("builtin", "cpu")
    assert "same index" in caught.value.hint


def test_loading_says_nothing_and_leaves_logging_as_it_was(capfd, caplog) -> None:
    handlers, threshold = logging.root.handlers[:], logging.root.manager.disable
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        registry.load("builtin", "cpu")
    assert capfd.readouterr() == ("", "")
    assert caught == []
    assert caplog.records == []
    assert logging.root.handlers == handlers
    assert logging.root.manager.disable == threshold
