"""What photos must be, besides what they show: when, where and with what they were taken, and their shape.

``PhotoFilter.of`` reads it as people write it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from math import asin, cos, degrees, radians, sin, sqrt
from typing import Literal, NamedTuple, cast, get_args

from photoclip.errors import BadUsage

Orientation = Literal["landscape", "portrait", "square"]
_EARTH = 6371.0088
"""The mean radius of the Earth in kilometres (IUGG)."""
_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", re.ASCII)


class Circle(NamedTuple):
    """All places no further than ``kilometres`` from a place; degrees, north and east positive."""

    latitude: float
    longitude: float
    kilometres: float

    def latitudes(self) -> tuple[float, float]:
        """Return the degrees between which all of it lies."""
        reach = degrees(self.kilometres / _EARTH) + 1e-6
        return self.latitude - reach, self.latitude + reach

    def holds(self, latitude: float, longitude: float) -> bool:
        """Return whether a place lies within, by the haversine formula on a sphere (Sinnott 1984)."""

        here, there = radians(self.latitude), radians(latitude)
        half = sin((there - here) / 2) ** 2
        half += cos(here) * cos(there) * sin(radians(longitude - self.longitude) / 2) ** 2
        return 2 * _EARTH * asin(sqrt(min(1.0, half))) <= self.kilometres


class PhotoFilter(NamedTuple):
    """A photo passes when everything here holds for it; what is empty says nothing.

    ``earliest`` and ``latest`` are the beginnings of a date (``2021``, ``2021-06``, ``2021-06-30``), both
    included; photos without a date pass neither. ``undated``: only those. ``camera`` and ``lens`` are parts
    of a name, in upper or lower case. ``folders``: in one of them, or below. ``tags``: all of these,
    ``without_tags``: none of those. ``min_side``: the shorter side, in pixels.
    """

    earliest: str = ""
    latest: str = ""
    undated: bool = False
    camera: str = ""
    lens: str = ""
    folders: tuple[bytes, ...] = ()
    near: Circle | None = None
    tags: tuple[str, ...] = ()
    without_tags: tuple[str, ...] = ()
    min_side: int = 0
    orientation: Orientation | None = None

    @classmethod
    def of(
        cls,
        *,
        taken: str | None = None,
        camera: str = "",
        lens: str = "",
        folders: Iterable[str | bytes | os.PathLike[str]] | None = None,
        near: str | None = None,
        tags: Iterable[str] | None = None,
        min_side: int = 0,
        orientation: str | None = None,
        no_date: bool = False,
    ) -> PhotoFilter:
        """Return the filter that these words describe; raises BadUsage for words that describe none.

        ``taken``: a year, month or day, or two of them with ``..`` between, either of which may be missing.
        ``near``: ``LAT,LON,KM``. A tag with ``!`` before it is one the photo must not have.
        """
        if no_date and taken is not None:
            raise BadUsage("--taken and --no-date cannot both hold", "leave one of them out")
        earliest, latest = ("", "") if taken is None else _span(taken)
        return cls(
            earliest=earliest,
            latest=latest,
            undated=no_date,
            camera=camera.strip(),
            lens=lens.strip(),
            folders=tuple(os.path.abspath(os.fsencode(folder)) for folder in folders or ()),
            near=None if near is None else _circle(near),
            tags=tuple(_tag(tag) for tag in tags or () if not tag.startswith("!")),
            without_tags=tuple(_tag(tag[1:]) for tag in tags or () if tag.startswith("!")),
            min_side=min_side,
            orientation=None if orientation is None else _orientation(orientation),
        )


def _span(text: str) -> tuple[str, str]:
    first, dots, last = text.strip().partition("..")
    earliest, latest = (first, last) if dots else (first, first)
    if not earliest and not latest:
        raise _no_span(text)
    for end in (earliest, latest):
        if end and not _is_date(end):
            raise _no_span(text)
    if earliest and latest and latest < earliest[: len(latest)]:
        raise BadUsage(f"--taken {text}: it ends before it begins", "write the earlier date first")
    return earliest, latest


def _is_date(text: str) -> bool:
    from datetime import date

    match = _DATE.fullmatch(text)
    try:
        return match is not None and bool(date(*(int(part or 1) for part in match.groups())))
    except ValueError:  # no such month or day
        return False


def _no_span(text: str) -> BadUsage:
    return BadUsage(
        f"--taken {text!r} names no time", "write 2021, 2021-06, 2021-06-30, 2019..2021-06, 2019.. or ..2021"
    )


def _circle(text: str) -> Circle:
    hint = "write latitude, longitude and kilometres: --near 48.137,11.575,10"
    try:
        latitude, longitude, kilometres = (float(part) for part in text.split(","))
    except ValueError as error:
        raise BadUsage(f"--near {text!r} names no place", hint) from error
    # Written so that nan, which is neither, is refused.
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180 and 0 <= kilometres < float("inf")):
        raise BadUsage(f"--near {text!r} is no place on Earth", hint)
    return Circle(latitude, longitude, kilometres)


def _tag(text: str) -> str:
    tag = text.strip()
    if not tag:
        raise BadUsage("--tag names no tag", "photoclip tags lists those that are there")
    return tag


def _orientation(text: str) -> Orientation:
    if text not in get_args(Orientation):
        raise BadUsage(f"--orientation {text!r} is none", f"it is one of: {', '.join(get_args(Orientation))}")
    return cast(Orientation, text)
