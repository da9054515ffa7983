"""Vectors: from content ids to unit rows, and from a vector to its neighbours.

This room knows nothing of SQL or photos. It maps integer content ids (int64, above 0) to unit-length
float32 rows and answers "what is near?", exactly over a memory-mapped matrix, or faster and nearly
exactly over an HNSW graph. Both files are caches of the catalogue: they may vanish or be damaged at
any moment, are never trusted without a check, and are written again from rows handed in by the caller.
"""

from __future__ import annotations

from photoclip.vectors.cachefiles import Stamp
from photoclip.vectors.graph import HNSW_FROM, Graph, build_graph, graph_stamp, prefer_graph
from photoclip.vectors.matrix import DamagedMatrix, Matrix, extend_matrix, matrix_stamp, write_matrix
from photoclip.vectors.pairs import neighbour_pairs

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
    "neighbour_pairs",
    "prefer_graph",
    "write_matrix",
]
