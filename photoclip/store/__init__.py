"""The catalogue: every SQL statement of photoclip is here or in ``migrations``."""

from __future__ import annotations

from photoclip.store.catalogue import Store
from photoclip.store.rows import FoundFile, KnownFile, KnownSidecar, ReadSidecar, StoredModel

__all__ = ["FoundFile", "KnownFile", "KnownSidecar", "ReadSidecar", "Store", "StoredModel"]
