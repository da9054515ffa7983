"""XMP, the packets of XML in which programs tell each other what is in a photo: bytes in, bytes out.

``keywords`` reads what a packet says. ``with_labels`` and ``without_labels`` add and take away labels of ours
by splicing: every byte that is not ours stays where and what it is. What we add is also listed in the packet,
in a namespace of our own, so that ours and the user's can be told apart wherever the file goes. What
``with_keywords`` adds is the user's own, and not listed. (Why no XML library writes these files: decision
0014.)
"""

from __future__ import annotations

from photoclip.xmp.document import SIZE_LIMIT, NotXmp
from photoclip.xmp.keywords import Keywords, keywords, own_levels
from photoclip.xmp.labels import EMPTY, with_labels, without_labels
from photoclip.xmp.own import levels_of_keyword, with_keywords
from photoclip.xmp.reading import Levels, key, one_line

__all__ = [
    "EMPTY",
    "SIZE_LIMIT",
    "Keywords",
    "Levels",
    "NotXmp",
    "key",
    "keywords",
    "levels_of_keyword",
    "one_line",
    "own_levels",
    "with_keywords",
    "with_labels",
    "without_labels",
]
