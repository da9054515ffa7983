"""RAW and JPEG of one shot count as one in groups of duplicates."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from photoclip.duplicates.units import in_units
from photoclip.images.names import is_photo, is_raw
from photoclip.keeping import parse_rules, what_stays
from photoclip.partners import Partners, shots
from photoclip.records import DuplicateGroup, Level, Photo, PhotoFacts


def photo(path: str, content: str = "x", size: int = 10, mtime_ns: int = 5, side: int = 10) -> Photo:
    kind = "RAW" if is_raw(path.encode()) else "JPEG"
    return Photo(path.encode(), content.encode(), size, mtime_ns, PhotoFacts(side, side, kind))


def group(*photos: Photo, level: Level = "same picture", similarity: float = 0.9) -> DuplicateGroup:
    return DuplicateGroup(level, similarity, photos)


def united(*groups: DuplicateGroup, beside: Iterable[Photo] = (), rules: str = "", **more: Any) -> list[Any]:
    """Return the paths of the units of each group, as one text for a unit."""
    everyone = [*beside, *(one for some in groups for one in some.photos)]
    found = in_units(groups, everyone, parse_rules(rules) if rules else (), **more)
    return [[" ".join(one.path.decode() for one in unit) for unit in some.units()] for some in found]


A, A_RAW = photo("/a/1.jpg", "jpeg"), photo("/a/1.dng", "raw", 30)
B, B_RAW = photo("/b/1.jpg", "jpeg"), photo("/b/1.dng", "raw", 30)
C = photo("/c/1.jpg", "jpeg")


def test_raw_and_jpeg_of_one_shot_are_no_duplicates() -> None:
    assert united(group(A, A_RAW)) == []


def test_a_unit_is_counted_once_and_shown_by_its_best_photo() -> None:
    assert united(group(A, A_RAW, C)) == [["/a/1.dng /a/1.jpg", "/c/1.jpg"]]
    assert united(group(A, A_RAW, C), rules="oldest,path:/c") == [["/c/1.jpg", "/a/1.jpg /a/1.dng"]]


def test_what_is_no_partner_by_its_name_is_a_unit_of_its_own() -> None:
    for other in ("/a/1.heic", "/a/1.tif", "/a/1_2.jpg", "/a/b/1.jpg", "/a/01.dng", "/a/2.dng"):
        assert len(united(group(A, photo(other)))[0]) == 2, other
    assert len(united(group(photo("/a/1.dng"), photo("/a/1.cr3")))[0]) == 2


def test_two_pictures_beside_one_raw_file_are_one_unit() -> None:
    assert united(group(A, photo("/a/1.heic")), beside=[A_RAW]) == []
    assert united(group(A, A_RAW, photo("/a/1.HEIC"))) == []


def test_groups_with_the_same_units_become_one() -> None:
    raws = group(A_RAW, B_RAW, level="identical", similarity=1.0)
    jpegs = group(A, B, similarity=0.8)
    (found,) = in_units([raws, jpegs], [A, B, A_RAW, B_RAW])
    assert (found.level, found.similarity) == ("same picture", 0.8)
    assert found.units() == ((A_RAW, A), (B_RAW, B))


def test_groups_with_other_units_stay_apart_in_one_order() -> None:
    raws, jpegs = group(A_RAW, B_RAW), group(A, B, C)
    assert united(raws, jpegs, rules="path:/b") == [
        ["/b/1.dng", "/a/1.dng"],
        ["/b/1.jpg", "/a/1.jpg", "/c/1.jpg"],
    ]


def test_without_raw_files_groups_of_jpeg_and_of_heic_are_not_put_together() -> None:
    groups = group(A, B), group(photo("/a/1.heic"), photo("/b/1.heic"))
    assert len(united(*groups)) == 2
    assert len(united(*groups, beside=[A_RAW, B_RAW])) == 1


def test_beside_the_best_its_like_is_shown() -> None:
    older = photo("/b/1.jpg", "other jpeg", mtime_ns=1)
    newer_raw = photo("/b/1.dng", "other raw", mtime_ns=9)
    ordered = united(group(A, A_RAW, older, newer_raw), rules="path:/a,format,oldest")
    assert ordered == [["/a/1.dng /a/1.jpg", "/b/1.dng /b/1.jpg"]]
    by_content = united(group(A, A_RAW, photo("/b/1.jpg", "raw"), newer_raw), rules="path:/a,format")
    assert by_content == [["/a/1.dng /a/1.jpg", "/b/1.jpg /b/1.dng"]]


def test_units_take_the_rules_together() -> None:
    # C is the largest single file, of the most pixels of any JPEG, and older than one of the two.
    one, raw = (
        photo("/a/1.jpg", size=10, mtime_ns=1, side=10),
        photo("/a/1.dng", size=15, mtime_ns=9, side=30),
    )
    other = photo("/c/1.jpg", size=20, mtime_ns=5, side=20)
    for rule in ("format", "pixels", "bytes", "oldest"):
        assert united(group(one, raw, other), rules=f"{rule},path:/c")[0][1] == "/c/1.jpg", rule
    assert united(group(one, raw, other), rules="path:/c")[0][0] == "/c/1.jpg"
    assert united(group(one, raw, other), references=[b"/c"])[0][0] == "/c/1.jpg"


def test_a_partner_that_is_in_no_group_counts_but_is_not_mentioned() -> None:
    assert united(group(A, C), rules="format,path:/c") == [["/c/1.jpg", "/a/1.jpg"]]
    assert united(group(A, C), rules="format,path:/c", beside=[A_RAW]) == [["/a/1.jpg", "/c/1.jpg"]]


def test_groups_without_raw_files_are_left_as_they_are() -> None:
    (found,) = in_units([group(A, B, C)], [A, B, C])
    assert found == group(A, B, C)


def test_shots_are_those_of_which_partners_move_together(tmp_path: Path) -> None:
    endings = ("jpg", "HEIC", "dng", "cr2", "tif", "xmp")
    names = [
        f"{number}.{ending}"
        for number in range(2 ** len(endings))
        for place, ending in enumerate(endings)
        if number >> place & 1
    ]
    for name in names:
        (tmp_path / name).touch()
    paths = [os.fsencode(tmp_path / name) for name in names if is_photo(name.encode())]
    partners, found = Partners(is_photo, is_raw), shots(paths, is_raw)
    for path in paths:
        mates = {partner.path for partner in partners.of(path) if partner.kind in ("raw", "picture")}
        further = {
            partner.path for mate in mates for partner in partners.of(mate) if partner.kind != "sidecar"
        }
        assert set(found.get(path, ())) == mates | further


# -- what stays -------------------------------------------------------------------------------------


def stay(found: DuplicateGroup, *references: bytes) -> str:
    return " ".join(sorted(path.decode() for path in what_stays(found, references)))


def test_a_unit_stays_whole() -> None:
    (found,) = in_units([group(A, A_RAW, B, B_RAW, C)], [])
    assert stay(found) == "/a/1.dng /a/1.jpg"
    assert stay(found, b"/b") == "/b/1.dng /b/1.jpg"
    assert stay(found, b"/b", b"/c/") == "/b/1.dng /b/1.jpg /c/1.jpg"


def test_no_raw_file_goes_unless_one_stays() -> None:
    (found,) = in_units([group(B_RAW, A)], [], parse_rules("path:/a"))
    assert stay(found) == "/a/1.jpg /b/1.dng"
    (found,) = in_units([group(B_RAW, A)], [], parse_rules("path:/b"))
    assert stay(found) == "/b/1.dng"


def test_no_jpeg_of_a_shot_goes_unless_a_picture_stays() -> None:
    (found,) = in_units([group(A, A_RAW, B_RAW)], [], parse_rules("path:/b"))
    assert stay(found) == "/a/1.dng /a/1.jpg /b/1.dng"
    (found,) = in_units([group(A, A_RAW, B_RAW)], [], parse_rules("path:/a"))
    assert stay(found) == "/a/1.dng /a/1.jpg"


# -- any groups -------------------------------------------------------------------------------------

NAMES = [
    f"/{folder}/{stem}.{ending}" for folder in "ab" for stem in "12" for ending in ("jpg", "dng", "heic")
]
WORLD = st.dictionaries(st.sampled_from(NAMES), st.tuples(st.integers(0, 4), st.integers(1, 3)), min_size=2)


def groups_of(world: dict[str, tuple[int, int]]) -> tuple[list[Photo], list[DuplicateGroup]]:
    """Return the photos, and groups of those with the same number (0: in none)."""
    photos = [photo(path, str(number), size=size) for path, (number, size) in world.items()]
    parts = [tuple(one for one in photos if one.content_hash == str(n).encode()) for n in range(1, 5)]
    return photos, [DuplicateGroup("identical", 1.0, part) for part in parts if len(part) > 1]


def shuffled(order: random.Random, items: Sequence[Any]) -> list[Any]:
    return order.sample(items, len(items))


@settings(deadline=None)
@given(WORLD, st.randoms(use_true_random=False))
def test_the_order_of_photos_and_groups_never_matters(
    world: dict[str, tuple[int, int]], order: random.Random
) -> None:
    photos, groups = groups_of(world)
    mixed = [one._replace(photos=tuple(shuffled(order, one.photos))) for one in shuffled(order, groups)]
    assert in_units(groups, photos) == in_units(mixed, shuffled(order, photos))


@settings(deadline=None)
@given(WORLD)
def test_every_photo_is_in_one_group_at_most_and_every_raw_shot_keeps_what_it_is(
    world: dict[str, tuple[int, int]],
) -> None:
    photos, groups = groups_of(world)
    found = in_units(groups, photos)
    everyone = [one.path for some in found for unit in some.units() for one in unit]
    assert len(everyone) == len(set(everyone))
    for some in found:
        kept = what_stays(some)
        assert some.photos[0].path in kept
        assert len(some.photos) > 1
        stems = [os.path.splitext(one.path)[0] for one in some.photos if is_raw(one.path)]
        assert len(stems) == len(set(stems))
        for kind in (True, False):
            had = any(is_raw(one.path) == kind for unit in some.units() for one in unit)
            assert not (kind and had) or any(is_raw(path) for path in kept)
