"""XMP, the packets of XML in which programs tell each other what is in a photo: bytes in, bytes out.

``keywords`` reads what a packet says. ``with_labels`` and ``without_labels`` add and take away labels of ours
by splicing: every byte that is not ours stays where and what it is. What we add is also listed in the packet,
in a namespace of our own, so that ours and the user's can be told apart wherever the file goes. (Why no XML
library writes these files: decision 0014.)
"""

from __future__ import annotations

from photoclip.xmp.document import SIZE_LIMIT, NotXmp
from photoclip.xmp.keywords import Keywords, keywords
from photoclip.xmp.labels import EMPTY, with_labels, without_labels
from photoclip.xmp.reading import key, one_line

__all__ = [
    "EMPTY",
    "SIZE_LIMIT",
    "Keywords",
    "NotXmp",
    "key",
    "keywords",
    "one_line",
    "with_labels",
    "without_labels",
]
