"""photoclip: find any photo by describing it.

``from photoclip import Library`` opens the same things as the command line. The names load late,
because ``photoclip search`` must not pay for what it does not use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from photoclip.api import Library
    from photoclip.errors import PhotoclipError
    from photoclip.filters import PhotoFilter
    from photoclip.indexing import IndexReport
    from photoclip.records import (
        DuplicateGroup,
        Photo,
        PhotoTags,
        Problem,
        SearchHit,
        TagSuggestion,
    )

__version__ = "0.1.0"

_HOMES = {
    "DuplicateGroup": "photoclip.records",
    "IndexReport": "photoclip.indexing",
    "Library": "photoclip.api",
    "Photo": "photoclip.records",
    "PhotoFilter": "photoclip.filters",
    "PhotoTags": "photoclip.records",
    "PhotoclipError": "photoclip.errors",
    "Problem": "photoclip.records",
    "SearchHit": "photoclip.records",
    "TagSuggestion": "photoclip.records",
}

__all__ = [
    "DuplicateGroup",
    "IndexReport",
    "Library",
    "Photo",
    "PhotoFilter",
    "PhotoTags",
    "PhotoclipError",
    "Problem",
    "SearchHit",
    "TagSuggestion",
    "__version__",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'photoclip' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
