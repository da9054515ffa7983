"""What the training loops share: a schedule, averaged weights and resumable checkpoints."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

SAVE_EVERY = 120.0  # seconds


def load(path: Path) -> Any:
    """What ``torch.save`` wrote, on the device that is trained on."""
    return torch.load(path, map_location=torch.get_default_device())


class Loop:
    """Runs a number of steps: linear warm-up, linear decay to zero, an average of the weights.

    ``average`` (an exponential moving average) is what gets used afterwards. The checkpoint holds both, the
    optimizer and the step, so that a stopped run goes on where it was. ``seconds`` counts this run's own.
    """

    def __init__(
        self,
        model: Any,
        optimizer: torch.optim.Optimizer,
        path: Path,
        steps: int,
        warm_up: int = 200,
        decay: float = 0.999,
    ) -> None:
        self.model, self.optimizer, self.path, self.steps = model, optimizer, path, steps
        self.warm_up, self.decay = warm_up, decay
        self.step, self.seconds = 0, 0.0
        self.average: Any = copy.deepcopy(model).requires_grad_(False)
        self._rates = [group["lr"] for group in optimizer.param_groups]
        if path.exists():
            self._resume()

    def _resume(self) -> None:
        state: dict[str, Any] = load(self.path)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]

    def save(self) -> None:
        """Write the checkpoint (replacing the old one in one move)."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "step": self.step,
            "optimizer": self.optimizer.state_dict(),
        }
        part = self.path.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.path)

    def run(self) -> Iterator[int]:
        """Yield the numbers of the steps; the caller hands each step's loss to :meth:`update`."""
        last_save = started = time.monotonic()
        while self.step < self.steps:
            factor = min((self.step + 1) / self.warm_up, 1.0) * (1.0 - self.step / self.steps)
            for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
                group["lr"] = rate * factor
            yield self.step
            self.step += 1
            self.seconds = time.monotonic() - started
            if time.monotonic() - last_save > SAVE_EVERY:
                self.save()
                last_save = time.monotonic()
        self.save()

    def update(self, loss: torch.Tensor) -> None:
        """One optimizer step on the loss, then move the average."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_((p for group in self.optimizer.param_groups for p in group["params"]), 1.0)
        self.optimizer.step()
        decay = min(self.decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for mean, now in zip(self.average.parameters(), self.model.parameters(), strict=True):
                if now.requires_grad:
                    mean.lerp_(now, 1 - decay)
