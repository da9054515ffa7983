"""The user's keywords of what goes, carried to what stays."""

from __future__ import annotations

import contextlib
import os
import random
import tempfile
import unicodedata
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from photoclip import sidecars, xmp
from photoclip.actions import Acted, Report, journals, undo
from photoclip.actions.changes import Change, change_of_record, record_of_change
from photoclip.actions.files import Unfit
from photoclip.actions.lines import Unsound, line_of, record_of
from photoclip.errors import PhotoclipError
from photoclip.images.names import is_photo, is_raw
from photoclip.partners import Partners
from photoclip.xmp.reading import path_key
from tests.places import Place, contents, packet, snapshot
from tests.sidecar_shapes import DARKTABLE, SHAPES

INVALID = b"<x:xmpmeta"
REPORT = ("a/1.jpg", "b/1.jpg")


@pytest.fixture
def album(place: Place) -> Place:
    """A photo that stays, and a smaller copy in another folder. Keywords are carried."""
    place.carries, place.level = True, "same picture"
    return place.write({"a/1.jpg": b"one", "b/1.jpg": b"one, small"})


def write(place: Place, files: Mapping[str, bytes]) -> None:
    """Write files that may be written to."""
    for name, content in files.items():
        place.write({name: content})
        (place.photos / name).chmod(0o644)


def own(place: Place, name: str) -> tuple[str, ...]:
    """Return the user's keywords in a sidecar, as ``index`` reads them."""
    return sidecars.read(os.fsencode(place.photos / name))[1].own


def carried(place: Place, results: list[Acted]) -> list[tuple[str, str, str]]:
    """Return whose keywords were carried, into which sidecar, and what was said of them."""
    return [
        (place.name(one.path), place.name(one.target), one.reason)
        for one in results
        if one.outcome == "carried"
    ]


def left(place: Place, *reports: tuple[str, ...]) -> dict[str, str]:
    """Return what was left alone, and why; nothing may have been written."""
    before = snapshot(place.photos)
    results = place.act(place.report(*(reports or (REPORT,))))
    assert snapshot(place.photos) == before
    assert not place.library.exists()
    return {place.name(one.path): one.reason for one in results if one.outcome == "left"}


# -- what is carried ------------------------------------------------------------------------------


def test_keywords_go_into_a_new_sidecar_and_are_the_users_own(album: Place) -> None:
    write(album, {"b/1.xmp": packet("Animals/Dog", "garden")})
    album.inside = {b"one, small": ["garden", "Ada"]}
    before = snapshot(album.photos)
    results = album.act(album.report(REPORT))
    assert [(album.name(one.path), one.outcome, one.partner) for one in results] == [
        ("b/1.jpg", "carried", False),
        ("b/1.jpg", "moved", False),
        ("b/1.xmp", "moved", True),
    ]
    (said,) = carried(album, results)
    assert said == ("b/1.jpg", "a/1.jpg.xmp", "keywords: garden, Ada, Animals/Dog")
    assert results[0].size == 0
    assert set(own(album, "a/1.jpg.xmp")) == {"Animals/Dog", "garden", "Ada"}
    made = (album.photos / "a/1.jpg.xmp").read_bytes()
    assert b"Animals|Dog" in made
    assert xmp.without_labels(made, None) == made  # tag --remove
    assert xmp.keywords(made).ours == ()
    assert {one.outcome for one in album.undo()} == {"restored"}
    assert snapshot(album.photos) == before


def test_a_sidecar_that_is_there_gets_what_it_lacks_and_keeps_the_rest(album: Place) -> None:
    write(album, {"a/1.jpg.xmp": DARKTABLE, "b/1.jpg.xmp": packet("Sylt", "Dog", "HOLIDAY", "places/Sylt")})
    (album.photos / "a/1.jpg.xmp").chmod(0o640)
    before = snapshot(album.photos)
    results = album.act(album.report(REPORT))
    assert carried(album, results) == [("b/1.jpg", "a/1.jpg.xmp", "keywords: Dog")]
    after = (album.photos / "a/1.jpg.xmp").read_bytes()
    assert len(after.splitlines()) == len(DARKTABLE.splitlines()) + 1
    assert set(DARKTABLE.splitlines()) < set(after.splitlines())
    status = (album.photos / "a/1.jpg.xmp").stat()
    assert status.st_mode & 0o7777 == 0o640
    assert status.st_mtime_ns != before["a/1.jpg.xmp"][1]  # other programs look at that
    assert snapshot(album.photos)["a/1.jpg"] == before["a/1.jpg"]
    album.undo()
    assert snapshot(album.photos) == before


def test_new_sidecars_are_named_as_their_neighbours(album: Place) -> None:
    write(album, {"a/0.jpg": b"0", "a/0.xmp": packet("x"), "b/1.xmp": packet("Dog")})
    assert carried(album, album.act(album.report(REPORT))) == [("b/1.jpg", "a/1.xmp", "keywords: Dog")]


def test_a_flat_keyword_with_a_slash_in_a_sidecar_stays_flat(album: Place) -> None:
    write(album, {"b/1.jpg.xmp": xmp.with_keywords(None, [("b/w",), ("Time", "24/7")])})
    album.act(album.report(REPORT))
    made = (album.photos / "a/1.jpg.xmp").read_bytes()
    assert b"<rdf:li>b/w</rdf:li>" in made
    assert xmp.own_levels(made) == [("Time", "24/7"), ("b/w",)]
    album.inside = {b"again": ["B/W"]}
    write(album, {"c/1.jpg": b"again"})
    assert carried(album, album.act(album.report(("a/1.jpg", "c/1.jpg")))) == []


@pytest.mark.parametrize("there", ["inside", "sidecar", "level"])
def test_what_stays_has_already_is_not_carried(album: Place, there: str) -> None:
    write(album, {"b/1.xmp": packet(unicodedata.normalize("NFD", "HÜNDCHEN"))})
    if there == "inside":
        album.inside = {b"one": ["Hündchen"]}
    else:
        write(album, {"a/1.xmp": packet("Tiere/Hündchen" if there == "level" else "hündchen")})
    before = (album.photos / "a").stat().st_mtime_ns
    results = album.act(album.report(REPORT))
    assert {one.outcome for one in results} == {"moved"}
    assert (album.photos / "a").stat().st_mtime_ns == before


def test_where_several_stay_the_best_gets_what_none_of_them_has(album: Place) -> None:
    write(album, {"c/1.jpg": b"one, too", "c/1.xmp": packet("Cat"), "b/1.xmp": packet("Cat", "Dog")})
    report = marked(album.report(("a/1.jpg", "c/1.jpg", "b/1.jpg")), 2, stays=True)
    assert carried(album, album.act(report)) == [("b/1.jpg", "a/1.jpg.xmp", "keywords: Dog")]
    album.undo()
    write(album, {"a/1.jpg.xmp": INVALID})
    assert carried(album, album.act(report)) == [("b/1.jpg", "c/1.xmp", "keywords: Dog")]


def test_nothing_is_written_in_a_reference_folder(album: Place) -> None:
    write(album, {"c/1.jpg": b"one, too", "b/1.xmp": packet("Dog")})
    report = marked(album.report(("a/1.jpg", "c/1.jpg", "b/1.jpg")), 1, reference=True)
    before = snapshot(album.photos)
    (left,) = (one for one in album.act(report) if one.outcome == "left")
    assert left.path.endswith(b"b/1.jpg")
    assert "a reference folder" in left.reason
    album.undo()
    assert snapshot(album.photos) == before
    results = album.act(marked(report, 2, stays=True))
    assert carried(album, results) == [("b/1.jpg", "c/1.jpg.xmp", "keywords: Dog")]


def marked(report: Report, count: int, **changes: bool) -> Report:
    """Return ``report`` with something said of the first photos of its first group."""
    (group, *others) = report.groups
    photos = [photo._replace(**changes) for photo in group.photos[:count]]
    return Report((group._replace(photos=(*photos, *group.photos[count:])), *others))


def test_several_that_go_bring_each_keyword_once(album: Place) -> None:
    write(album, {"c/1.jpg": b"one, tiny", "b/1.xmp": packet("Dog", "Ada"), "c/1.xmp": packet("dog", "Cat")})
    before = snapshot(album.photos)
    report = album.report((*REPORT, "c/1.jpg"))
    planned = album.act(report, dry_run=True)
    assert snapshot(album.photos) == before
    results = album.act(report)
    assert planned == results
    assert [reason for *_, reason in carried(album, results)] == ["keywords: Dog, Ada", "keywords: Cat"]
    assert set(own(album, "a/1.jpg.xmp")) == {"Ada", "Cat", "Dog"}
    assert {one.outcome for one in album.undo()} == {"restored"}
    assert snapshot(album.photos) == before


def test_a_sidecar_that_others_own_too_is_read_and_stays(album: Place) -> None:
    write(album, {"b/1.png": b"stays", "b/1.xmp": packet("Dog")})
    results = album.act(album.report(REPORT))
    assert carried(album, results) == [("b/1.jpg", "a/1.jpg.xmp", "keywords: Dog")]
    assert own(album, "b/1.xmp") == ("Dog",)


def test_a_raw_file_of_the_group_brings_its_keywords_along(album: Place) -> None:
    write(album, {"b/1.CR3": b"raw", "b/1.CR3.xmp": packet("Ada")})
    album.inside = {b"raw": ["Dog"]}
    results = album.act(album.report((*REPORT, "b/1.CR3")))
    assert carried(album, results) == [("b/1.jpg", "a/1.jpg.xmp", "keywords: Dog, Ada")]


def test_copies_of_one_file_hold_the_same_keywords_and_nobody_is_asked(album: Place) -> None:
    write(album, {"b/2.jpg": b"one"})
    album.unknown = {b"one"}
    assert {one.outcome for one in album.act(album.report(("a/1.jpg", "b/2.jpg")))} == {"moved"}


def test_beside_a_link_nothing_goes_and_nothing_is_carried(album: Place) -> None:
    write(album, {"b/2.jpg": b"one", "b/2.xmp": packet("Dog")})
    assert [one.outcome for one in album.act(album.report(("a/1.jpg", "b/2.jpg")), "hard")] == ["linked"]
    assert set(os.listdir(album.photos / "a")) == {"1.jpg"}


# -- tags of photoclip's --------------------------------------------------------------------------


def test_tags_of_photoclips_are_not_carried(album: Place) -> None:
    write(album, {"b/1.xmp": xmp.with_labels(packet("Ada"), ["Dog"])})
    assert carried(album, album.act(album.report(REPORT))) == [("b/1.jpg", "a/1.jpg.xmp", "keywords: Ada")]


@pytest.mark.parametrize("keyword", ["Dog", "Animals/Dog"])
def test_a_tag_that_comes_as_a_keyword_is_the_users_from_then_on(album: Place, keyword: str) -> None:
    labels = ["Animals/Dog", "Cat"]
    write(album, {"a/1.xmp": xmp.with_labels(DARKTABLE, labels), "b/1.xmp": packet(keyword)})
    assert keyword not in own(album, "a/1.xmp")
    results = album.act(album.report(REPORT))
    assert carried(album, results) == [("b/1.jpg", "a/1.xmp", f"keywords: {keyword}")]
    after = (album.photos / "a/1.xmp").read_bytes()
    assert keyword in xmp.keywords(after).own
    untagged = xmp.without_labels(after, None)
    assert untagged is not None
    assert set(xmp.keywords(untagged).own) == {*xmp.keywords(DARKTABLE).own, keyword}
    assert xmp.keywords(untagged).ours == ()


# -- what cannot be -------------------------------------------------------------------------------


def test_a_photo_whose_own_sidecar_cannot_be_read_is_left_alone(album: Place) -> None:
    write(album, {"b/1.xmp": INVALID})
    assert left(album)["b/1.jpg"].startswith("keywords of 1.xmp are not carried: it is not well-formed XML")
    album.carries = False
    assert album.moved(album.act(album.report(REPORT))) == {"b/1.jpg", "b/1.xmp"}


def test_where_the_sidecar_of_what_stays_cannot_take_them_the_photo_is_left_alone(album: Place) -> None:
    write(album, {"b/1.xmp": packet("Dog")})
    sidecar = album.photos / "a/1.xmp"
    said = f"its keywords are not carried to {sidecar}: "
    write(album, {"a/1.xmp": INVALID})
    assert left(album)["b/1.jpg"].startswith(f"{said}it is not well-formed XML")
    write(album, {"a/1.xmp": packet("Cat")})
    sidecar.chmod(0o444)
    assert left(album) == {"b/1.jpg": f"{said}it is read-only"}
    sidecar.unlink()
    sidecar.symlink_to("../b/1.xmp")
    assert left(album) == {"b/1.jpg": f"{said}it is a link"}


def test_a_photo_whose_keywords_nobody_knows_is_left_alone(album: Place) -> None:
    album.unknown = {b"one, small"}
    said = "the library does not know its keywords; photoclip index reads them"
    assert left(album) == {"b/1.jpg": said}


def test_a_sidecar_that_changes_just_now_is_not_written_and_the_photo_stays(
    album: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from photoclip.actions import deeds

    write(album, {"a/1.xmp": packet("Cat"), "b/1.xmp": packet("Dog")})
    sidecar = album.photos / "a/1.xmp"
    real_write = deeds.write

    def late(step: object) -> None:
        sidecar.write_bytes(DARKTABLE)
        real_write(step)  # type: ignore[arg-type]

    monkeypatch.setattr(deeds, "write", late)
    (one,) = album.act(album.report(REPORT))
    assert one.reason == f"its keywords are not carried to {sidecar}: its bytes are others now"
    assert sidecar.read_bytes() == DARKTABLE
    assert contents(album.photos / "b") == {b"one, small": 1, packet("Dog"): 1}
    sidecar.unlink()  # nothing was done to it, so it is not ours to miss
    assert {one.outcome for one in album.undo()} == {"there"}


@pytest.mark.parametrize("there", [True, False])
def test_what_was_carried_for_a_photo_that_cannot_go_is_taken_back(
    album: Place, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    from photoclip.actions import files

    write(album, {"b/1.xmp": packet("Dog"), **({"a/1.jpg.xmp": DARKTABLE} if there else {})})
    before = snapshot(album.photos)
    real_move = files.move

    def refuse(source: bytes, target: bytes) -> None:
        if source.endswith(b"b/1.jpg"):
            raise OSError(5, "the drive reports an error")
        real_move(source, target)

    monkeypatch.setattr(files, "move", refuse)
    results = album.act(album.report(REPORT))
    assert [(album.name(one.path), one.outcome) for one in results] == [("b/1.jpg", "left")]
    now = snapshot(album.photos)
    assert {name: state for name, state in now.items() if name != "a"} == {
        name: state for name, state in before.items() if name != "a"
    }
    write(album, {"a/1.jpg.xmp": b"saved by somebody"})
    assert {one.outcome for one in album.undo()} == {"there"}


# -- taken back -----------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [True, False])
def test_a_sidecar_that_somebody_changed_since_is_left_and_named(album: Place, there: bool) -> None:
    write(album, {"b/1.xmp": packet("Dog"), **({"a/1.xmp": DARKTABLE} if there else {})})
    before = snapshot(album.photos)
    (sidecar,) = [Path(os.fsdecode(one.target)) for one in album.act(album.report(REPORT))[:1]]
    ours = sidecar.read_bytes()
    sidecar.write_bytes(ours.replace(b"Dog", b"dog"))
    found = {album.name(one.path): (one.outcome, one.reason) for one in album.undo()}
    assert found == {
        f"a/{sidecar.name}": (
            "not restored", "it was changed since; what is there now is left as it is",
        ),
        "b/1.jpg": ("restored", ""),
        "b/1.xmp": ("restored", ""),
    }  # fmt: skip
    assert b">dog<" in sidecar.read_bytes()
    sidecar.write_bytes(ours)
    assert [one.outcome for one in album.undo()] == ["restored"]
    assert snapshot(album.photos).keys() == before.keys()
    assert snapshot(album.photos).get("a/1.xmp") == before.get("a/1.xmp")


def test_a_sidecar_that_is_gone_is_named_unless_there_was_none(album: Place) -> None:
    for files, said in (({}, "there"), ({"a/1.jpg.xmp": DARKTABLE}, "it is gone")):
        write(album, {"b/1.xmp": packet("Dog"), **files})
        album.act(album.report(REPORT))
        (album.photos / "a/1.jpg.xmp").unlink()
        found = {album.name(one.path): one.reason or one.outcome for one in album.undo()}
        assert found == {"a/1.jpg.xmp": said, "b/1.jpg": "restored", "b/1.xmp": "restored"}


def rewritten(journal: Path, version: int) -> None:
    """Let a journal be of another version."""
    lines = journal.read_bytes().splitlines()
    head = {**record_of(1, lines[0]), "version": version}
    journal.write_bytes(line_of(1, head) + b"".join(line + b"\n" for line in lines[1:]))


def test_journals_of_before_are_taken_back_and_those_to_come_are_refused(album: Place) -> None:
    album.carries = False
    before = snapshot(album.photos)
    album.act(album.report(REPORT))
    path = journals(str(album.library))[-1].path
    rewritten(Path(path), 3)
    with pytest.raises(PhotoclipError, match=r"line 1: .* a version this photoclip does not know"):
        undo(path)
    rewritten(Path(path), 1)
    assert [one.outcome for one in undo(path)] == ["restored"]
    assert snapshot(album.photos) == before


# -- whatever there is ----------------------------------------------------------------------------

LETTERS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8)
WORDS = st.one_of(st.sampled_from(["Dog", "dog", "Animals", "garden", "Sylt"]), LETTERS)
LABELS = st.lists(st.lists(WORDS, min_size=1, max_size=2).map("/".join), max_size=4)
KEYWORDS = st.lists(st.lists(WORDS, min_size=1, max_size=3).map(tuple), max_size=5)


@settings(deadline=None)
@given(st.sampled_from(list(SHAPES.values())), LABELS, KEYWORDS)
def test_what_is_added_is_the_users_own_in_any_packet_and_stays_when_tags_go(
    shape: bytes, labels: list[str], keywords: list[tuple[str, ...]]
) -> None:
    clean = [levels for levels in (tuple(filter(None, map(xmp.one_line, one))) for one in keywords) if levels]
    clean = [levels for levels in clean if not any("|" in level or "/" in level for level in levels)]
    tagged = xmp.with_labels(shape, labels)
    after = xmp.with_keywords(tagged, clean)
    untagged = xmp.without_labels(after, None)
    assert untagged is not None
    for content in (after, untagged):
        held = xmp.own_levels(content)
        parts = {path_key(part) for one in held for part in (one, *((level,) for level in one))}
        assert {path_key(one) for one in (*clean, *xmp.own_levels(shape))} <= parts
    assert xmp.with_keywords(after, clean) is after
    assert not xmp.keywords(untagged).ours


@settings(deadline=None)
@given(st.binary(max_size=40), st.binary(max_size=40))
def test_a_change_can_be_done_and_undone_and_written_down(before: bytes, after: bytes) -> None:
    change = change_of_record(record_of_change(Change.between(before, after)))
    assert change.done_to(before) == after
    there_and_back = Change.between(after, before)
    assert change.undone_in(after, there_and_back.sha256) == before
    with pytest.raises(Unfit):
        change.done_to(b"?" + before)


@pytest.mark.parametrize("key", ["start", "was", "now", "sha256"])
def test_a_change_that_makes_no_sense_is_refused(key: str) -> None:
    record = record_of_change(Change.between(b"a", b"b"))
    for value in (None, "%", 1.5):
        with pytest.raises(Unsound):
            change_of_record({**record, key: value})


NAMES = st.sampled_from(
    [f"{side}/{name}" for side in "abc" for name in ("1.jpg", "1.png", "1.CR3", "2.jpg", "2.JPG")]
)
SIDECARS = st.sampled_from(
    [f"{side}/{name}" for side in "abc" for name in ("1.xmp", "1.jpg.xmp", "1.cr3.XMP", "2.xmp", "2.jpg.xmp")]
)
FEW = st.lists(st.sampled_from(["Dog", "dog", "Animals/Dog", "Ada", "24/7"]), max_size=3)
PACKETS = st.one_of(
    FEW.map(lambda words: packet(*words)),
    st.tuples(FEW, FEW).map(lambda both: xmp.with_labels(packet(*both[0]), both[1])),
    st.sampled_from([DARKTABLE, b"", INVALID]),
)


def known(place: Place, photos: list[str]) -> set[str]:
    """Return the keys of the keywords of photos and of their levels, those in sidecars that can be read."""
    partners = Partners(is_photo, is_raw)
    found: list[str] = []
    for name in photos:
        path = place.photos / name
        found += place.inside.get(path.read_bytes(), [])
        for partner in partners.of(os.fsencode(path)):
            if partner.kind == "sidecar":
                with contextlib.suppress(sidecars.NotShared):
                    found += sidecars.read(partner.path)[1].own
    return {xmp.key(part) for text in found for part in (text, *text.split("/"))}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(NAMES, st.sampled_from([b"x", b"y", b"z"]), min_size=2, max_size=8),
    st.dictionaries(SIDECARS, PACKETS, max_size=6),
    st.dictionaries(st.sampled_from([b"x", b"y", b"z"]), FEW),
    st.randoms(),
)
def test_whatever_there_is_what_stays_has_the_keywords_of_what_went(
    swift: Path,
    photos: dict[str, bytes],
    beside: dict[str, bytes],
    inside: dict[bytes, list[str]],
    chance: random.Random,
) -> None:
    place = Place(Path(tempfile.mkdtemp(dir=swift))).write(photos | beside)
    place.carries, place.level, place.inside = True, "same picture", inside
    names = list(photos)
    chance.shuffle(names)
    cut = chance.randrange(2, len(names) + 1)
    groups = [group for group in (names[:cut], names[cut:]) if len(group) > 1]
    before = snapshot(place.photos)
    had = {name: known(place, [name]) for name in names}
    results = place.act(place.report(*groups))
    gone = place.moved(results)
    for group in groups:
        went = set().union(*(had[name] for name in group if name in gone))
        assert went <= known(place, group[:1])
        assert snapshot(place.photos)[group[0]] == before[group[0]]
    if journals(str(place.library)):
        assert {one.outcome for one in place.undo()} == {"restored"}
    assert snapshot(place.photos) == before
