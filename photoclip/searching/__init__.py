"""Searching: query → embedding → neighbours → photos."""

from __future__ import annotations

from photoclip.searching.query import Order, Part, Query
from photoclip.searching.run import search

__all__ = ["Order", "Part", "Query", "search"]
