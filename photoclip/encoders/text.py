"""A model's text tower without torch: what makes a query fast.

``encoders.openclip`` writes the tower once, as one file in the safetensors layout. Here it is mapped into
memory, so that only the rows a query touches are read, and run with numpy in float32. The result is that of
OpenCLIP's ``encode_text`` to rounding.

The file holds the weights under OpenCLIP's names, the merges of the tokenizer (``merges``, bytes: the table
of ``encoders.tokenizer.merge_table``), and in ``__metadata__``: ``format``, ``heads``, ``activation``
(``gelu`` or ``quick_gelu``), ``causal`` (``true`` or ``false``) and ``eps`` (of the layer norms). Sizes are
those of the arrays.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from photoclip.encoders.tokenizer import Tokenizer
from photoclip.errors import ModelUnavailable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from photoclip.encoders import Float32, TextEncoder

    Int64 = NDArray[np.int64]
    Bools = NDArray[np.bool_]

FORMAT = "photoclip text tower 1"
"""The format this version writes and reads."""

_POSITIONS_AT_ONCE = 1024
_SHORT, _ROWS = 16, 16  # positions of a short query, rows of weights for one product
_ENDS = (
    "token_embedding.weight",
    "positional_embedding",
    "ln_final.weight",
    "ln_final.bias",
    "text_projection",
)
_LAYER = (
    *("ln_1.weight", "ln_1.bias", "ln_2.weight", "ln_2.bias"),
    *("attn.in_proj_weight", "attn.in_proj_bias", "attn.out_proj.weight", "attn.out_proj.bias"),
    *("mlp.c_fc.weight", "mlp.c_fc.bias", "mlp.c_proj.weight", "mlp.c_proj.bias"),
)
_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "U8": np.dtype("u1")}


def open_text_encoder(spec: str, tower_path: str, device: str = "auto") -> TextEncoder:
    """Return what encodes texts for the model ``spec``: its exported text tower, else the whole model.

    ``tower_path`` may name no file, or a damaged one: then the whole model answers. Raise as
    ``registry.load``.
    """
    if not spec.startswith("fake"):
        try:
            return TextTower.open(tower_path)
        except ModelUnavailable:
            # The tower is only a short cut.
            pass
    from photoclip.encoders import registry

    return registry.load(spec, device)


class TextTower:
    """A text tower on disk. It implements ``TextEncoder``; ``TextTower.open`` makes one."""

    def __init__(self, metadata: dict[str, str], tensors: dict[str, NDArray[Any]], mapped: mmap.mmap) -> None:
        self._mapped = mapped
        self._was_asked = False
        self._heads = int(metadata["heads"])
        self._activation = {"gelu": _gelu, "quick_gelu": _quick_gelu}[metadata["activation"]]
        self._causal = {"true": True, "false": False}[metadata["causal"]]
        self._eps = np.float32(metadata["eps"])
        self._tensors = tensors
        self._layers = sum(name.endswith(".ln_1.weight") for name in tensors)
        layers = [f"transformer.resblocks.{layer}.{part}" for layer in range(self._layers) for part in _LAYER]
        if missing := {*_ENDS, *layers} - tensors.keys():
            raise ValueError(f"it has no {min(missing)}")
        self._context_length, self._width = tensors["positional_embedding"].shape
        self._dimension = tensors["text_projection"].shape[1]
        table = tensors["merges"]
        self._tokenizer = Tokenizer(table.tobytes(), table.shape[1], self._context_length)
        if self._tokenizer.vocabulary_size != len(tensors["token_embedding.weight"]):
            raise ValueError("its merges do not belong to its embeddings")

    @classmethod
    def open(cls, path: str) -> TextTower:
        """Return the tower in the file ``path``.

        Raise ModelUnavailable when there is no such file, or it is damaged or of another format: the way
        out is to export it anew.
        """
        try:
            return cls(*_read(path))
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise ModelUnavailable(f"the text tower {path} cannot be used: {error}") from error

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        """Return unit-length float32 embeddings, shape (len(texts), dimension).

        Raise ModelUnavailable when one is not finite: the weights are damaged.
        """
        embeddings = np.empty((len(texts), self._dimension), dtype=np.float32)
        for batch in self._batches(texts):
            states = self._run(batch)[batch.ends]
            embeddings[batch.places] = self._norm(states, "ln_final") @ self._tensors["text_projection"]
        embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
        if not np.isfinite(embeddings).all():
            raise ModelUnavailable("the text tower is damaged: it gives embeddings that are not finite")
        self._was_asked = True
        return embeddings

    def _batches(self, texts: Sequence[str]) -> Iterator[_Batch]:
        """Yield the texts, those together that begin alike."""
        encoded = []
        for place, text in enumerate(texts):
            ids = self._tokenizer.encode(text)
            # A text may spell out "<end_of_text>": OpenCLIP looks at the first one.
            end = ids.index(ids[-1])
            # In a causal tower nothing after the end matters, so the padding is left out.
            ids = ids[: end + 1] if self._causal else ids + [0] * (self._context_length - len(ids))
            encoded.append((ids, place, end))
        encoded.sort()
        most = _POSITIONS_AT_ONCE if self._causal else _POSITIONS_AT_ONCE // 4  # each looks at all of a text
        batch = _Batch(self._causal)
        for ids, place, end in encoded:
            if len(batch.ids) + len(ids) > most and batch.ids:
                yield batch
                batch = _Batch(self._causal)
            batch.add(ids, place, end)
        if batch.ids:
            yield batch

    def _run(self, batch: _Batch) -> Float32:
        """Return the states of a batch after the last layer, (positions, width)."""
        states: Float32 = self._tensors["token_embedding.weight"][batch.ids]
        states += self._tensors["positional_embedding"][batch.depths]
        seen, is_seen = batch.seen()
        for layer in range(self._layers):
            name = f"transformer.resblocks.{layer}."
            states += self._attend(self._norm(states, name + "ln_1"), seen, is_seen, name + "attn.")
            hidden = self._activation(self._linear(self._norm(states, name + "ln_2"), name + "mlp.c_fc."))
            states += self._linear(hidden, name + "mlp.c_proj.")
            self._forget()
        return states

    def _forget(self) -> None:
        """Let go of what was read of the file: who asks once needs each layer once, and they are large. Who
        asks again is faster with them in memory."""
        if not self._was_asked and hasattr(mmap, "MADV_DONTNEED"):
            self._mapped.madvise(mmap.MADV_DONTNEED)

    def _attend(self, states: Float32, seen: Int64, is_seen: Bools, name: str) -> Float32:
        """Return scaled dot-product attention with several heads (Vaswani et al. 2017).

        ``seen``, (positions, longest): what each position looks at, where ``is_seen``.
        """
        count, width = states.shape
        mixed = self._linear(states, name + "in_proj_").reshape(count, 3, self._heads, -1)
        query, keys, values = mixed[:, 0], mixed[:, 1][seen], mixed[:, 2][seen]
        weights = np.einsum("phd,pshd->phs", query, keys)
        weights *= np.float32((width // self._heads) ** -0.5)
        weights = np.where(is_seen[:, None], weights, np.float32(-np.inf))
        weights -= weights.max(axis=2, keepdims=True)
        np.exp(weights, out=weights)
        weights /= weights.sum(axis=2, keepdims=True)
        context = np.einsum("phs,pshd->phd", weights, values).reshape(count, width)
        return self._linear(context, name + "out_proj.")

    def _linear(self, states: Float32, name: str) -> Float32:
        # One product for the whole batch, with the weights on the left: a fifth faster for a short query,
        # which does nothing but wait for the weights. A few rows of them at a time are twice as fast
        # where numpy's library multiplies small matrices without copying them first, and no slower elsewhere.
        weights, flat = self._tensors[name + "weight"], states.reshape(-1, states.shape[-1])
        if len(flat) <= _SHORT and len(weights) % _ROWS == 0:
            weights = weights.reshape(-1, _ROWS, weights.shape[1])
        rows = (weights @ flat.T).reshape(-1, len(flat)).T
        rows += self._tensors[name + "bias"]
        result: Float32 = rows.reshape(*states.shape[:-1], -1)
        return result

    def _norm(self, states: Float32, name: str) -> Float32:
        """Return layer normalisation (Ba et al. 2016)."""
        centred: Float32 = states - states.mean(axis=-1, keepdims=True)
        variance = (centred * centred).mean(axis=-1, keepdims=True)
        centred /= np.sqrt(variance + self._eps)
        centred *= self._tensors[name + ".weight"]
        centred += self._tensors[name + ".bias"]
        return centred


class _Batch:
    """Texts whose positions are worked on together.

    In a causal tower a position depends on those before it only. So texts that begin alike ("a photo of a
    cat", "a photo of a dog") share the positions of their beginning, and a prompt costs hardly more than
    its word.
    """

    def __init__(self, causal: bool) -> None:
        self.places: list[int] = []  # of the texts in what was asked
        self.ends: list[int] = []  # the position at the end of each text: its state is the embedding
        self.ids: list[int] = []
        self.depths: list[int] = []  # of each position in its text
        self._causal = causal
        self._seen: list[list[int]] = []
        self._known: dict[tuple[int, int], int] = {}

    def add(self, ids: Sequence[int], place: int, end: int) -> None:
        """Take a text that has these ``ids``."""
        path: list[int] = []
        for depth, token in enumerate(ids):
            before = (path[-1] if path else -1, token)
            position = self._known.get(before) if self._causal else None
            if position is None:
                position = self._known[before] = len(self.ids)
                self.ids.append(token)
                self.depths.append(depth)
                self._seen.append([*path, position] if self._causal else [])
            path.append(position)
        if not self._causal:
            self._seen[-len(ids) :] = [path] * len(ids)
        self.places.append(place)
        self.ends.append(path[end])

    def seen(self) -> tuple[Int64, Bools]:
        """Return the positions that each position looks at, (positions, longest), and where there are any."""
        lengths = np.array([len(path) for path in self._seen])
        is_seen = np.arange(lengths.max()) < lengths[:, None]
        seen = np.zeros(is_seen.shape, np.int64)
        seen[is_seen] = np.concatenate(self._seen)
        return seen, is_seen


def _gelu(x: Float32) -> Float32:
    """Return x times the normal distribution's cumulative probability at x (Hendrycks & Gimpel 2016).

    The tail of the distribution is formula 7.1.26 of Abramowitz & Stegun (error below 1e-7).
    """
    magnitude = np.abs(x)
    t = 1 / (1 + np.float32(0.3275911 / 2**0.5) * magnitude)
    tail = np.full_like(x, 1.061405429)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        tail *= t
        tail += np.float32(coefficient)
    tail *= t
    tail *= np.exp(np.float32(-0.5) * magnitude * magnitude)
    result: Float32 = np.maximum(x, 0) - np.float32(0.5) * magnitude * tail
    return result


def _quick_gelu(x: Float32) -> Float32:
    """Return x times the logistic function of 1.702 x: the activation of OpenAI's models."""
    # exp overflows to infinity far below zero, where the result is rightly 0.
    with np.errstate(over="ignore"):
        result: Float32 = x / (1 + np.exp(np.float32(-1.702) * x))
    return result


def _read(path: str) -> tuple[dict[str, str], dict[str, NDArray[Any]], mmap.mmap]:
    """Return the metadata and the arrays of a safetensors file, and the mapped memory they lie in.

    The layout: 8 bytes little-endian length of the header, the header (JSON: name to dtype, shape and
    offsets), the arrays. Raise ValueError, KeyError or TypeError when the file has not this shape.
    """
    with open(path, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    start = 8 + int.from_bytes(mapped[:8], "little")
    if start > len(mapped):
        raise ValueError("it is not whole")
    header = json.loads(mapped[8:start])
    metadata = header.pop("__metadata__")
    if metadata["format"] != FORMAT:
        raise ValueError(f"its format is {metadata['format']!r}, not {FORMAT!r}")
    tensors = {}
    for name, entry in header.items():
        dtype, (begin, end) = _DTYPES[entry["dtype"]], entry["data_offsets"]
        flat = np.frombuffer(mapped, dtype, (end - begin) // dtype.itemsize, start + begin)
        tensors[name] = flat.reshape(entry["shape"])
    return metadata, tensors, mapped
