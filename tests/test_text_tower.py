from __future__ import annotations

import json
import math
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch

import photoclip
from photoclip.encoders.openclip import OpenClipEncoder
from photoclip.encoders.text import TextTower, _gelu, _quick_gelu
from photoclip.errors import ModelUnavailable
from photoclip.records import ModelCard, Preprocessing

VISION = {"image_size": 32, "layers": 1, "width": 32, "head_width": 32, "patch_size": 32}
TEXT = {"context_length": 16, "width": 64, "heads": 4, "layers": 3, "vocab_size": 49408}
TEXTS = [
    *("a dog", "", "A photo of a cat.", "<end_of_text> at once", "Zürich 日本 😀", "dog " * 40),
    *(" ".join(["word"] * count) for count in range(20)),
]


def small_encoder(
    text: dict[str, Any] | None = None, *, custom: bool = False, **options: Any
) -> OpenClipEncoder:
    """Return an OpenCLIP model with a small text side: as OpenCLIP builds it, all its weights random."""
    torch.manual_seed(11)
    build = open_clip.CustomTextCLIP if custom else open_clip.CLIP
    model = build(48, VISION, {**TEXT, **(text or {})}, **options).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith(("token_embedding", "text.token_embedding")):
                parameter.mul_(20)
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return OpenClipEncoder(ModelCard("small", "0" * 64, 48, Preprocessing(32)), model, "ViT-B-32", "cpu")


@pytest.fixture(scope="module")
def tower_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tower") / "tower"
    assert small_encoder().export_text_tower(str(path))
    return path


def in_context_of_16(encoder: OpenClipEncoder) -> OpenClipEncoder:
    encoder.__dict__["_tokenizer"] = open_clip.get_tokenizer("ViT-B-32", context_length=16)
    return encoder


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ({}, {}),
        ({}, {"quick_gelu": True}),
        ({}, {"custom": True}),
        ({"no_causal_mask": True}, {"custom": True}),
        ({"norm_kwargs": {"eps": 0.1}}, {}),
        ({"mlp_ratio": 2.0, "heads": 2}, {}),
    ],
    ids=str,
)
def test_texts_have_openclips_embeddings(text: dict, options: dict, tmp_path: Path) -> None:
    encoder = in_context_of_16(small_encoder(text, **options))
    assert encoder.export_text_tower(str(tmp_path / "tower"))
    got = TextTower.open(str(tmp_path / "tower")).encode_texts(TEXTS)
    expected = encoder.encode_texts(TEXTS)
    assert got.dtype == np.float32
    assert (1 - (got.astype(np.float64) * expected).sum(axis=1)).max() < 1e-6
    assert expected[0] @ expected[2] < 0.99, "texts that all read alike prove nothing"


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ({"pool_type": "last"}, {}),
        ({"pool_type": "eos"}, {}),
        ({"proj_bias": True}, {}),
        ({"proj_type": "none", "width": 48}, {}),
        ({"embed_cls": True}, {"custom": True}),
        ({"act_kwargs": {"approximate": "tanh"}}, {}),
        ({"ls_init_value": 0.1}, {}),
        ({"qk_norm": True}, {}),
        ({"vocab_size": 1000}, {}),
    ],
    ids=str,
)
def test_a_text_side_of_another_kind_is_left_to_torch(text: dict, options: dict, tmp_path: Path) -> None:
    assert not small_encoder(text, **options).export_text_tower(str(tmp_path / "tower"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "options", [{"clean": "whitespace"}, {"additional_special_tokens": ["<x>"]}], ids=str
)
def test_a_tokenizer_of_another_kind_is_left_to_torch(options: dict, tmp_path: Path) -> None:
    encoder = small_encoder()
    encoder.__dict__["_tokenizer"] = open_clip.tokenizer.SimpleTokenizer(context_length=16, **options)
    assert not encoder.export_text_tower(str(tmp_path / "tower"))


def test_one_text_and_many_have_the_same_embeddings(tower_file: Path) -> None:
    tower = TextTower.open(str(tower_file))
    together = tower.encode_texts(TEXTS * 20)
    for place in (0, 1, 2, 3, 25):
        np.testing.assert_allclose(tower.encode_texts([TEXTS[place]])[0], together[place], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    assert tower.encode_texts([]).shape == (0, 48)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:4],
        lambda data: data[:1000],
        lambda data: data[:-1000],
        lambda data: b"\xff" * len(data),
        lambda data: data[:8] + b"{" + data[9:].replace(b'"F32"', b'"F64"', 1),
        lambda data: data.replace(b"text tower 1", b"text tower 9"),
        lambda data: data.replace(b"ln_final.bias", b"ln_final.bios"),
        lambda data: data.replace(b'"heads":"4"', b'"heads":"x"'),
        lambda data: data.replace(b'"merges"', b'"merges2"'),
        lambda data: b"\x89PNG\r\n\x1a\n" + data,
    ],
)
def test_a_damaged_or_foreign_file_is_refused(damage, tower_file: Path, tmp_path: Path) -> None:
    damaged = damage(tower_file.read_bytes())
    assert damaged != tower_file.read_bytes()
    (tmp_path / "tower").write_bytes(damaged)
    with pytest.raises(ModelUnavailable, match="text tower"):
        TextTower.open(str(tmp_path / "tower")).encode_texts(["a dog"])


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="none"):
        TextTower.open(str(tmp_path / "none"))


def test_weights_that_are_not_finite_are_refused(tower_file: Path, tmp_path: Path) -> None:
    data = bytearray(tower_file.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    begin, end = json.loads(data[8:start])["text_projection"]["data_offsets"]
    data[start + begin : start + end] = np.full((end - begin) // 4, np.nan, np.float32).tobytes()
    (tmp_path / "tower").write_bytes(data)
    with pytest.raises(ModelUnavailable, match="not finite"):
        TextTower.open(str(tmp_path / "tower")).encode_texts(["a dog"])


def test_an_export_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "tower").write_bytes(b"the old one")

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        small_encoder().export_text_tower(str(tmp_path / "tower"))
    assert [file.name for file in tmp_path.iterdir()] == ["tower"]
    assert (tmp_path / "tower").read_bytes() == b"the old one"


def test_a_tower_runs_without_torch_and_its_family(tower_file: Path) -> None:
    program = (
        "import sys; from photoclip.encoders.text import TextTower;"
        "TextTower.open(sys.argv[1]).encode_texts(['a dog on the beach']);"
        "heavy = ('torch', 'open_clip', 'safetensors', 'huggingface_hub', 'ftfy', 'regex');"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tower_file)],
        env={"PYTHONPATH": str(Path(photoclip.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_the_activations_are_right_to_rounding() -> None:
    x = np.linspace(-12, 12, 4001, dtype=np.float32)
    exact = np.array([v * 0.5 * math.erfc(-v / math.sqrt(2)) for v in x.tolist()])
    assert np.abs(_gelu(x) - exact).max() < 1e-6
    exact = np.array([v / (1 + math.exp(-1.702 * v)) for v in x.tolist()])
    assert np.abs(_quick_gelu(x) - exact).max() < 1e-6
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _quick_gelu(np.float32([-1000, 0, 1000])).tolist() == [0, 0, 1000]
        assert _gelu(np.float32([-1000, 0, 1000])).tolist() == [0, 0, 1000]
