"""Which models there are, how they are named, and where their files lie. It never imports torch itself.

A model is named by its spec:

    builtin                             the model inside the package
    NAME:TAG                            an OpenCLIP architecture and pretrained tag, from the hub's cache
    NAME:/path/to/weights.safetensors   an OpenCLIP architecture and a file of weights
    hf-hub:ORG/REPO                     an OpenCLIP model of the Hugging Face hub, from its cache
    local-dir:/path/to/folder           a folder with open_clip_config.json and weights
    fake, fake:slow                     colour words, for tests

Only ``pull`` ever uses the network.
"""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from photoclip.encoders import hub
from photoclip.errors import BadUsage, ModelUnavailable

if TYPE_CHECKING:
    from photoclip.encoders import Encoder

BUILTIN = "builtin"
"""The spec of the model inside the package."""


class SuggestedModel(NamedTuple):
    """A model of the hub worth naming: ``megabytes`` (10^6 bytes, about) are what ``pull`` downloads."""

    spec: str
    repository: str
    megabytes: int
    dimension: int
    good_for: str


SUGGESTED = (
    SuggestedModel(
        "ViT-B-32:laion2b_s34b_b79k",
        "laion/CLIP-ViT-B-32-laion2B-s34B-b79K/",
        605,
        512,
        "a good first choice: fast on a CPU, and its queries need no torch",
    ),
    SuggestedModel(
        "ViT-B-32:openai",
        "timm/vit_base_patch32_clip_224.openai/",
        605,
        512,
        "OpenAI's first CLIP, the model most others are compared with",
    ),
    SuggestedModel(
        "MobileCLIP2-S0:dfndr2b",
        "timm/MobileCLIP2-S0-OpenCLIP/",
        300,
        512,
        "the smallest download, made for small devices",
    ),
    SuggestedModel(
        "MobileCLIP-S2:datacompdr",
        "apple/MobileCLIP-S2-OpenCLIP/",
        400,
        512,
        "small and made for small devices",
    ),
    SuggestedModel(
        "ViT-B-16:datacomp_xl_s13b_b90k",
        "laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K/",
        600,
        512,
        "sees smaller details than ViT-B-32, at about four times its computation",
    ),
    SuggestedModel(
        "ViT-L-14:datacomp_xl_s13b_b90k",
        "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K/",
        1710,
        768,
        "large: for a GPU",
    ),
    SuggestedModel(
        "ViT-B-16-SigLIP2:webli",
        "timm/ViT-B-16-SigLIP2/",
        1501,
        768,
        "queries in many languages; every query needs torch",
    ),
)
"""A short list for ``models list``; ``all_models`` has the rest. Megabytes are parameters x 4 bytes."""

_CONFIG_FILE = "open_clip_config.json"
# The order in which OpenCLIP itself looks.
_WEIGHTS_FILES = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    "model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.pth",
    "model.pth",
)
_HUB_WEIGHTS: tuple[str, ...] = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_TEXT_FILES = ["tokenizer*", "special_tokens_map.json", "vocab*", "merges.txt", "*.model", "config.json"]


class ModelSource(NamedTuple):
    """A model whose files are on this machine.

    ``spec`` in its full form; ``architecture`` and ``tokenizer``: the names OpenCLIP builds them by;
    ``weights``: the file; ``tag``: the pretrained tag, empty for a file of the user's; ``name``: for people.
    """

    spec: str
    architecture: str
    weights: str
    tokenizer: str
    tag: str = ""
    name: str = ""


def resolve(spec: str) -> ModelSource:
    """Return where the files of ``spec`` lie, without the network.

    Raise ModelUnavailable when it is unknown (the hint has the nearest names), or known but not on this
    machine (the hint is the command that gets it).
    """
    if spec in ("fake", "fake:slow"):
        return ModelSource(spec, "", "", "", name="colour words (for tests)")
    if spec == BUILTIN:
        return _builtin()
    scheme, colon, rest = spec.partition(":")
    if scheme == "local-dir" and rest:
        return _folder(_absolute(rest))
    if scheme == "hf-hub" and rest:
        return _hub_model(spec, rest)
    if not colon or not rest:
        raise _incomplete(spec)
    if scheme not in architectures():
        raise unknown_architecture(scheme)
    if _is_path(rest):
        return _file(scheme, _absolute(rest))
    return _hub_weights(scheme, _clean_tag(rest))


def is_present(spec: str) -> bool:
    """Return whether the files of ``spec`` are on this machine."""
    try:
        resolve(spec)
    except ModelUnavailable:
        return False
    return True


def load(spec: str, device: str = "auto") -> Encoder:
    """Return the encoder of ``spec`` on ``device`` (``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``mps``).

    Raise ModelUnavailable when the model is not on this machine or cannot be loaded, BadUsage when there
    is no such device.
    """
    source = resolve(spec)
    if spec.startswith("fake"):
        from photoclip.encoders.fake import FakeEncoder

        return FakeEncoder(slow=spec == "fake:slow")
    from photoclip.encoders import openclip

    return openclip.load(source, device)


def pull(spec: str, progress: hub.Progress) -> Path:
    """Download the files of ``spec`` from the hub and return the path of its weights.

    ``progress`` is called with bytes here and bytes in all. Raise BadUsage when ``spec`` is no model of the
    hub, ModelUnavailable when it cannot be had.
    """
    scheme, _, rest = spec.partition(":")
    if scheme == "hf-hub" and rest:
        repository, candidates = rest, _HUB_WEIGHTS
        config_file = hub.download(repository, _CONFIG_FILE, progress)
        if config_file is None:
            raise ModelUnavailable(f"{repository} is no OpenCLIP model: it has no {_CONFIG_FILE}")
    elif scheme in architectures() and rest and not _is_path(rest):
        repository, candidates = _hub_location(scheme, _clean_tag(rest))
        config_file = architectures()[scheme]
    else:
        raise BadUsage(f"{spec} is no model of the hub", "name one as NAME:TAG or hf-hub:ORG/REPO")
    for filename in candidates:
        weights = hub.download(repository, filename, progress)
        if weights is not None:
            _pull_text_side(config_file)
            return Path(weights)
    raise ModelUnavailable(f"{repository} has none of the files {', '.join(candidates)}")


def all_models() -> list[str]:
    """Return the specs ``NAME:TAG`` of all the weights OpenCLIP knows. Slow: it imports OpenCLIP."""
    from photoclip.encoders import openclip

    return openclip.all_models()


def architectures() -> dict[str, str]:
    """Return the names of OpenCLIP's architectures, and the file with the config of each."""
    package = importlib.util.find_spec("open_clip")
    if package is None or not package.submodule_search_locations:
        return {}
    folder = Path(package.submodule_search_locations[0]) / "model_configs"
    return {file.stem: str(file) for file in sorted(folder.glob("*.json"))}


def unknown_architecture(name: str) -> ModelUnavailable:
    """Return the error for a name that is no architecture, with the nearest names as its hint."""
    import difflib

    by_lower = {known.lower(): known for known in (BUILTIN, *architectures())}
    near = [by_lower[lower] for lower in difflib.get_close_matches(name.lower(), by_lower, 3)]
    hint = f"did you mean {' or '.join(near)}?" if near else "`photoclip models list` shows some models"
    return ModelUnavailable(f"there is no model {name!r}", hint)


def _builtin() -> ModelSource:
    from photoclip.encoders import builtin

    weights = str(builtin.WEIGHTS_PATH)
    if not os.path.isfile(weights):
        raise ModelUnavailable(f"the built-in model is missing: {weights}", "install photoclip again")
    return ModelSource(BUILTIN, builtin.NAME, weights, builtin.NAME, name="built-in model")


def _file(architecture: str, weights: str) -> ModelSource:
    if not os.path.isfile(weights):
        raise ModelUnavailable(f"there is no file {weights}")
    name = f"{architecture} ({os.path.basename(weights)})"
    return ModelSource(f"{architecture}:{weights}", architecture, weights, architecture, name=name)


def _folder(folder: str) -> ModelSource:
    if not os.path.isfile(os.path.join(folder, _CONFIG_FILE)):
        raise ModelUnavailable(f"{folder} holds no OpenCLIP model: there is no {_CONFIG_FILE}")
    for filename in _WEIGHTS_FILES:
        weights = os.path.join(folder, filename)
        if os.path.isfile(weights):
            spec = f"local-dir:{folder}"
            return ModelSource(spec, spec, weights, spec, name=os.path.basename(folder))
    raise ModelUnavailable(f"{folder} holds none of the files {', '.join(_WEIGHTS_FILES)}")


def _hub_model(spec: str, repository: str) -> ModelSource:
    config_file = hub.cached(repository, _CONFIG_FILE)
    for filename in _HUB_WEIGHTS:
        weights = hub.cached(repository, filename)
        if weights is not None and config_file is not None:
            # The folder in the cache, so that OpenCLIP has no reason to ask the hub.
            folder = f"local-dir:{os.path.dirname(config_file)}"
            return ModelSource(spec, folder, weights, spec, name=repository)
    raise _not_here(spec)


def _hub_weights(architecture: str, tag: str) -> ModelSource:
    spec = f"{architecture}:{tag}"
    repository, candidates = _hub_location(architecture, tag)
    for filename in candidates:
        weights = hub.cached(repository, filename)
        if weights is not None:
            return ModelSource(spec, architecture, weights, architecture, tag, f"{architecture} ({tag})")
    raise _not_here(spec)


def _hub_location(architecture: str, tag: str) -> tuple[str, tuple[str, ...]]:
    """Return the repository of these weights, and the names their file may have there, best first."""
    spec = f"{architecture}:{tag}"
    location = next((model.repository for model in SUGGESTED if model.spec == spec), "")
    if not location:
        # OpenCLIP's table of weights cannot be read without importing torch.
        from photoclip.encoders import openclip

        location = openclip.hub_repository(architecture, tag)
    repository, _, filename = location.rpartition("/")
    if not filename:
        return repository, _HUB_WEIGHTS
    return repository, (os.path.splitext(filename)[0] + ".safetensors", filename)


def _pull_text_side(config_file: str) -> None:
    """Fetch what a text side of the transformers library needs: its tokenizer, and the shape of its model."""
    with open(config_file, encoding="utf-8") as file:
        model_config: dict[str, Any] = json.load(file)
    text: dict[str, Any] = model_config.get("model_cfg", model_config)["text_cfg"]
    for repository in {text.get("hf_tokenizer_name", ""), text.get("hf_model_name", "")}:
        if repository:
            hub.download_matching(repository, _TEXT_FILES)


def _not_here(spec: str) -> ModelUnavailable:
    size = next((f" (about {model.megabytes} MB)" for model in SUGGESTED if model.spec == spec), "")
    return ModelUnavailable(
        f"the model {spec} is not on this machine", f"`photoclip models pull {spec}` downloads it{size}"
    )


def _incomplete(spec: str) -> ModelUnavailable:
    name = spec.rstrip(":")
    if name not in architectures():
        return unknown_architecture(name)
    known = [model.spec for model in SUGGESTED if model.spec.startswith(f"{name}:")]
    hint = f"for example {known[0]}" if known else "`photoclip models list --all` shows them"
    return ModelUnavailable(f"{name} is an architecture; its weights must be named too: {name}:TAG", hint)


def _is_path(text: str) -> bool:
    return os.sep in text or text.startswith("~") or text.endswith((".safetensors", ".pt", ".pth", ".bin"))


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def _clean_tag(tag: str) -> str:
    """Return ``tag`` as OpenCLIP's table spells it."""
    return tag.lower().replace("-", "_")
