"""Read the weights of a quantised TensorFlow Lite file (a flatbuffer) without TensorFlow.

Only what a MobileNetV2 classifier needs: the convolutions in the order of the graph, de-quantised to float32.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

_UINT8, _INT32 = 3, 2  # tensor types
_CONV, _DEPTHWISE = 3, 4  # built-in operators


@dataclass
class Convolution:
    """Weights (out, in or 1, height, width) and bias (out,), float32."""

    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]


class _Table:
    """A flatbuffer table: fields by their number in the schema."""

    def __init__(self, data: bytes, position: int) -> None:
        self.data, self.position = data, position
        self._fields = position - struct.unpack_from("<i", data, position)[0]

    def _offset(self, field: int) -> int:
        place = 4 + 2 * field
        if place >= struct.unpack_from("<H", self.data, self._fields)[0]:
            return 0
        offset: int = struct.unpack_from("<H", self.data, self._fields + place)[0]
        return offset

    def number(self, field: int, code: str, default: int = 0) -> int:
        """A scalar field."""
        offset = self._offset(field)
        return struct.unpack_from(f"<{code}", self.data, self.position + offset)[0] if offset else default

    def table(self, field: int) -> _Table:
        """A field that is a table."""
        place = self.position + self._offset(field)
        return _Table(self.data, place + struct.unpack_from("<I", self.data, place)[0])

    def _vector(self, field: int) -> tuple[int, int]:
        offset = self._offset(field)
        if not offset:
            return 0, 0
        place = self.position + offset
        start = place + struct.unpack_from("<I", self.data, place)[0]
        return start + 4, struct.unpack_from("<I", self.data, start)[0]

    def array(self, field: int, dtype: str) -> npt.NDArray[np.generic]:
        """A vector of scalars."""
        start, count = self._vector(field)
        return np.frombuffer(self.data, dtype, count, start)

    def tables(self, field: int) -> list[_Table]:
        """A vector of tables."""
        start, count = self._vector(field)
        places = [start + 4 * i for i in range(count)]
        return [_Table(self.data, place + struct.unpack_from("<I", self.data, place)[0]) for place in places]


def _float(tensor: _Table, buffers: list[_Table]) -> npt.NDArray[np.float32]:
    """Values of a constant tensor: (integers - zero point) * scale."""
    dtype = {_UINT8: "<u1", _INT32: "<i4"}[tensor.number(1, "b")]
    raw = buffers[tensor.number(2, "I")].array(0, "<u1").tobytes()
    values = np.frombuffer(raw, dtype).reshape(tensor.array(0, "<i4"))
    quantization = tensor.table(4)
    scale, zero = quantization.array(2, "<f4"), quantization.array(3, "<i8")
    centred = values.astype(np.float32) - np.float32(zero[0] if len(zero) else 0)
    return centred * np.float32(scale[0])


def convolutions(path: Path) -> Iterator[Convolution]:
    """The convolutions of the first graph, in order; the classifier is the last one."""
    data = path.read_bytes()
    model = _Table(data, struct.unpack_from("<I", data, 0)[0])
    codes = [max(code.number(0, "b"), code.number(3, "i")) for code in model.tables(1)]
    graph, buffers = model.tables(2)[0], model.tables(4)
    tensors = graph.tables(0)
    for operator in graph.tables(3):
        code = codes[operator.number(0, "I")]
        if code in (_CONV, _DEPTHWISE):
            _, weight, bias = operator.array(1, "<i4")
            axes = (0, 3, 1, 2) if code == _CONV else (3, 0, 1, 2)
            yield Convolution(
                _float(tensors[weight], buffers).transpose(axes).copy(), _float(tensors[bias], buffers)
            )
