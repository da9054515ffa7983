"""The report of duplicates: written, read again, and refused when it is not what was written."""

from __future__ import annotations

import hashlib
import io
import os
from typing import Any

import pytest

from photoclip.actions import read_report, write_report
from photoclip.errors import BadUsage
from photoclip.records import DuplicateGroup
from tests.places import GROUPS, Place


def test_a_report_is_read_as_it_was_written(place: Place) -> None:
    names = ["a.jpg", "new\nline.jpg", "ü😀.jpg", os.fsdecode(b"\xff\xfe.jpg"), "\x1b[2J.jpg"]
    place.write(dict.fromkeys(names, b"same"))
    written = place.report_bytes(names)
    assert written.isascii()
    assert written.count(b"\n") == 3
    (group,) = place.report(names).groups
    assert (group.level, group.similarity) == ("identical", 1.0)
    assert [one.path for one in group.photos] == [os.fsencode(place.photos / name) for name in names]
    assert [one.stays for one in group.photos] == [True, False, False, False, False]
    assert group.photos[1][1:4] == (*place.photo(names[1])[2:4], hashlib.sha256(b"same").digest())


def test_more_than_one_can_stay(two: Place) -> None:
    group = DuplicateGroup("identical", 1.0, tuple(map(two.photo, ("a/1.jpg", "b/1.jpg"))))
    file = io.BytesIO()
    references = [os.fsencode(two.photos)]
    write_report([group], file, references)
    file.seek(0)
    report = read_report(file)
    assert [(photo.stays, photo.reference) for photo in report.groups[0].photos] == [(True, True)] * 2
    assert two.act(report) == []


def test_a_report_without_groups_is_one(place: Place) -> None:
    assert place.act(place.report()) == []


def test_a_group_has_the_number_that_people_see(two: Place) -> None:
    report = two.report(("a/1.jpg", "b/1.jpg"), ("a/2.jpg", "b/2.jpg"))
    assert report.group(2) == report.groups[1]
    for number, hint in ((0, "1 to 2"), (3, "1 to 2"), (-1, "1 to 2")):
        with pytest.raises(BadUsage, match=f"no group {number} ") as refused:
            report.group(number)
        assert hint in refused.value.hint


def refusal(report: bytes) -> str:
    with pytest.raises(BadUsage) as refused:
        read_report(io.BytesIO(report), "dupes.jsonl")
    assert "photoclip dupes --report" in refused.value.hint
    return str(refused.value)


def test_a_report_that_was_changed_is_refused_with_line_and_reason(two: Place) -> None:
    report = two.report_bytes(*GROUPS)
    head, one, other, end = report.splitlines(keepends=True)
    changed = "it was changed, or a line before it was put in or taken out"
    for edited, line, reason in (
        (head + one.replace(b"true", b"false") + other + end, 2, changed),
        (head + one + other.replace(b"/b/", b"/a/") + end, 3, changed),
        (head + other + end, 2, changed),
        (head + one + one + other + end, 3, changed),
        (one + other + end, 1, changed),
        (head + one + b"\n" + other + end, 3, "it is not JSON"),
        (head + one + other + end + end, 4, "something follows the end"),
        (b"[" * 100_000, 1, "it is not JSON"),
        (b"a.jpg\n", 1, "it is not JSON"),
        (b"\xff\xfe\0", 1, "it is not JSON"),
        (b"[]\n", 1, "it is not a JSON object"),
    ):
        assert refusal(edited) == f"dupes.jsonl, line {line}: {reason}"


def test_a_report_that_was_cut_short_is_refused_wherever_that_was(two: Place) -> None:
    report = two.report_bytes(*GROUPS)
    for length in range(0, len(report) - 1, 7):
        assert refusal(report[:length]).startswith("dupes.jsonl, line "), length
    whole = report[: report.rindex(b"\n", 0, -1) + 1]
    assert refusal(whole) == "dupes.jsonl, line 4: its end is missing; it was cut short"


def test_a_report_that_makes_no_sense_is_refused(two: Place) -> None:
    from photoclip.actions.lines import line_of

    photo: dict[str, Any] = {"path": "/a", "size": 1, "mtime_ns": 1, "sha256": "00" * 32}
    photo |= {"stays": True, "reference": False}
    other = {**photo, "path": "/b"}
    group: dict[str, Any] = {"level": "identical", "similarity": 1.0, "photos": [photo, other]}
    head = {"photoclip": "duplicates", "version": 1}
    for record, reason in (
        ({**group, "level": "unheard of"}, "no level"),
        ({**group, "similarity": "high"}, "no similarity"),
        ({**group, "photos": [photo]}, "two photos or more"),
        ({**group, "photos": [photo, photo]}, "each once"),
        (
            {**group, "photos": [{**photo, "stays": False}, {**other, "stays": False}]},
            "no photo of the group stays",
        ),
        ({**group, "photos": [photo, {**other, "path": "b"}]}, "not an absolute path"),
        ({**group, "photos": [photo, {**other, "path": "/b\0"}]}, "not an absolute path"),
        ({**group, "photos": [photo, {**other, "path_b64": "?"}]}, "no path"),
        ({**group, "photos": [photo, {**other, "sha256": "00"}]}, "sha256"),
        ({**group, "photos": [photo, {**other, "size": True}]}, "no size"),
        ({**group, "photos": [photo, "/b"]}, "not a JSON object"),
        ({"groups": 1}, "it counts other groups"),
    ):
        assert reason in refusal(line_of(1, head) + line_of(2, record)), reason
    assert "version" in refusal(line_of(1, {**head, "version": 2}))
    assert "no report" in refusal(line_of(1, {"photoclip": "actions", "version": 1}))
