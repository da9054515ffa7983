"""Tagging with the user's own labels."""

from __future__ import annotations

import inspect
import os
import sqlite3
from pathlib import Path

import pytest

from photoclip import Library
from photoclip.cli import tag as cli_tag
from photoclip.tagging import CERTAIN
from tests.conftest import Made, MakeShell, Shell, evidence

LABELS = b"red\ngreen\nblue\n"


@pytest.fixture
def tagging(colours: Made, tmp_path: Path, shell_for: MakeShell) -> Shell:
    """A shell with a library of colours of its own."""
    return shell_for(colours.copy_to(tmp_path))


def tags_by_name(answer: bytes | list[dict[str, object]]) -> dict[str, list[str]]:
    assert isinstance(answer, list)
    return {Path(str(row["path"])).name: [tag["label"] for tag in row["tags"]] for row in answer}  # type: ignore[attr-defined]


def stored_tags(shell: Shell) -> list[tuple[object, ...]]:
    with sqlite3.connect(shell.library / "catalogue.sqlite") as db:
        rows = db.execute(
            "SELECT content_id, label, probability, labels_hash, tagged_at FROM tags"
        ).fetchall()
    db.close()
    return rows


# -- what is decided ------------------------------------------------------------------------------


def test_labels_land_on_their_photos_and_on_no_other(tagging: Shell) -> None:
    rows = tagging("tag", "--labels", "-", "-f", "jsonl", stdin=LABELS).fine().rows
    assert tags_by_name(rows) == {
        "red-0.png": ["red"], "red-1.png": ["red"], "red-2.png": ["red"], "red-0-copy.png": ["red"],
        "green-3.png": ["green"], "blue-4.png": ["blue"], "yellow-5.png": [],
    }  # fmt: skip


def test_jsonl_holds_every_photo_with_label_similarity_and_probability(tagging: Shell) -> None:
    rows = tagging("tag", "--labels", "-", "-f", "jsonl", stdin=LABELS).fine().rows
    assert len(rows) == 7
    assert all(set(row) == {"path", "tags"} for row in rows)
    (tag,) = next(row for row in rows if row["path"].endswith("red-1.png"))["tags"]
    assert list(tag) == ["label", "similarity", "probability"]
    assert 0.5 <= tag["probability"] <= 1
    assert -1 <= tag["similarity"] <= 1


def test_a_label_is_decided_alike_whatever_else_is_in_the_list(tagging: Shell) -> None:
    def of_red(labels: bytes) -> object:
        rows = tagging("tag", "--labels", "-", "--write", "none", "-f", "jsonl", stdin=labels).fine().rows
        return next(row for row in rows if row["path"].endswith("red-1.png"))["tags"][0]

    assert of_red(b"red\n") == of_red(b"red\nscarlet\nblue\nsubmarine\n")


def test_paths_and_tables_show_the_tagged_photos_only(tagging: Shell) -> None:
    answer = tagging("tag", "--labels", "-", stdin=LABELS).fine()
    assert "yellow-5.png" not in answer.names
    assert len(answer.names) == 6
    assert "6 of 7 photos carry a tag; 6 pictures new to this list" in answer.err


def test_min_decides_how_sure_a_tag_must_be(tagging: Shell) -> None:
    everything = tagging(
        "tag", "--labels", "-", "--write", "none", "--min", "0", "-f", "jsonl", stdin=LABELS
    ).rows
    assert all(len(row["tags"]) == 3 for row in everything)
    assert all(
        [tag["probability"] for tag in row["tags"]]
        == sorted((t["probability"] for t in row["tags"]), reverse=True)
        for row in everything
    )
    assert tagging("tag", "--labels", "-", "--min", "1.5", stdin=LABELS).code == 2


def test_fail_empty_ends_with_9_when_no_label_fits(tagging: Shell) -> None:
    answer = tagging("tag", "--labels", "-", "--among", "-", stdin=b"")
    assert answer.code == 2
    (tagging.library / ".." / "labels.txt").write_bytes(b"pink\n")
    answer = tagging("tag", "--labels", tagging.library.parent / "labels.txt", "--fail-empty")
    assert (answer.code, answer.out) == (9, b"")


# -- what is kept ---------------------------------------------------------------------------------


def test_tags_are_stored_and_counted(tagging: Shell) -> None:
    tagging("tag", "--labels", "-", stdin=LABELS).fine()
    assert tagging("tags", "--json").fine().rows == [
        {"label": "red", "photos": 4, "kind": "tag"},
        {"label": "blue", "photos": 1, "kind": "tag"},
        {"label": "green", "photos": 1, "kind": "tag"},
    ]
    assert b"red" in tagging("tags").fine().out


def test_the_same_run_again_writes_nothing(tagging: Shell) -> None:
    tagging("tag", "--labels", "-", stdin=LABELS).fine()
    before = evidence(tagging.library)
    tagging("tag", "--labels", "-", stdin=LABELS).fine()
    changed = [
        path for path, proof in evidence(tagging.library).items() if proof[0] != before.get(path, ("",))[0]
    ]
    assert changed == []


def test_a_label_that_is_not_listed_keeps_its_tags(tagging: Shell) -> None:
    tagging("tag", "--labels", "-", stdin=b"red\n").fine()
    tagging("tag", "--labels", "-", stdin=b"blue\n").fine()
    assert {row["label"] for row in tagging("tags", "--json").rows} == {"red", "blue"}


def test_a_tag_that_fits_no_longer_is_taken_away(tagging: Shell) -> None:
    tagging("tag", "--labels", "-", "--min", "0", stdin=b"blue\n").fine()
    assert tagging("tags", "--json").rows == [{"label": "blue", "photos": 7, "kind": "tag"}]
    tagging("tag", "--labels", "-", stdin=b"blue\n").fine()
    assert tagging("tags", "--json").rows == [{"label": "blue", "photos": 1, "kind": "tag"}]


def test_write_none_stores_nothing(tagging: Shell) -> None:
    answer = tagging("tag", "--labels", "-", "--write", "none", stdin=LABELS).fine()
    assert len(answer.names) == 6
    assert stored_tags(tagging) == []


def test_among_tags_only_the_listed_photos(colours: Made, tagging: Shell) -> None:
    labels = tagging.library.parent / "labels.txt"
    labels.write_bytes(LABELS)
    listed = os.fsencode(colours.photos / "blue-4.png") + b"\n" + os.fsencode(colours.photos / "yellow-5.png")
    rows = tagging("tag", "--labels", labels, "--among", "-", "-f", "jsonl", stdin=listed).fine().rows
    assert tags_by_name(rows) == {"blue-4.png": ["blue"], "yellow-5.png": []}
    assert tagging("tags", "--json").rows == [{"label": "blue", "photos": 1, "kind": "tag"}]


def test_labels_and_photos_cannot_both_come_from_stdin(tagging: Shell) -> None:
    assert tagging("tag", "--labels", "-", "--among", "-", stdin=b"red\n").code == 2


def test_tags_of_a_library_without_tags_are_none(tagging: Shell) -> None:
    answer = tagging("tags").fine()
    assert answer.out == b""
    assert "photoclip tag" in answer.err


# -- the file of labels ---------------------------------------------------------------------------


def test_comments_blank_lines_windows_line_ends_and_a_byte_order_mark_do_not_count(tagging: Shell) -> None:
    labels = b"\xef\xbb\xbf# my labels\r\n\r\n  red  \r\n\t\r\n# end\r\nblue"
    tagging("tag", "--labels", "-", stdin=labels).fine()
    assert {row["label"] for row in tagging("tags", "--json").rows} == {"red", "blue"}


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "no label"),
        (b"\n  \n# only a comment\n", "no label"),
        (b"red\nblue\nred\n", "line 3"),
        (b"red\nblue \n blue\n", "line 3"),
        (b"red\nb\xffue\n", "UTF-8"),
        ("red\n".encode("utf-16"), ""),
        (b"red\nbl\x1b[31mue\n", "line 2"),
        (b"red\nbl\0ue\n", "line 2"),
        ("red\nb\u202elue\n".encode(), "line 2"),
        (b"red\n" + b"x" * 5000 + b"\n", "line 2"),
        (None, "labels.txt"),
    ],
    ids=[
        "empty", "only comments", "twice", "twice but for spaces", "not UTF-8", "UTF-16",
        "escape", "NUL", "bidi", "long", "missing",
    ],
)  # fmt: skip
def test_a_file_that_is_no_list_of_labels_ends_with_2_and_changes_nothing(
    tagging: Shell, content: bytes | None, named: str
) -> None:
    labels = tagging.library.parent / "labels.txt"
    if content is not None:
        labels.write_bytes(content)
    before = evidence(tagging.library)
    answer = tagging("tag", "--labels", labels)
    assert (answer.code, answer.out) == (2, b"")
    assert named in answer.err
    assert "Traceback" not in answer.err
    assert evidence(tagging.library) == before


def test_a_library_without_a_readable_photo_has_no_tags(shell: Shell, photos: Path) -> None:
    (photos / "broken.jpg").write_text("not a photo")
    shell("index", photos, "--model", "fake").fine()
    answer = shell("tag", "--labels", "-", stdin=b"red\n").fine()
    assert (answer.out, shell("tags").fine().out) == (b"", b"")


def test_a_label_with_braces_is_only_a_label(tagging: Shell) -> None:
    tagging("tag", "--labels", "-", "--min", "0", stdin=b"{0.__class__} %s [red] :smile:\n").fine()
    assert tagging("tags", "--json").rows[0]["label"] == "{0.__class__} %s [red] :smile:"


# -- the built-in model ---------------------------------------------------------------------------


@pytest.fixture
def tagged(demo: Made) -> dict[str, set[str]]:
    """The names of the demo photographs that carry each label."""
    labels = ["cat", "coffee", "astronaut", "rocket", "flower", "submarine", "piano"]
    on: dict[str, set[str]] = {label: set() for label in labels}
    with Library.open(demo.library) as library:
        for photo in library.tag(labels, keep=False).photos:
            for tag in photo.tags:
                on[tag.label].add(os.path.basename(photo.photo.path).decode())
    return on


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("cat", "chelsea.png"),
        ("coffee", "coffee.png"),
        ("astronaut", "astronaut.png"),
        ("rocket", "rocket.jpg"),
        ("flower", "flower.jpg"),
    ],
)
def test_the_built_in_model_tags_the_demo_photographs(
    tagged: dict[str, set[str]], label: str, name: str
) -> None:
    assert tagged[label] == {name}


def test_labels_of_things_that_are_not_there_land_on_hardly_any_demo_photograph(demo: Made) -> None:
    labels = "submarine piano elephant pizza wedding tractor violin castle penguin umbrella sheep guitar"
    with Library.open(demo.library) as library:
        photos = library.tag(labels.split(), keep=False).photos
    assert len(photos) > 20
    assert sum(len(photo.tags) for photo in photos) <= 3
    assert all(tag.probability < 0.5 for photo in photos for tag in photo.tags)


def test_the_usual_least_probability_is_the_same_everywhere() -> None:
    # Written out in the command line, where to import it would load numpy for every --help.
    assert inspect.signature(cli_tag.tag).parameters["minimum"].default == CERTAIN
