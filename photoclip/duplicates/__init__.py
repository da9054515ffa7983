"""Duplicates, and what is like them: reported, and never acted upon in this room.

*Identical*: the same bytes. *Same picture*: the same pixels up to size, compression, mild edits and a crop.
*Same moment*: a burst, or a retake. *Similar*: much alike for the model.

Neighbours are candidates only (``candidates``); a pair is called the same picture when a second check on
small renderings of both finds one inside the other (``looking``), and of one moment when clocks agree
(``clocks``) and the renderings do where they overlap (``shifted``). A group holds its level, or nearly so,
between every two members, so groups do not chain from one picture to the next (``groups``).
"""

from __future__ import annotations

from photoclip.duplicates.denying import deny
from photoclip.duplicates.finding import find_duplicates
from photoclip.duplicates.groups import complete_link
from photoclip.duplicates.looking import same_picture
from photoclip.duplicates.pictures import Pictures

__all__ = ["Pictures", "complete_link", "deny", "find_duplicates", "same_picture"]
