from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save

import photoclip
from photoclip.encoders import registry
from photoclip.encoders.fake import FakeEncoder
from photoclip.encoders.text import open_text_encoder
from photoclip.errors import BadUsage, ModelUnavailable
from tests.hub import PREPROCESSING, TINY, FakeHub, running_hub

KNOWN = registry.SUGGESTED[0]


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with running_hub() as server:
        yield server


@pytest.fixture
def run(hub: FakeHub, tmp_path: Path):
    """Run a program in a new process with the fake hub and an empty cache; return what it prints, as JSON."""
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("HF_", "TRANSFORMERS"))
    }
    environment |= {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
        "HF_HOME": str(tmp_path / "hf"),
        "PYTHONPATH": str(Path(photoclip.__file__).parents[1]),
        "HF_HUB_DISABLE_XET": "1",
    }

    def run_program(program: str):
        lines = "import json, sys\nfrom photoclip.encoders import registry\nfrom photoclip.errors import *\n"
        done = subprocess.run(
            [sys.executable, "-W", "error::UserWarning", "-c", lines + program],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run_program


PULL = """
seen = []
try:
    path = registry.pull({spec!r}, lambda here, total: seen.append((here, total)))
    print(json.dumps({{"path": str(path), "seen": seen[-1:]}}))
except PhotoclipError as error:
    print(json.dumps({{"error": str(error), "hint": error.hint, "kind": type(error).__name__}}))
"""


@pytest.fixture(scope="module")
def tiny_weights() -> bytes:
    torch.manual_seed(1)
    return save(open_clip.CLIP(**TINY).state_dict())


@pytest.fixture
def tiny(hub: FakeHub, tiny_weights: bytes) -> str:
    """Put a small model with random weights on the hub and return its spec."""
    config = {"model_cfg": TINY, "preprocess_cfg": PREPROCESSING}
    hub.files["someone/tiny/open_clip_config.json"] = json.dumps(config).encode()
    hub.files["someone/tiny/open_clip_model.safetensors"] = tiny_weights
    return "hf-hub:someone/tiny"


def test_a_broken_download_is_taken_up_and_the_model_then_loads_without_network(
    hub: FakeHub, run, tiny: str, tiny_weights: bytes
) -> None:
    # The hub's library keeps whole blocks of 10 MB of what arrived.
    assert len(tiny_weights) > 12_000_000
    hub.breaks["someone/tiny/open_clip_model.safetensors"] = 12_000_000
    pulled = run(PULL.format(spec=tiny))
    assert pulled["seen"] == [[len(tiny_weights), len(tiny_weights)]]
    assert Path(pulled["path"]).read_bytes() == tiny_weights
    assert [wanted for _, path, wanted in hub.requests if wanted] == ["bytes=10485760-"]

    asked = len(hub.requests)
    loaded = run(f"""
import numpy as np
encoder = registry.load({tiny!r}, "cpu")
images = encoder.encode_images(np.zeros((1, 32, 32, 3), np.uint8))
texts = encoder.encode_texts(["a dog"])
card = encoder.card
print(json.dumps([card.spec, card.weights_hash, images.shape, texts.shape, card.preprocessing.std[0]]))
""")
    assert loaded == [tiny, hashlib.sha256(tiny_weights).hexdigest(), [1, 32], [1, 32], 0.25]
    assert len(hub.requests) == asked, "loading asked the hub"


def test_damaged_bytes_are_refused_and_removed_and_the_next_pull_succeeds(
    hub: FakeHub, run, tiny_weights: bytes
) -> None:
    hub.damage = True
    hub.files[f"{KNOWN.repository}open_clip_model.safetensors"] = tiny_weights
    refused = run(PULL.format(spec=KNOWN.spec))
    assert refused["kind"] == "ModelUnavailable"
    assert "arrived damaged" in refused["error"]
    assert run(f"print(json.dumps(registry.is_present({KNOWN.spec!r})))") is False
    hub.damage = False
    assert Path(run(PULL.format(spec=KNOWN.spec))["path"]).read_bytes() == tiny_weights
    assert run(f"print(json.dumps(registry.is_present({KNOWN.spec!r})))") is True


def test_a_known_model_is_found_once_pulled_and_named_with_its_command_before(hub: FakeHub, run) -> None:
    find = f"""
try:
    print(json.dumps(registry.resolve({KNOWN.spec!r}).weights))
except ModelUnavailable as error:
    print(json.dumps([str(error), error.hint, "torch" in sys.modules]))
"""
    sentence, hint, torch_was_needed = run(find)
    assert KNOWN.spec in sentence
    assert f"photoclip models pull {KNOWN.spec}" in hint
    assert not torch_was_needed
    assert hub.requests == []
    # No safetensors in this repository: the older format is the second choice.
    hub.files[f"{KNOWN.repository}open_clip_pytorch_model.bin"] = b"weights"
    path = run(PULL.format(spec=KNOWN.spec))["path"]
    assert run(find) == path
    assert Path(path).name == "open_clip_pytorch_model.bin"


def test_pull_works_after_the_network_was_forbidden(hub: FakeHub, run) -> None:
    hub.files[f"{KNOWN.repository}open_clip_model.safetensors"] = b"weights"
    forbid = "from photoclip import config\nconfig.forbid_network()\nimport huggingface_hub.constants as c\n"
    assert "path" in run(forbid + "assert c.HF_HUB_OFFLINE\n" + PULL.format(spec=KNOWN.spec))


def test_the_tokenizer_of_a_text_side_of_transformers_comes_with_the_weights(
    hub: FakeHub, run, tmp_path: Path
) -> None:
    model = next(model for model in registry.SUGGESTED if "SigLIP" in model.spec)
    hub.files[f"{model.repository}open_clip_model.safetensors"] = b"weights"
    hub.files[f"{model.repository}tokenizer.json"] = b"{}"
    hub.files[f"{model.repository}README.md"] = b"not needed"
    run(PULL.format(spec=model.spec))
    there = {path.name for path in (tmp_path / "hf").rglob("*") if path.is_file()}
    assert {"open_clip_model.safetensors", "tokenizer.json"} <= there
    assert "README.md" not in there


def test_what_the_hub_has_not_is_said_in_words(hub: FakeHub, run) -> None:
    missing = run(PULL.format(spec="hf-hub:no/such"))
    assert missing["kind"] == "ModelUnavailable"
    assert "no/such" in missing["error"]
    hub.files["someone/other/README.md"] = b"a model of another kind"
    other = run(PULL.format(spec="hf-hub:someone/other"))
    assert "no OpenCLIP model" in other["error"]


def test_a_hub_that_cannot_be_reached_is_said_in_words(run) -> None:
    away = "import os\nos.environ['HF_ENDPOINT'] = 'http://127.0.0.1:9'\n"
    result = run(away + PULL.format(spec=KNOWN.spec))
    assert result["kind"] == "ModelUnavailable"
    assert "could not be downloaded" in result["error"]
    assert "connection" in result["hint"]


@pytest.mark.parametrize(
    "spec", ["builtin", "fake", "ViT-B-32:/tmp/weights.pt", "local-dir:/tmp", "ViT-B-32", ""]
)
def test_only_models_of_the_hub_can_be_pulled(spec: str) -> None:
    with pytest.raises(BadUsage, match="no model of the hub"):
        registry.pull(spec, lambda *_: None)


@pytest.mark.parametrize(
    ("spec", "in_error", "in_hint"),
    [
        ("ViT-B32:openai", "no model 'ViT-B32'", "ViT-B-32"),
        ("vit-b-32:openai", "no model 'vit-b-32'", "ViT-B-32"),
        ("ViT-B-32", "is an architecture", "ViT-B-32:laion2b_s34b_b79k"),
        ("ViT-B-32:", "is an architecture", "ViT-B-32:laion2b_s34b_b79k"),
        ("buildin", "no model 'buildin'", "builtin"),
        ("xyzzy", "no model 'xyzzy'", "models list"),
        ("", "no model ''", "models list"),
        ("ViT-B-32:laion3b", "no weights 'laion3b'", "laion2b_s34b_b79k"),
        ("ViT-B-32:/no/such/file.safetensors", "no file /no/such/file.safetensors", ""),
        ("local-dir:/no/such/folder", "open_clip_config.json", ""),
        ("hf-hub:someone/never-pulled", "not on this machine", "models pull hf-hub:someone/never-pulled"),
        ("hf-hub:not a name", "not a name", ""),
    ],
)
def test_a_spec_that_leads_nowhere_is_answered_with_the_way_out(
    spec: str, in_error: str, in_hint: str
) -> None:
    with pytest.raises(ModelUnavailable) as caught:
        registry.resolve(spec)
    assert in_error in str(caught.value)
    assert in_hint in caught.value.hint
    assert not registry.is_present(spec)


def test_a_file_of_weights_may_be_named_from_here_or_from_home(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    full = f"ViT-B-32:{tmp_path}/weights.safetensors"
    for spec in (
        "ViT-B-32:weights.safetensors",
        "ViT-B-32:./weights.safetensors",
        "ViT-B-32:~/weights.safetensors",
        full,
    ):
        source = registry.resolve(spec)
        assert source.spec == full
        assert source.architecture == "ViT-B-32"


def test_a_folder_is_a_model_when_it_holds_config_and_weights(tmp_path: Path, tiny_weights: bytes) -> None:
    config = {"model_cfg": TINY, "preprocess_cfg": PREPROCESSING}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    assert not registry.is_present(f"local-dir:{tmp_path}")
    (tmp_path / "open_clip_model.safetensors").write_bytes(tiny_weights)
    encoder = registry.load(f"local-dir:{tmp_path}", "cpu")
    assert encoder.card.preprocessing.mean == (0.5, 0.5, 0.5)
    assert encoder.card.dimension == encoder.encode_texts(["a dog"]).shape[1] == 32


def test_a_fake_model_needs_no_files(tmp_path: Path) -> None:
    assert isinstance(registry.load("fake"), FakeEncoder)
    assert registry.load("fake:slow").card.spec == "fake:slow"
    assert isinstance(open_text_encoder("fake", str(tmp_path / "none")), FakeEncoder)


def test_texts_are_encoded_by_the_tower_and_without_it_by_the_model(
    tmp_path: Path, tiny_weights: bytes
) -> None:
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": TINY}))
    (tmp_path / "open_clip_model.safetensors").write_bytes(tiny_weights)
    spec, tower = f"local-dir:{tmp_path}", str(tmp_path / "tower")
    whole = open_text_encoder(spec, tower, "cpu")
    expected = whole.encode_texts(["a dog"])
    assert whole.export_text_tower(tower)
    light = open_text_encoder(spec, tower, "cpu")
    assert type(light).__name__ == "TextTower"
    assert light.encode_texts(["a dog"]) @ expected.T == pytest.approx(1)
    Path(tower).write_bytes(Path(tower).read_bytes()[:1000])
    assert type(open_text_encoder(spec, tower, "cpu")) is type(whole)


def test_the_suggested_models_are_as_openclip_has_them() -> None:
    for model in registry.SUGGESTED:
        name, tag = model.spec.split(":")
        assert open_clip.get_pretrained_cfg(name, tag)["hf_hub"] == model.repository
        assert open_clip.get_model_config(name)["embed_dim"] == model.dimension
        with torch.device("meta"):
            built = open_clip.create_model(name, device="meta")
        megabytes = sum(parameter.numel() for parameter in built.parameters()) * 4 / 1e6
        assert model.megabytes == pytest.approx(megabytes, rel=0.01)


def test_all_models_are_openclips() -> None:
    specs = registry.all_models()
    assert len(specs) > 100
    assert {model.spec for model in registry.SUGGESTED} <= set(specs)
