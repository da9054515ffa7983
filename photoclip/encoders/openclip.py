"""OpenCLIP models: the only room that imports torch, and the place where OpenCLIP's traps are closed.

Evaluation mode, no gradients, the preprocessing and the activation the weights were trained with, weights
that are really there, unit-length float32 embeddings on every device, and no word to the network.
"""

from __future__ import annotations

import importlib
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from photoclip import config
from photoclip.encoders import hub, registry
from photoclip.encoders.cpu import CpuTower, normalised
from photoclip.encoders.text import FORMAT
from photoclip.encoders.tokenizer import merge_table
from photoclip.errors import BadUsage, ModelUnavailable, PhotoclipError
from photoclip.records import ModelCard, Preprocessing

if TYPE_CHECKING:
    from photoclip.encoders import Float32, Uint8

_TEXTS_AT_ONCE = 256


def load(source: registry.ModelSource, device: str = "auto") -> OpenClipEncoder:
    """Return the encoder of ``source`` on ``device`` (``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``).

    ``auto`` is CUDA where there is one, else Apple's MPS, else the CPU. Raise BadUsage for a device this
    machine has not, ModelUnavailable when the weights cannot be loaded as what they are said to be.
    """
    config.forbid_network()
    with _quiet(), hub.network(allowed=False):
        _import_openclip()
        chosen = _device(device)
        try:
            model, dimension = _create(source)
            model.eval().requires_grad_(False).to(chosen)
            card = ModelCard(
                spec=source.spec,
                weights_hash=hub.sha256(source.weights),
                dimension=dimension,
                preprocessing=_preprocessing(model),
                name=source.name,
                logit_scale=float(model.logit_scale.exp()),
            )
        except ModelUnavailable:
            raise
        except Exception as error:
            # OpenCLIP, torch, safetensors and pickle fail in many ways on a file that is not what it says.
            raise ModelUnavailable(
                f"{source.weights} cannot be loaded as {source.architecture}: {_first_line(error)}",
                "the file may be damaged, or belong to another architecture",
            ) from error
    return OpenClipEncoder(card, model, source.tokenizer, chosen)


def hub_repository(architecture: str, tag: str) -> str:
    """Return where OpenCLIP finds the weights of ``architecture``:``tag`` on the hub: ``ORG/REPO/[FILE]``.

    Raise ModelUnavailable, with the tags it does know, when OpenCLIP knows no such weights.
    """
    open_clip = _import_openclip()
    found = open_clip.get_pretrained_cfg(architecture, tag).get("hf_hub", "")
    if found:
        return str(found)
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    raise ModelUnavailable(
        f"OpenCLIP has no weights {tag!r} for {architecture}",
        f"it has {', '.join(tags)}" if tags else "give a file of weights: NAME:/path/to/weights.safetensors",
    )


def all_models() -> list[str]:
    """Return the specs of all the weights OpenCLIP knows, as ``NAME:TAG``."""
    open_clip = _import_openclip()
    return [f"{architecture}:{tag}" for architecture, tag in open_clip.list_pretrained()]


class OpenClipEncoder:
    """An OpenCLIP model in memory. It implements ``Encoder``; ``load`` makes one."""

    def __init__(self, card: ModelCard, model: Any, tokenizer_name: str, device: str) -> None:
        self.card = card
        self.device = device
        self._model = model
        self._tokenizer_name = tokenizer_name

    def encode_images(self, pixels: Uint8) -> Float32:
        """Return unit-length float32 embeddings, shape (n, dimension).

        ``pixels``: uint8 RGB, shape (n, size, size, 3), resized as ``card.preprocessing`` says. Raise
        ModelUnavailable when an embedding is not finite.
        """
        import torch

        if not len(pixels):
            return np.empty((0, self.card.dimension), dtype=np.float32)
        if self._tower is not None:
            return self._of_unit_length(torch.from_numpy(self._tower.features(pixels)))
        with torch.inference_mode():
            return self._unit(
                self._model.encode_image, normalised(pixels, self.card.preprocessing, self.device)
            )

    def prepare(self, photos: int) -> None:
        """Get ready for about so many photos: what takes seconds pays for many only."""
        if self._tower is not None:
            with _quiet():
                self._tower.prepare(photos)

    @cached_property
    def _tower(self) -> CpuTower | None:
        """The image tower by itself, on a CPU, if ``encode_image`` is all it does."""
        import open_clip

        if self.device != "cpu" or type(self._model) not in (open_clip.CLIP, open_clip.CustomTextCLIP):
            return None
        return CpuTower(self._model.visual, self.card.preprocessing)

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        """Return unit-length float32 embeddings, shape (len(texts), dimension).

        Raise ModelUnavailable when an embedding is not finite, or when the tokenizer, which some models keep
        in files of its own, is not on this machine.
        """
        import torch

        parts = [np.empty((0, self.card.dimension), dtype=np.float32)]
        with torch.inference_mode():
            for first in range(0, len(texts), _TEXTS_AT_ONCE):
                ids = self._tokenizer(list(texts[first : first + _TEXTS_AT_ONCE])).to(self.device)
                parts.append(self._unit(self._model.encode_text, ids))
        return np.concatenate(parts)

    def export_text_tower(self, path: str) -> bool:
        """Write the text tower to ``path`` for ``encoders.text``, whole or not at all.

        Return False, and write nothing, when this model's text side is of a kind that needs torch.
        """
        text = getattr(self._model, "text", self._model)
        if not (_is_plain_transformer(text) and _is_plain_tokenizer(self._tokenizer, text.vocab_size)):
            return False
        _write_tower(text, self._tokenizer, path)
        return True

    @cached_property
    def _tokenizer(self) -> Any:
        """OpenCLIP's tokenizer of this model."""
        import open_clip

        with _quiet(), hub.network(allowed=False):
            try:
                return open_clip.get_tokenizer(self._tokenizer_name)
            except Exception as error:
                # transformers raises OSError, ValueError or ImportError, with long advice about the network.
                raise ModelUnavailable(
                    f"the tokenizer of {self.card.spec} is not on this machine: {_first_line(error)}",
                    "`photoclip models pull NAME:TAG` downloads the tokenizer of NAME with the weights",
                ) from error

    def _unit(self, encode: Any, batch: Any) -> Float32:
        """Return ``encode(batch)`` as unit-length float32 rows, in half precision on CUDA where that does."""
        import torch

        kind = self.device.partition(":")[0]
        try:
            with torch.autocast(kind, torch.float16, enabled=kind == "cuda"):
                features = encode(batch).float()
            if kind == "cuda" and not features.isfinite().all():
                # Half precision ends at 65,504; some large models go beyond it.
                features = encode(batch).float()
        except torch.cuda.OutOfMemoryError as error:
            raise PhotoclipError(
                f"the GPU has too little memory for {len(batch)} at once", "use a smaller --batch-size"
            ) from error
        return self._of_unit_length(features)

    def _of_unit_length(self, features: Any) -> Float32:
        import torch

        unit = torch.nn.functional.normalize(features, dim=-1)
        if not unit.isfinite().all():
            raise ModelUnavailable(f"the model {self.card.spec} gives embeddings that are not finite")
        result: Float32 = unit.cpu().numpy()
        return result


def _import_openclip() -> Any:
    """Return the module open_clip, imported with torch and torchvision, or say in words why that fails."""
    try:
        with _quiet():
            return importlib.import_module("open_clip")
    except ImportError as error:
        raise ModelUnavailable(
            f"OpenCLIP cannot be imported: {error}", "install photoclip again, with its dependencies"
        ) from error
    except (OSError, RuntimeError) as error:
        if "torchvision::" not in str(error):
            raise ModelUnavailable(f"torch cannot be imported: {_first_line(error)}") from error
        raise ModelUnavailable(
            "torch and torchvision do not fit together",
            "install both from the same index and for the same device (both CPU, or both the same CUDA)",
        ) from error


def _device(wanted: str) -> str:
    """Return the torch device for the word of the user."""
    import torch

    has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if wanted == "auto":
        return "cuda" if has_cuda else "mps" if has_mps else "cpu"
    kind, _, number = wanted.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not (kind == "cuda" and number.isdecimal())):
        raise BadUsage(f"there is no device {wanted!r}", "use auto, cpu, cuda, cuda:N or mps")
    if kind == "cuda" and not has_cuda:
        built = "torch sees no GPU" if torch.version.cuda else "this torch was built without CUDA"
        raise BadUsage(f"CUDA is not available: {built}", "use --device auto or --device cpu")
    if kind == "cuda" and number and int(number) >= torch.cuda.device_count():
        raise BadUsage(f"there is no GPU {number}: torch sees {torch.cuda.device_count()}")
    if kind == "mps" and not has_mps:
        raise BadUsage("MPS is not available on this machine", "use --device auto or --device cpu")
    return wanted


def _create(source: registry.ModelSource) -> tuple[Any, int]:
    """Return OpenCLIP's model with its weights, and the length of its embeddings."""
    import open_clip

    if source.spec == registry.BUILTIN:
        from photoclip.encoders import builtin

        builtin.register()
    known = _known_weights(source)
    model = open_clip.create_model(
        source.architecture,
        pretrained=source.weights,
        # OpenCLIP only warns when weights trained with QuickGELU meet a config without it.
        force_quick_gelu=known.get("quick_gelu", False),
        force_preprocess_cfg={key: known[key] for key in _PREPROCESSING_KEYS if key in known},
        require_pretrained=True,
        weights_only=True,
    )
    return model, open_clip.get_model_config(source.architecture)["embed_dim"]


_PREPROCESSING_KEYS = ("mean", "std", "interpolation", "resize_mode")


def _known_weights(source: registry.ModelSource) -> dict[str, Any]:
    """Return what OpenCLIP knows of these weights beyond the file: preprocessing and activation.

    Of a user's file it knows nothing, and would fall back to the preprocessing of OpenAI's CLIP, which is
    wrong for SigLIP and others. Where all weights it knows of an architecture agree, the file is taken to.
    """
    import open_clip

    name = source.architecture
    known: dict[str, Any] = open_clip.get_pretrained_cfg(name, source.tag or source.weights)
    if known:
        return known
    others = [
        open_clip.get_pretrained_cfg(name, tag) for tag in open_clip.list_pretrained_tags_by_model(name)
    ]
    return {key: others[0][key] for key in _PREPROCESSING_KEYS if len({other[key] for other in others}) == 1}


def _preprocessing(model: Any) -> Preprocessing:
    """Return how the model wants its pictures, as OpenCLIP attached it to the model."""
    from open_clip.model import get_model_preprocess_cfg

    wanted = get_model_preprocess_cfg(model)
    size = wanted["size"]
    height, width = (size, size) if isinstance(size, int) else size
    if height != width:
        raise ModelUnavailable(
            f"this model takes pictures of {width} x {height} pixels; photoclip needs a square"
        )
    return Preprocessing(
        size=height,
        resize=wanted["resize_mode"],
        interpolation="bilinear" if wanted["interpolation"] == "bilinear" else "bicubic",
        mean=tuple(wanted["mean"]),
        std=tuple(wanted["std"]),
        fill=wanted["fill_color"],
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep warnings and log records of OpenCLIP, timm and transformers off the user's terminal."""
    # OpenCLIP logs to the root logger, which would install a handler on stderr for good if it found none.
    silent, threshold = logging.NullHandler(), logging.root.manager.disable
    logging.root.addHandler(silent)
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(threshold)
        logging.root.removeHandler(silent)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _write_tower(text: Any, tokenizer: Any, path: str) -> None:
    """Write a plain text side as ``encoders.text`` reads it."""
    import torch

    block = text.transformer.resblocks[0]
    metadata = {
        "format": FORMAT,
        "heads": str(block.attn.num_heads),
        "activation": "gelu" if isinstance(block.mlp.gelu, torch.nn.GELU) else "quick_gelu",
        "causal": "false" if text.attn_mask is None else "true",
        "eps": repr(text.ln_final.eps),
    }
    tensors = {
        name: tensor.detach().to("cpu", torch.float32).contiguous()
        for name, tensor in text.state_dict().items()
        if name.startswith(
            ("token_embedding", "positional_embedding", "transformer", "ln_final", "text_projection")
        )
    }
    merges = "\n".join(["", *(" ".join(merge) for merge in tokenizer.bpe_ranks)])
    table, row_length = merge_table(merges.encode("utf-8"))
    tensors["merges"] = torch.frombuffer(bytearray(table), dtype=torch.uint8).reshape(-1, row_length)
    _write_safetensors(tensors, metadata, path)


def _is_plain_transformer(text: Any) -> bool:
    """Return whether ``encoders.text`` computes what this text side computes."""
    import torch
    from open_clip.transformer import QuickGELU, ResidualAttentionBlock

    pool = getattr(text, "text_pool_type", getattr(text, "pool_type", ""))
    if pool != "argmax" or not isinstance(getattr(text, "text_projection", None), torch.nn.Parameter):
        return False
    if getattr(text, "cls_emb", None) is not None or getattr(text, "use_pad_mask", False):
        return False
    return all(
        type(block) is ResidualAttentionBlock
        and isinstance(block.ls_1, torch.nn.Identity)
        and (
            type(block.mlp.gelu) is QuickGELU
            or (type(block.mlp.gelu) is torch.nn.GELU and block.mlp.gelu.approximate == "none")
        )
        for block in text.transformer.resblocks
    )


def _is_plain_tokenizer(tokenizer: Any, vocabulary_size: int) -> bool:
    """Return whether ``encoders.tokenizer`` gives the ids this tokenizer gives."""
    from open_clip import tokenizer as openclip

    return (
        type(tokenizer) is openclip.SimpleTokenizer
        and tokenizer.clean_fn is openclip.get_clean_fn("lower")
        and tokenizer.reduction_fn is None
        and tokenizer.vocab_size == vocabulary_size == 512 + len(tokenizer.bpe_ranks) + 2
    )


def _write_safetensors(tensors: dict[str, Any], metadata: dict[str, str], path: str) -> None:
    """Write ``tensors`` to ``path`` through a neighbour, so that no reader ever sees half a file."""
    from safetensors.torch import save_file

    partial = f"{path}.{os.getpid()}.partial"
    try:
        save_file(tensors, partial, metadata)
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        if os.path.exists(partial):
            os.remove(partial)
        raise
