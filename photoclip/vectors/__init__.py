"""Vectors: from content ids to unit rows, and from a vector to its neighbours.

This room knows nothing of SQL or photos. It maps integer content ids (int64, above 0) to unit-length
float32 rows and answers "what is near?", exactly over a memory-mapped matrix, or faster and nearly
exactly over an HNSW graph. Both files are caches of the catalogue: they may vanish or be damaged at
any moment, are never trusted without a check, and are written again from rows handed in by the caller.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from photoclip.vectors.cachefiles import HNSW_FROM, Stamp, graph_stamp, matrix_stamp

if TYPE_CHECKING:
    from photoclip.vectors.graph import Graph, build_graph, prefer_graph
    from photoclip.vectors.matrix import DamagedMatrix, Matrix, extend_matrix, write_matrix

__all__ = [
    "HNSW_FROM",
    "DamagedMatrix",
    "Graph",
    "Matrix",
    "Stamp",
    "build_graph",
    "extend_matrix",
    "graph_stamp",
    "matrix_stamp",
    "prefer_graph",
    "write_matrix",
]

# Late: to see that the caches are of today takes no numpy.
_HOMES = {
    "DamagedMatrix": "matrix",
    "Graph": "graph",
    "Matrix": "matrix",
    "build_graph": "graph",
    "extend_matrix": "matrix",
    "prefer_graph": "graph",
    "write_matrix": "matrix",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'photoclip.vectors' has no attribute {name!r}")
    return getattr(import_module(f"photoclip.vectors.{_HOMES[name]}"), name)
