"""Indexing: scan → diff → hash → decode → encode → store → vectors.

The walk comes first and is compared with the catalogue folder by folder, so that the work, and
the time left, are known before the first photo is read. Then workers decode ahead while the model
encodes; each batch is one transaction, and what was reported stored stays stored.

A photo is called missing only on evidence: its folder was listed completely and the file was not
there. Missing photos are hidden, not deleted.
"""

from __future__ import annotations

from photoclip.indexing.options import IndexOptions, Silence, Watcher
from photoclip.indexing.report import IndexReport
from photoclip.indexing.run import index

__all__ = ["IndexOptions", "IndexReport", "Silence", "Watcher", "index"]
