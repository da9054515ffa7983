"""Which photo is the best of its group, and which stay."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoclip.errors import BadUsage
from photoclip.keeping import Rule, parse_rules, ranking, what_stays
from photoclip.records import DuplicateGroup, Photo, PhotoFacts


def photo(path: str, size: int = 10, mtime_ns: int = 5, side: int = 10, **facts: Any) -> Photo:
    known = {"format": "JPEG"} | facts
    return Photo(path.encode(), b"h" * 32, size, mtime_ns, PhotoFacts(side, side, **known))


def best_first(
    photos: Iterable[Photo], rules: Sequence[Rule] = (), references: Sequence[bytes] = ()
) -> tuple[Photo, ...]:
    rank = ranking(rules, references)
    return tuple(sorted(photos, key=lambda one: rank((one,))))


def staying(photos: Sequence[Photo], references: Sequence[bytes] = ()) -> frozenset[bytes]:
    return what_stays(DuplicateGroup("same picture", 1.0, tuple(photos)), references)


def order(rules: str, *photos: Photo) -> list[str]:
    """Return the paths, the best first; whatever order they come in."""
    found = best_first(photos, parse_rules(rules))
    for _ in range(5):
        assert best_first(random.sample(photos, len(photos)), parse_rules(rules)) == found
    return [one.path.decode() for one in found]


@pytest.mark.parametrize(
    ("rule", "best", "worse"),
    [
        ("pixels", photo("/b", side=11), photo("/a")),
        ("bytes", photo("/b", size=11), photo("/a")),
        ("oldest", photo("/b", mtime_ns=4), photo("/a")),
        ("metadata", photo("/b", taken_at="2020-01-01T00:00:00"), photo("/a")),
        ("metadata", photo("/b", camera="X", lens="Y"), photo("/a", latitude=1.0, longitude=1.0)),
        ("format", photo("/b.cr3", format="JPEG"), photo("/a.tif", format="TIFF")),
        ("format", photo("/b", format="PNG"), photo("/a", format="HEIF")),
        ("format", photo("/b", format="HEIF"), photo("/a", format="JPEG")),
        ("format", photo("/b", format="JPEG"), photo("/a", format="WEBP")),
        ("format", photo("/b", format="GIF"), photo("/a", format="strange")),
        ("path:/x", photo("/x/b"), photo("/xx/a")),
    ],
)
def test_each_key_means_one_thing(rule: str, best: Photo, worse: Photo) -> None:
    assert order(rule, worse, best) == [best.path.decode(), worse.path.decode()]


def test_the_second_key_decides_where_the_first_does_not() -> None:
    photos = photo("/a", size=1, side=9), photo("/b", size=2, side=9), photo("/c", size=3, side=8)
    assert order("pixels,bytes", *photos) == ["/b", "/a", "/c"]
    assert order("bytes,pixels", *photos) == ["/c", "/b", "/a"]


def test_where_no_key_decides_the_shorter_path_does_and_then_its_bytes() -> None:
    assert order("pixels", photo("/aa"), photo("/c"), photo("/b")) == ["/b", "/c", "/aa"]


def test_folders_are_preferred_in_their_order() -> None:
    photos = photo("/a/1"), photo("/b/1"), photo("/c/1")
    assert order("path:/c,path:/b/,pixels", *photos) == ["/c/1", "/b/1", "/a/1"]


def test_a_thumbnail_without_loss_is_no_better_than_its_photo() -> None:
    photos = photo("/thumb.png", format="PNG", side=4), photo("/photo.jpg", side=400)
    assert best_first(photos)[0].path == b"/photo.jpg"


def test_what_lies_in_a_reference_folder_comes_first_and_stays() -> None:
    photos = photo("/a", side=99), photo("/ref/b", side=1), photo("/ref/c", side=2), photo("/reference/d")
    ordered = best_first(photos, references=[b"/ref/"])
    assert [one.path for one in ordered] == [b"/ref/c", b"/ref/b", b"/a", b"/reference/d"]
    assert staying(ordered, [b"/ref/"]) == {b"/ref/c", b"/ref/b"}
    assert staying(ordered) == {b"/ref/c"}
    assert staying(ordered, [b"/nowhere"]) == {b"/ref/c"}


def test_the_sharper_is_better_and_what_was_not_measured_comes_last() -> None:
    photos = photo("/unread", side=99), photo("/soft", side=9), photo("/sharp"), photo("/small", side=5)
    rank = ranking(parse_rules("sharpness,pixels"), losses={b"/soft": 3, b"/sharp": 0, b"/small": 0})
    ordered = sorted(photos, key=lambda one: rank((one,)))
    assert [one.path for one in ordered] == [b"/sharp", b"/small", b"/soft", b"/unread"]


def test_a_folder_can_have_a_comma_in_its_name() -> None:
    assert parse_rules(r"path:/a\,b, bytes") == (Rule("path", b"/a,b"), Rule("bytes"))


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("pixel", "no rule 'pixel'", "did you mean pixels?"),
        ("pixels,byts", "no rule 'byts'", "did you mean bytes?"),
        ("paths:/x", "no rule 'paths:/x'", "did you mean path:DIR?"),
        ("path", "no rule 'path'", "did you mean path:DIR?"),
        ("zzz", "no rule 'zzz'", "there are: format, pixels, bytes, metadata, sharpness, oldest, path:DIR"),
        ("path:", "names no folder", "write path:/the/folder"),
        ("sharpnes", "no rule 'sharpnes'", "did you mean sharpness?"),
        ("pixels,pixels", "given twice", "name each key once, the most important first"),
        (
            " , ",
            "no rule for what to keep",
            "name some of: format, pixels, bytes, metadata, sharpness, oldest, path:DIR",
        ),
    ],
)
def test_a_bad_rule_is_refused_with_the_nearest_good_one(text: str, message: str, hint: str) -> None:
    with pytest.raises(BadUsage, match=message) as refused:
        parse_rules(text)
    assert refused.value.hint == hint


PHOTOS = st.builds(
    photo,
    st.sampled_from(["/a/1", "/a/2", "/b/1", "/b/22"]),
    size=st.integers(1, 2),
    mtime_ns=st.integers(1, 2),
    side=st.integers(1, 2),
    format=st.sampled_from(["JPEG", "PNG"]),
)


@given(st.lists(PHOTOS, min_size=1, unique_by=lambda one: one.path), st.randoms())
def test_the_order_of_arrival_never_matters_and_one_always_stays(
    photos: list[Photo], chance: random.Random
) -> None:
    shuffled = chance.sample(photos, len(photos))
    assert best_first(photos) == best_first(shuffled)
    for folders in ([], [b"/b"], [b"/c"]):
        assert staying(best_first(photos, references=folders), folders)
