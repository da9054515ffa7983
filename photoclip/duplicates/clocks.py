"""When photos were taken, and by which clock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from photoclip.records import PhotoFacts

Places = NDArray[np.intp]

_BEGINNING = datetime(1, 1, 1)  # noqa: DTZ001 - by the camera's clock, as all times here
_MICROSECOND = timedelta(microseconds=1)
_SECOND = 1_000_000
_HOUR = 3600 * _SECOND


class Clocks(NamedTuple):
    """Of photos: ``times`` in microseconds, as the camera showed them where it was, and the numbers of their
    ``zones`` and ``cameras``; each (n,), and -1 where unknown."""

    times: NDArray[np.int64]
    zones: Places
    cameras: Places

    @classmethod
    def of(cls, facts: Sequence[PhotoFacts]) -> Clocks:
        """Return what photos say about themselves."""
        read = [_time_and_zone(one.taken_at) for one in facts]
        times = np.array([time for time, _ in read], np.int64)
        return cls(times, _numbered([zone for _, zone in read]), _numbered([one.camera for one in facts]))

    def agree(self, first: Places, second: Places, within: float) -> NDArray[np.bool_]:
        """Return which pairs of places can be of one moment: no more than ``within`` seconds apart, and the
        same zone and the same camera where both are known."""
        one, other = self.times[first], self.times[second]
        agree = (np.abs(one - other) <= _ticks(within)) & (one >= 0) & (other >= 0)
        for numbers in (self.zones, self.cameras):
            here, there = numbers[first], numbers[second]
            agree &= (here == there) | (here < 0) | (there < 0)
        return np.asarray(agree)

    def differ(self, first: Places, second: Places) -> NDArray[np.bool_]:
        """Return which pairs of places are two shots, however alike: of the same camera, less than an hour
        apart, and by more than its clock's last digit.

        Those further apart may be one shot all the same: clocks are set to other zones, and programs write
        the time of an edit.
        """
        one, other = self.times[first], self.times[second]
        apart = np.abs(one - other)
        finely = (one % _SECOND > 0) & (other % _SECOND > 0)
        differ = (one // _SECOND != other // _SECOND) | (finely & (apart > 0))
        differ &= (one >= 0) & (other >= 0) & (apart < _HOUR)
        here, there = self.cameras[first], self.cameras[second]
        return np.asarray(differ & (here == there) & (here >= 0))

    def in_order(self, within: float) -> tuple[Places, Places]:
        """Return the places of the photos with a date, by date and place, and for each of these how far down
        this order its moment lasts: the number after the last one."""
        order = np.lexsort((np.arange(len(self.times)), self.times))
        order = order[np.count_nonzero(self.times < 0) :]
        times = self.times[order]
        return order, np.searchsorted(times, times + _ticks(within), side="right")


def _time_and_zone(taken_at: str | None) -> tuple[int, str | None]:
    """Read ``YYYY-MM-DDTHH:MM:SS[.fff][±HH:MM]`` as microseconds and zone."""
    if taken_at is None:
        return -1, None
    clock, rest = taken_at[:19], taken_at[19:]
    zone = rest[-6:] if rest[-6:-5] in ("+", "-") else ""
    fraction = rest.removesuffix(zone).removeprefix(".")[:6]
    passed = datetime.fromisoformat(clock) - _BEGINNING
    return passed // _MICROSECOND + int(fraction.ljust(6, "0")), zone or None


def _numbered(names: Sequence[str | None]) -> Places:
    """Return a number for each name, -1 for None."""
    numbers: dict[str | None, int] = {None: -1}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.intp)


def _ticks(seconds: float) -> int:
    return round(seconds * 1_000_000)
